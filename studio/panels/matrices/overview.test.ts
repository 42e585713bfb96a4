import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyOverview, mostSquares, statisticsOf, statisticsOfCells, withRows } from "./overview.ts";

const matrix = fc
  .record({
    rows: fc.integer({ min: 1, max: 40 }),
    columns: fc.integer({ min: 1, max: 40 }),
    most: fc.integer({ min: 1, max: 12 }),
    cut: fc.integer({ min: 1, max: 40 }),
  })
  .chain((size) =>
    fc.record({
      size: fc.constant(size),
      data: fc.float32Array({ minLength: size.rows * size.columns, maxLength: size.rows * size.columns, noNaN: true, min: -100, max: 100 }),
    }),
  );

describe("overview", () => {
  test("each square is the strongest weight of its block, however the rows come", () => {
    fc.assert(
      fc.property(matrix, ({ size: { rows, columns, most, cut }, data }) => {
        let overview = emptyOverview(rows, columns, { rows: most, columns: most });
        for (let row = 0; row < rows; row += cut) overview = withRows(overview, data.slice(row * columns, Math.min(rows, row + cut) * columns));
        expect(overview.read).toBe(rows);
        expect(overview.gridRows).toBeLessThanOrEqual(most);
        expect(overview.gridColumns).toBeLessThanOrEqual(most);
        const seen = new Map<number, number>();
        for (const [i, x] of data.entries()) {
          const [row, column] = [Math.floor(i / columns), i % columns];
          const square = Math.floor(row / overview.blockRows) * overview.gridColumns + Math.floor(column / overview.blockColumns);
          seen.set(square, Math.max(seen.get(square) ?? 0, Math.abs(x)));
        }
        expect(seen.size).toBe(overview.strongest.length);
        for (const [square, size] of seen) {
          expect(Math.abs(overview.strongest[square])).toBe(size);
          expect(data[overview.at[square]]).toBe(overview.strongest[square]);
        }
      }),
    );
  });

  test("counts and spread are those of all weights", () => {
    fc.assert(
      fc.property(matrix, ({ size: { rows, columns, most }, data }) => {
        const { count, mean, deviation, largest } = statisticsOf(withRows(emptyOverview(rows, columns, { rows: most, columns: most }), data));
        const direct = data.reduce((sum, x) => sum + x, 0) / data.length;
        expect(count).toBe(data.length);
        expect(mean).toBeCloseTo(direct, 3);
        expect(deviation).toBeCloseTo(Math.sqrt(data.reduce((sum, x) => sum + (x - direct) ** 2, 0) / data.length), 1);
        expect(largest).toBe(data.reduce((most, x) => Math.max(most, Math.abs(x)), 0));
        expect(statisticsOfCells(data)).toEqual({ count, mean, deviation, largest });
      }),
    );
  });

  test("a vocabulary of 50,257 stays a picture", () => {
    const { gridRows, gridColumns, blockRows, strongest } = emptyOverview(50257, 768, { rows: 9999, columns: 9999 });
    expect(gridRows).toBeLessThanOrEqual(mostSquares);
    expect(gridColumns).toBeLessThanOrEqual(mostSquares);
    expect(blockRows).toBe(99);
    expect(strongest.every(Number.isNaN)).toBe(true);
  });
});
