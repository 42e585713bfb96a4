/**
 * The palette under simulated colour-vision deficiency: dichromacy after Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB;
 * differences by CIEDE2000 (Sharma, Wu and Dalal 2005). And the contrast of everything that is read (WCAG 2.2).
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

type Triple = readonly [number, number, number];

const css = readFileSync(fileURLToPath(new URL("tokens.css", import.meta.url)), "utf8");

function colours(theme: "dark" | "light"): Readonly<Record<string, Triple>> {
  const block = new RegExp(`\\[data-theme="${theme}"\\] \\{([^}]*)\\}`).exec(css)![1];
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+): #([0-9a-f]{6});/g)].map(([, name, hex]) => [
      name,
      [0, 2, 4].map((at) => linear(parseInt(hex.slice(at, at + 2), 16) / 255)) as unknown as Triple,
    ]),
  );
}

const linear = (x: number): number => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
const times = (m: readonly number[], [r, g, b]: Triple): Triple =>
  [0, 3, 6].map((at) => m[at] * r + m[at + 1] * g + m[at + 2] * b) as unknown as Triple;
const clamped = (rgb: Triple): Triple => rgb.map((x) => Math.min(1, Math.max(0, x))) as unknown as Triple;

const sights: Readonly<Record<string, readonly number[]>> = {
  normal: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

function lab(rgb: Triple): Triple {
  const xyz = times([0.4124564, 0.3575761, 0.1804375, 0.2126729, 0.7151522, 0.072175, 0.0193339, 0.119192, 0.9503041], rgb);
  const [x, y, z] = xyz.map((value, i) => f(value / [0.95047, 1, 1.08883][i]));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
const f = (t: number): number => (t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116);

const radians = (degrees: number): number => (degrees * Math.PI) / 180;
const hue = (a: number, b: number): number => (a === 0 && b === 0 ? 0 : ((Math.atan2(b, a) * 180) / Math.PI + 360) % 360);

/** CIEDE2000, equations 2 to 22 of Sharma et al. */
function difference([l1, a1, b1]: Triple, [l2, a2, b2]: Triple): number {
  const c = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const g = 0.5 * (1 - Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7)));
  const [p1, p2] = [a1 * (1 + g), a2 * (1 + g)];
  const [c1, c2] = [Math.hypot(p1, b1), Math.hypot(p2, b2)];
  const [h1, h2] = [hue(p1, b1), hue(p2, b2)];
  let dh = c1 * c2 === 0 ? 0 : h2 - h1;
  if (dh > 180) dh -= 360;
  if (dh < -180) dh += 360;
  const dH = 2 * Math.sqrt(c1 * c2) * Math.sin(radians(dh / 2));
  const [l, cc] = [(l1 + l2) / 2, (c1 + c2) / 2];
  let h = h1 + h2;
  if (c1 * c2 !== 0) h = Math.abs(h1 - h2) <= 180 ? h / 2 : h < 360 ? (h + 360) / 2 : (h - 360) / 2;
  const t =
    1 -
    0.17 * Math.cos(radians(h - 30)) +
    0.24 * Math.cos(radians(2 * h)) +
    0.32 * Math.cos(radians(3 * h + 6)) -
    0.2 * Math.cos(radians(4 * h - 63));
  const turn = -Math.sin(radians(60 * Math.exp(-(((h - 275) / 25) ** 2)))) * 2 * Math.sqrt(cc ** 7 / (cc ** 7 + 25 ** 7));
  const [sl, sc, sh] = [1 + (0.015 * (l - 50) ** 2) / Math.sqrt(20 + (l - 50) ** 2), 1 + 0.045 * cc, 1 + 0.015 * cc * t];
  const [dl, dc, dhh] = [(l2 - l1) / sl, (c2 - c1) / sc, dH / sh];
  return Math.sqrt(dl * dl + dc * dc + dhh * dhh + turn * dc * dhh);
}

/** The smallest difference between any two colours of two groups, as the worst of four kinds of eyes sees it. */
function apart(theme: "dark" | "light", one: readonly string[], other: readonly string[]): number {
  const palette = colours(theme);
  const seen = (name: string, sight: readonly number[]): Triple => lab(clamped(times(sight, palette[name])));
  return Math.min(...Object.values(sights).flatMap((sight) => one.flatMap((a) => other.map((b) => difference(seen(a, sight), seen(b, sight))))));
}

const levels = (name: string): string[] => [1, 2, 3, 4].map((level) => `${name}-${level}`);
const luminance = ([r, g, b]: Triple): number => 0.2126 * r + 0.7152 * g + 0.0722 * b;
const contrast = (a: Triple, b: Triple): number => {
  const [high, low] = [luminance(a), luminance(b)].toSorted((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};

test("the difference is CIEDE2000", () => {
  // rows 1, 7, 17 and 25 of the published test data
  expect(difference([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 4);
  expect(difference([50, 0, 0], [50, -1, 2])).toBeCloseTo(2.3669, 4);
  expect(difference([50, 2.5, 0], [73, 25, -18])).toBeCloseTo(27.1492, 4);
  expect(difference([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387])).toBeCloseTo(1.2644, 4);
});

describe.each(["dark", "light"] as const)("the %s theme", (theme) => {
  test("keeps positive and negative weights apart for every eye", () => {
    expect(apart(theme, levels("plus"), levels("minus"))).toBeGreaterThan(30);
  });

  test("keeps weights and data apart; shape and sign help where colour is weakest", () => {
    expect(apart(theme, levels("plus"), levels("data"))).toBeGreaterThan(10);
    expect(apart(theme, levels("minus"), levels("data"))).toBeGreaterThan(15);
  });

  test("keeps what is in use, passing and chosen apart", () => {
    for (const [a, b] of [["in-use", "passing"], ["in-use", "chosen"], ["passing", "chosen"]]) expect(apart(theme, [a], [b]), `${a}, ${b}`).toBeGreaterThan(15); // prettier-ignore
  });

  test.each(["text", "quiet", "faint", "accent", "in-use", "passing", "chosen", "system", "warn"])("--%s can be read on every ground", (name) => {
    const palette = colours(theme);
    for (const ground of ["ground", "raised", "sunken"]) expect(contrast(palette[name], palette[ground]), ground).toBeGreaterThan(4.5);
  });
});
