/** The colour of a cell: its probability from nothing to teal to yellow, with an ink that can be read on it. */
import { scaleLinear } from "d3-scale";
import type { Theme } from "../../state/studio.svelte.ts";

export interface Paint {
  readonly background: string;
  readonly ink: string;
}

const stops: Readonly<Record<Theme, readonly string[]>> = {
  dark: ["#10151e", "#16433f", "#2f8577", "#8fb45e", "#e6c84a"],
  light: ["#f4f7f9", "#cfeae5", "#84cdbf", "#b3cf6a", "#e9c53a"],
};
const at = [0, 0.3, 0.55, 0.8, 1];

const scales = { dark: scaleOf("dark"), light: scaleOf("light") };

function scaleOf(theme: Theme): (x: number) => string {
  return scaleLinear<string>().domain(at).range(stops[theme]).clamp(true);
}

/** Shades that are told apart; each is worked out once, as a grid asks for hundreds at a time. */
const shades = 500;
const mixed: Record<Theme, Paint[]> = { dark: [], light: [] };

/** The square root spreads what is small: most cells of the early stages are a few percent. */
export function paint(probability: number, theme: Theme): Paint {
  const shade = Math.round(Math.sqrt(probability) * shades);
  return (mixed[theme][shade] ??= mix(shade / shades, theme));
}

function mix(x: number, theme: Theme): Paint {
  const background = scales[theme](x);
  return { background, ink: contrast(background, "rgb(255, 255, 255)") >= contrast(background, "rgb(0, 0, 0)") ? "#fff" : "#000" };
}

/** Contrast of two colours written rgb(r, g, b): WCAG 2.2, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [lighter, darker] = [luminance(a), luminance(b)].toSorted((x, y) => y - x);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(colour: string): number {
  const [r, g, b] = (colour.match(/[\d.]+/g) ?? []).map((part) => {
    const x = Number(part) / 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** A strip of the scale, for the legend; linear in the square root, like the cells. */
export function legend(theme: Theme): string {
  return `linear-gradient(90deg, ${stops[theme].map((stop, n) => `${stop} ${at[n] * 100}%`).join(", ")})`;
}
