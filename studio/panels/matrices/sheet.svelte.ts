/**
 * The weights of the matrix on show, as far as they are read: an overview of all, and each one of a matrix that fits easily;
 * of a larger one the part in view.
 */
import { emptyOverview, withRows } from "./overview.ts";
import type { Overview } from "./overview.ts";
import type { Range } from "./places.ts";
import { readBlock } from "./reading.ts";
import type { OpenMatrix } from "./reading.ts";
import { wider, within } from "./sight.ts";
import type { Extent, Place } from "./sight.ts";

/** Weights read at once, and the most that are kept of a matrix. */
const band = 1 << 17;
const mostKept = 1 << 19;
/** Milliseconds from one drawing of a matrix that is still being read to the next. */
const pause = 120;

interface Tile {
  readonly matrix: OpenMatrix;
  readonly rows: Range;
  readonly columns: Range;
  readonly data: Float32Array;
}

export interface Weight extends Place {
  readonly x: number;
}

export class Sheet {
  overview: Overview | undefined = $state.raw();
  /** What `overview` is of: a new matrix takes over once its first rows are there. */
  shown: OpenMatrix | undefined = $state.raw();
  /** Every weight, where they are few enough. */
  kept: Float32Array | undefined = $state.raw();
  tile: Tile | undefined = $state.raw();
  readonly complete: boolean = $derived(this.overview !== undefined && this.overview.read === this.overview.rows);

  /** Reads a matrix in bands of rows. `arrived` is told when it takes over, and whether it has the size of the one before; the first one has. */
  async read(asked: OpenMatrix, most: Extent, signal: AbortSignal, arrived: (same: boolean) => void): Promise<void> {
    const { rows, columns } = asked;
    let next = emptyOverview(rows, columns, most);
    const all = rows * columns <= mostKept ? new Float32Array(rows * columns) : undefined;
    const step = Math.max(1, Math.floor(band / columns));
    let drawn = performance.now();
    for (let row = 0; row < rows; row += step) {
      const data = await readBlock(asked, [row, Math.min(step, rows - row)], [0, columns], signal);
      all?.set(data, row * columns);
      next = withRows(next, data);
      const done = row + step >= rows;
      if (!done && performance.now() - drawn < pause && this.shown === asked) continue;
      drawn = performance.now();
      if (this.shown !== asked) arrived(this.#takeOver(asked));
      this.overview = next;
      if (done) this.kept = all;
    }
  }

  #takeOver(asked: OpenMatrix): boolean {
    const { shown } = this;
    this.shown = asked;
    this.kept = undefined;
    this.tile = undefined;
    return !shown || (shown.rows === asked.rows && shown.columns === asked.columns && shown.category === asked.category);
  }

  /** Single weights of this part have to be read before they can be shown. */
  lacks({ row, column, rows, columns }: Place & Extent): boolean {
    const { shown, tile } = this;
    if (!shown || this.kept || !this.complete || shown.rows * shown.columns <= mostKept || rows === 0 || columns === 0) return false;
    return !(tile?.matrix === shown && within([row, rows], tile.rows) && within([column, columns], tile.columns));
  }

  async readPart({ row, column, rows, columns }: Place & Extent, signal: AbortSignal): Promise<void> {
    const matrix = this.shown;
    if (!matrix) return;
    const [wide, long] = [wider([row, rows], matrix.rows), wider([column, columns], matrix.columns)];
    const data = await readBlock(matrix, wide, long, signal);
    this.tile = { matrix, rows: wide, columns: long, data };
  }

  /** One weight; undefined while it is being read. */
  weight(row: number, column: number): number | undefined {
    const { kept, shown, tile } = this;
    if (kept && shown) return kept[row * shown.columns + column];
    if (!tile || tile.matrix !== shown) return undefined;
    const [i, j] = [row - tile.rows[0], column - tile.columns[0]];
    return i >= 0 && j >= 0 && i < tile.rows[1] && j < tile.columns[1] ? tile.data[i * tile.columns[1] + j] : undefined;
  }

  *weights({ row, column, rows, columns }: Place & Extent): Generator<number> {
    for (let i = row; i < row + rows; i++)
      for (let j = column; j < column + columns; j++) {
        const x = this.weight(i, j);
        if (x !== undefined) yield x;
      }
  }

  /** The weight at a place; in the overview the strongest of its block, and where that stands. */
  at({ row, column }: Place, zoomed: boolean): Weight | undefined {
    const { overview } = this;
    if (!overview) return undefined;
    if (zoomed) {
      const x = this.weight(row, column);
      return x === undefined ? undefined : { row, column, x };
    }
    const square = Math.floor(row / overview.blockRows) * overview.gridColumns + Math.floor(column / overview.blockColumns);
    const place = overview.at[square];
    return place >= 0 ? { row: Math.floor(place / overview.columns), column: place % overview.columns, x: overview.strongest[square] } : undefined;
  }
}
