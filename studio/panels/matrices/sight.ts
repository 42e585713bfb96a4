/**
 * What part of a matrix is in sight: squares of a size in pixels, each a single weight or a block of the overview, from a first one on.
 * Only geometry; drawing is paint-matrix.ts's, reading sheet.svelte.ts's. Pure.
 */
import type { Overview } from "./overview.ts";
import type { Range } from "./places.ts";

export interface Place {
  readonly row: number;
  readonly column: number;
}
export interface Extent {
  readonly rows: number;
  readonly columns: number;
}
/** The first square in sight, in squares; fractions are a square cut by the edge. */
export interface Corner {
  readonly top: number;
  readonly left: number;
}

export interface Sight extends Corner {
  readonly overview: Overview;
  /** Squares are single weights. */
  readonly zoomed: boolean;
  /** Side of a square, in pixels. */
  readonly size: number;
  /** Pixels that the squares have. */
  readonly room: { readonly width: number; readonly height: number };
}

/** Sides of a square that zooming offers beside the whole matrix. */
const sizes = [6, 12, 24, 48];

export function levelsOf({ blockRows, blockColumns }: Overview, fitted: number): number[] {
  const blocky = blockRows > 1 || blockColumns > 1;
  return [fitted, ...sizes.filter((size) => blocky || size > 1.25 * fitted)];
}

/** All squares. */
export function squaresOf({ overview, zoomed }: Pick<Sight, "overview" | "zoomed">): Extent {
  return zoomed ? overview : { rows: overview.gridRows, columns: overview.gridColumns };
}

/** Weights behind a square. */
export function blockOf({ overview, zoomed }: Pick<Sight, "overview" | "zoomed">): Extent {
  return zoomed ? { rows: 1, columns: 1 } : { rows: overview.blockRows, columns: overview.blockColumns };
}

/** Squares in sight: the first one, and how many. */
export function seenIn(sight: Sight): Place & Extent {
  const all = squaresOf(sight);
  const { top, left, room, size } = sight;
  const [row, column] = [Math.floor(top), Math.floor(left)];
  return {
    row,
    column,
    rows: Math.max(0, Math.min(all.rows - row, Math.ceil(room.height / size) + 1)),
    columns: Math.max(0, Math.min(all.columns - column, Math.ceil(room.width / size) + 1)),
  };
}

/** The corner asked for, as far as there are squares to fill the room. */
export function held(sight: Sight, top: number, left: number): Corner {
  const { rows, columns } = squaresOf(sight);
  const { room, size } = sight;
  return { top: Math.max(0, Math.min(top, rows - room.height / size)), left: Math.max(0, Math.min(left, columns - room.width / size)) };
}

/** The corner that puts the middle of a square at (x, y) of the room. */
export function around(sight: Sight, { row, column }: Place, x: number, y: number): Corner {
  return held(sight, row + 0.5 - y / sight.size, column + 0.5 - x / sight.size);
}

/** The nearest corner that has a square wholly in sight. */
export function bringing(sight: Sight, { row, column }: Place): Corner {
  const { top, left, room, size } = sight;
  const [high, wide] = [Math.floor(room.height / size), Math.floor(room.width / size)];
  return held(
    sight,
    row < top ? row : row >= top + high ? row - high + 1 : top,
    column < left ? column : column >= left + wide ? column - wide + 1 : left,
  );
}

/** The first weight of the square at (x, y) of the room. */
export function under(sight: Sight, x: number, y: number): Place | undefined {
  const [row, column] = [Math.floor(sight.top + y / sight.size), Math.floor(sight.left + x / sight.size)];
  const [all, block] = [squaresOf(sight), blockOf(sight)];
  return x < 0 || y < 0 || row >= all.rows || column >= all.columns ? undefined : { row: row * block.rows, column: column * block.columns };
}

/** The first weight of the square so many squares away from a weight's. */
export function stepped(sight: Sight, from: Place, rows: number, columns: number): Place {
  const [all, block] = [squaresOf(sight), blockOf(sight)];
  const row = Math.max(0, Math.min(all.rows - 1, Math.floor(from.row / block.rows) + rows));
  const column = Math.max(0, Math.min(all.columns - 1, Math.floor(from.column / block.columns) + columns));
  return { row: row * block.rows, column: column * block.columns };
}

/** Weights from one label to the next, at least `pixels` apart: a power of two, as sizes of models like to be. */
export function tickStep(pixels: number, size: number, block: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2((pixels / size) * block)));
}

export function within([from, count]: Range, [outer, size]: Range): boolean {
  return from >= outer && from + count <= outer + size;
}

/** With as much again around it, so that a short move needs no reading. */
export function wider([from, count]: Range, all: number): Range {
  const first = Math.max(0, from - Math.ceil(count / 2));
  return [first, Math.min(all - first, 2 * count)];
}
