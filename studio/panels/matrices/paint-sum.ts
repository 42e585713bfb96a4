/** A sum on canvas as it grows, below the weights and the numbers that it is made of: a pixel shows the strongest of its terms. */
import { rampOf, shadeOf } from "../../parts/cells.ts";
import type { CellPalette } from "../../parts/cells.ts";

export interface SumPainting {
  readonly width: number;
  readonly height: number;
  readonly weights: Float32Array;
  readonly vector: Float32Array;
  /** (n + 1,): sums of the first products. */
  readonly sums: Float64Array;
  /** Products in the sum so far. */
  readonly done: number;
  readonly weightScale: number;
  readonly dataScale: number;
}

const strip = 10;

/** The value of largest magnitude in each of so many equal parts. */
export function strongestOf(values: ArrayLike<number>, parts: number): Float32Array {
  const n = values.length;
  return Float32Array.from({ length: parts }, (_, part) => {
    const from = Math.floor((part / parts) * n);
    const to = Math.max(from + 1, Math.floor(((part + 1) / parts) * n));
    let most = 0;
    for (let i = from; i < Math.min(to, n); i++) if (Math.abs(values[i]) > Math.abs(most)) most = values[i];
    return most;
  });
}

export function paintSum(context: CanvasRenderingContext2D, palette: CellPalette, painting: SumPainting): void {
  const { width, height, weights, vector, sums, done, weightScale, dataScale } = painting;
  const n = sums.length - 1;
  if (n === 0) return;
  paintStrip(context, palette, "weight", strongestOf(weights, width), 0, weightScale);
  paintStrip(context, palette, "data", strongestOf(vector, width), strip + 2, dataScale);
  const [top, high] = [2 * strip + 10, height - 2 * strip - 14];
  let [low, most] = [0, 0];
  for (const x of sums) [low, most] = [Math.min(low, x), Math.max(most, x)];
  const y = (x: number): number => top + ((most - x) / (most - low || 1)) * high;
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, Math.round(y(0)) + 0.5);
  context.lineTo(width, Math.round(y(0)) + 0.5);
  context.stroke();
  const line = (style: string, to: number, thick: number): void => {
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.beginPath();
    for (let i = 0; i <= to; i++) context.lineTo((i / n) * width, y(sums[i]));
    context.stroke();
  };
  line(palette.line, n, 1.25);
  line(palette.inUse, done, 2);
  context.fillStyle = palette.inUse;
  context.beginPath();
  context.arc(Math.max(3, Math.min(width - 3, (done / n) * width)), y(sums[done]), 3.5, 0, 7);
  context.fill();
}

function paintStrip(
  context: CanvasRenderingContext2D,
  palette: CellPalette,
  kind: "weight" | "data",
  values: Float32Array,
  top: number,
  scale: number,
): void {
  for (const [x, value] of values.entries()) {
    context.fillStyle = rampOf(palette, kind, value).css[shadeOf(value, scale)];
    context.fillRect(x, top, 1, strip);
  }
}
