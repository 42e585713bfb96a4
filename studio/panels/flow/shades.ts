/** The theme's colours for canvases, and data as shades of grey. */
export interface Shades {
  readonly ground: string;
  readonly text: string;
  readonly quiet: string;
  readonly faint: string;
  readonly line: string;
  readonly inUse: string;
  readonly data: string;
  /** 0..1 -> the ground's colour up to the strongest grey, as three bytes. */
  grey(strength: number): readonly [number, number, number];
}

let last: { readonly theme: string; readonly shades: Shades } | undefined;

/** Of the theme that is on the page now. */
export function readShades(): Shades {
  const theme = document.documentElement.dataset.theme ?? "";
  if (last?.theme !== theme) last = { theme, shades: shadesNow() };
  return last.shades;
}

function shadesNow(): Shades {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  const [from, to] = [bytes(read("--ground")), bytes(read("--data-4"))];
  return {
    ground: read("--ground"),
    text: read("--text"),
    quiet: read("--quiet"),
    faint: read("--faint"),
    line: read("--line"),
    inUse: read("--in-use"),
    data: read("--data-4"),
    grey(strength) {
      const s = Math.max(0, Math.min(1, strength));
      return [0, 1, 2].map((c) => Math.round(from[c] + (to[c] - from[c]) * s)) as unknown as readonly [number, number, number];
    },
  };
}

export const css = ([r, g, b]: readonly [number, number, number]): string => `rgb(${r} ${g} ${b})`;

/** A canvas gives every way of writing a colour back as #rrggbb; a minifier may have made "#fff" or "red" of it. */
function bytes(colour: string): number[] {
  probe ??= new OffscreenCanvas(1, 1).getContext("2d");
  if (probe) probe.fillStyle = colour;
  const hex = String(probe?.fillStyle ?? "#808080");
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

let probe: OffscreenCanvasRenderingContext2D | null | undefined;

/** A canvas as large as it is on screen, cleared, with lengths in CSS pixels. */
export function context(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = Math.min(2, globalThis.devicePixelRatio || 1);
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const pen = canvas.getContext("2d")!;
  pen.scale(ratio, ratio);
  return pen;
}
