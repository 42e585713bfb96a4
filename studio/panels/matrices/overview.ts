/**
 * A large matrix at a glance: every square of the overview is the strongest weight of a block of rows and columns.
 * Fed row by row, so that the whole matrix is never held; counts and spread are of all its weights. Pure.
 */
export interface Overview {
  readonly rows: number;
  readonly columns: number;
  /** Weights behind each square. */
  readonly blockRows: number;
  readonly blockColumns: number;
  readonly gridRows: number;
  readonly gridColumns: number;
  /** (gridRows, gridColumns): the weight with the largest magnitude, sign kept; NaN until its rows were read. */
  readonly strongest: Float32Array;
  /** Where it stands: row * columns + column. */
  readonly at: Float64Array;
  /** Rows read so far. */
  readonly read: number;
  readonly sum: number;
  readonly squares: number;
  readonly largest: number;
}

export interface Statistics {
  readonly count: number;
  readonly mean: number;
  /** Of the numbers themselves (divided by their count). */
  readonly deviation: number;
  /** Largest magnitude. */
  readonly largest: number;
}

/** Squares are kept below this in each direction, whatever the screen. */
export const mostSquares = 512;

/**
 * An overview to be filled, of at most `most` rows and columns of squares. Matrices that are nearly square keep their proportions;
 * long ones are gathered more along their length, so that they fill the picture.
 */
export function emptyOverview(rows: number, columns: number, most: { readonly rows: number; readonly columns: number }): Overview {
  let blockRows = Math.ceil(rows / Math.min(mostSquares, Math.max(1, most.rows)));
  let blockColumns = Math.ceil(columns / Math.min(mostSquares, Math.max(1, most.columns)));
  if (rows <= 1.5 * columns && columns <= 1.5 * rows) blockRows = blockColumns = Math.max(blockRows, blockColumns);
  const [gridRows, gridColumns] = [Math.ceil(rows / blockRows), Math.ceil(columns / blockColumns)];
  const squares = gridRows * gridColumns;
  return {
    rows,
    columns,
    blockRows,
    blockColumns,
    gridRows,
    gridColumns,
    strongest: new Float32Array(squares).fill(Number.NaN),
    at: new Float64Array(squares).fill(-1),
    read: 0,
    sum: 0,
    squares: 0,
    largest: 0,
  };
}

/** The next rows of the matrix, (count, columns). The arrays are filled in place. */
export function withRows(overview: Overview, data: Float32Array): Overview {
  const { columns, blockRows, blockColumns, gridColumns, strongest, at } = overview;
  let { read, sum, squares, largest } = overview;
  for (let i = 0; i < data.length; read++) {
    const first = Math.floor(read / blockRows) * gridColumns;
    for (let column = 0; column < columns; column++, i++) {
      const x = data[i];
      const size = Math.abs(x);
      const square = first + Math.floor(column / blockColumns);
      sum += x;
      squares += x * x;
      if (size > largest) largest = size;
      if (!(size <= Math.abs(strongest[square]))) {
        strongest[square] = x;
        at[square] = read * columns + column;
      }
    }
  }
  return { ...overview, read, sum, squares, largest };
}

/** Of all rows read so far. */
export function statisticsOf({ read, columns, sum, squares, largest }: Overview): Statistics {
  return spread(read * columns, sum, squares, largest);
}

export function statisticsOfCells(cells: Iterable<number>): Statistics {
  let [count, sum, squares, largest] = [0, 0, 0, 0];
  for (const x of cells) {
    count++;
    sum += x;
    squares += x * x;
    largest = Math.max(largest, Math.abs(x));
  }
  return spread(count, sum, squares, largest);
}

function spread(count: number, sum: number, squares: number, largest: number): Statistics {
  const mean = count === 0 ? 0 : sum / count;
  return { count, mean, deviation: count === 0 ? 0 : Math.sqrt(Math.max(0, squares / count - mean * mean)), largest };
}

/** Place of the largest number. */
export function largestOf(numbers: Float32Array): number {
  return numbers.reduce((best, x, i) => (x > numbers[best] ? i : best), 0);
}
