/** A matrix on canvas: its squares, the frames of cursor and pointer, the numbers at its edges, and the small map of all of it. */
import { cellPalette, drawCells, gridImage } from "../../parts/cells.ts";
import type { CellPalette } from "../../parts/cells.ts";
import { whole } from "../../state/format.ts";
import type { Overview } from "./overview.ts";
import { blockOf, seenIn, tickStep } from "./sight.ts";
import type { Place, Sight } from "./sight.ts";

export const gutterTop = 20;

/** Squares smaller than this are drawn as one picture, and their frames are larger than they are. */
const smallest = 6;
const framed = 9;

export interface Painting {
  readonly sight: Sight;
  readonly gutterLeft: number;
  /** The magnitude that has the strongest shade. */
  readonly scale: number;
  /** Every weight is there: nothing has to show through. */
  readonly whole: boolean;
  readonly weight: (row: number, column: number) => number | undefined;
  readonly cursor: Place;
  readonly focused: boolean;
  readonly hovered: Place | undefined;
  /** What stands before a row. */
  readonly label: (row: number) => string;
}

/** What is costly to make is made again only when the theme, the overview or the scale is another. */
export class Easel {
  #palette: CellPalette | undefined;
  #theme = "";
  #picture: { readonly of: Overview; readonly theme: string; readonly scale: number; readonly bitmap: OffscreenCanvas } | undefined;

  palette(element: Element): CellPalette {
    const theme = document.documentElement.dataset.theme ?? "";
    if (!this.#palette || this.#theme !== theme) {
      this.#palette = cellPalette(element);
      this.#theme = theme;
    }
    return this.#palette;
  }

  picture(palette: CellPalette, of: Overview, scale: number): OffscreenCanvas {
    if (!this.#picture || this.#picture.of !== of || this.#picture.theme !== this.#theme || this.#picture.scale !== scale) {
      const bitmap = new OffscreenCanvas(of.gridColumns, of.gridRows);
      bitmap.getContext("2d")!.putImageData(gridImage(palette, of.strongest, of.gridColumns, "weight", scale), 0, 0);
      this.#picture = { of, theme: this.#theme, scale, bitmap };
    }
    return this.#picture.bitmap;
  }
}

/** A canvas of this size in CSS pixels, empty. */
export function prepared(target: HTMLCanvasElement, wide: number, high: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  target.width = Math.round(wide * ratio);
  target.height = Math.round(high * ratio);
  const context = target.getContext("2d")!;
  context.scale(ratio, ratio);
  return context;
}

export function paintMatrix(context: CanvasRenderingContext2D, easel: Easel, painting: Painting): void {
  const { sight, gutterLeft, cursor, hovered, focused } = painting;
  const palette = easel.palette(context.canvas);
  context.save();
  context.beginPath();
  context.rect(gutterLeft, gutterTop, sight.room.width, sight.room.height);
  context.clip();
  context.imageSmoothingEnabled = false;
  paintSquares(context, palette, easel.picture(palette, sight.overview, painting.scale), painting);
  paintFrame(context, palette, painting, cursor, palette.inUse, focused ? 2 : 1.5);
  if (hovered) paintFrame(context, palette, painting, hovered, palette.text, 1);
  context.restore();
  paintLabels(context, palette, painting);
}

function paintSquares(context: CanvasRenderingContext2D, palette: CellPalette, picture: OffscreenCanvas, painting: Painting): void {
  const { sight, gutterLeft, scale, weight } = painting;
  const { overview, zoomed, size, top, left } = sight;
  const seen = seenIn(sight);
  if (!zoomed && size < smallest) {
    context.drawImage(picture, gutterLeft, gutterTop, overview.gridColumns * size, overview.gridRows * size);
    return;
  }
  if (zoomed && !painting.whole) {
    // where weights are still being read, the overview shows through
    context.globalAlpha = 0.35;
    const [wide, high] = [overview.blockColumns * size, overview.blockRows * size];
    context.drawImage(picture, gutterLeft - left * size, gutterTop - top * size, overview.gridColumns * wide, overview.gridRows * high);
    context.globalAlpha = 1;
  }
  const value = zoomed
    ? (row: number, column: number): number | undefined => weight(seen.row + row, seen.column + column)
    : (row: number, column: number): number | undefined => {
        const x = overview.strongest[row * overview.gridColumns + column];
        return Number.isNaN(x) ? undefined : x;
      };
  const place = { left: gutterLeft - (left - seen.column) * size, top: gutterTop - (top - seen.row) * size, size };
  drawCells(context, palette, { rows: seen.rows, columns: seen.columns, value, kind: "weight", scale }, place, size >= 46 && scale < 1 ? 3 : 2); // weights are small
}

function paintFrame(
  context: CanvasRenderingContext2D,
  palette: CellPalette,
  { sight, gutterLeft }: Painting,
  { row, column }: Place,
  style: string,
  line: number,
): void {
  const { size, top, left } = sight;
  const block = blockOf(sight);
  const [i, j] = [Math.floor(row / block.rows) - top, Math.floor(column / block.columns) - left];
  const side = Math.max(size, framed);
  const shift = (side - size) / 2;
  const [x, y] = [gutterLeft + j * size - shift, gutterTop + i * size - shift];
  if (size < framed) {
    // on squares this small the frame needs a ground of its own, and stays whole at the edge
    const [inX, inY] = [Math.max(gutterLeft + 1, x), Math.max(gutterTop + 1, y)];
    context.strokeStyle = palette.ground;
    context.lineWidth = 5;
    context.strokeRect(inX, inY, side, side);
    context.strokeStyle = style;
    context.lineWidth = 2;
    context.strokeRect(inX, inY, side, side);
    return;
  }
  context.strokeStyle = style;
  context.lineWidth = line;
  context.strokeRect(x, y, side, side);
}

function paintLabels(context: CanvasRenderingContext2D, palette: CellPalette, { sight, gutterLeft, label }: Painting): void {
  const { size, top, left, room } = sight;
  const [seen, block] = [seenIn(sight), blockOf(sight)];
  context.font = `11px ${palette.mono}`;
  context.fillStyle = palette.quiet;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const row of ticks(seen.row, seen.rows, block.rows, tickStep(16, size, block.rows))) {
    const y = gutterTop + (Math.floor(row / block.rows) - top + 0.5) * size;
    if (y < gutterTop + 1.5 || y > gutterTop + room.height - 3) continue;
    context.fillText(label(row), gutterLeft - 6, y);
  }
  context.textAlign = "center";
  for (const column of ticks(seen.column, seen.columns, block.columns, tickStep(38, size, block.columns))) {
    const x = gutterLeft + (Math.floor(column / block.columns) - left + 0.5) * size;
    if (x < gutterLeft || x > gutterLeft + room.width - 12) continue;
    context.fillText(whole(column), x, gutterTop / 2);
  }
}

/** The weights that have a label, of `count` squares from `first` on. */
function* ticks(first: number, count: number, block: number, step: number): Generator<number> {
  for (let at = Math.ceil((first * block) / step) * step; at < (first + count) * block; at += step) yield at;
}

/** All of the matrix, with a frame around what is in sight. `unit` is the side of a square of the overview. */
export function paintMap(context: CanvasRenderingContext2D, easel: Easel, sight: Sight, scale: number, unit: number): void {
  const { overview, top, left, room, size } = sight;
  const palette = easel.palette(context.canvas);
  context.drawImage(easel.picture(palette, overview, scale), 0, 0, overview.gridColumns * unit, overview.gridRows * unit);
  context.strokeStyle = palette.inUse;
  context.lineWidth = 2;
  const [x, y] = [unit / overview.blockColumns, unit / overview.blockRows];
  const wide = Math.max(3, Math.min(overview.columns, room.width / size) * x);
  const high = Math.max(3, Math.min(overview.rows, room.height / size) * y);
  context.strokeRect(left * x + 1, top * y + 1, wide - 2, high - 2);
}
