import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Column, Way } from "./columns.ts";
import { decades, labelled, linesOf, spread } from "./ladder.ts";

const way = (id: number, ...ranks: number[]): Way => ({ id, ranks: Int32Array.from(ranks), probabilities: new Float32Array(ranks.length) });
const column = (leaders: readonly Way[], final: number, came?: Way): Column => ({
  position: 0,
  stages: 3,
  top: 1,
  ids: new Int32Array(3),
  probabilities: new Float32Array(3),
  logits: new Float32Array(3),
  final,
  leaders,
  came,
});

describe("linesOf", () => {
  const leaders = [way(5, 1, 40, 9), way(8, 30, 1, 1)];
  test("has every leader and the token that came, best at the end first", () => {
    const lines = linesOf(column(leaders, 8, way(3, 900, 70, 4)));
    expect(lines.map(({ id, final, came }) => ({ id, final, came }))).toEqual([
      { id: 8, final: true, came: false },
      { id: 3, final: false, came: true },
      { id: 5, final: false, came: false },
    ]);
  });
  test("has the token that came once when it led", () => {
    const lines = linesOf(column(leaders, 8, way(5, 1, 40, 9)));
    expect(lines.map(({ id, came }) => ({ id, came }))).toEqual([
      { id: 8, came: false },
      { id: 5, came: true },
    ]);
  });
  test("keeps the lines that matter where few labels fit", () => {
    const many = [way(1, 1, 2, 2), way(2, 2, 1, 3), way(3, 3, 3, 1), way(4, 5, 5, 5)];
    const lines = linesOf(column(many, 3, way(9, 1, 1, 77)));
    expect(labelled(lines, 3).map(({ id }) => id)).toEqual([3, 1, 9]);
    expect(labelled(lines, 3, 4).map(({ id }) => id)).toEqual([3, 4, 9]);
  });
});

test("spread keeps order, distance and bounds where they can be kept", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { maxLength: 10 }), (some) => {
      const heights = some.toSorted((a, b) => a - b);
      const placed = spread(heights, 18, 0, 200);
      expect(placed).toHaveLength(heights.length);
      for (let n = 1; n < placed.length; n++) expect(placed[n] - placed[n - 1]).toBeGreaterThanOrEqual(18 - 1e-9);
      for (const height of placed) expect(height >= -1e-9 && height <= 200 + 1e-9).toBe(true);
    }),
  );
  expect(spread([10, 60, 120], 18, 0, 200)).toEqual([10, 60, 120]);
});

test("decades reach the largest rank", () => {
  expect(decades(1)).toEqual([1]);
  expect(decades(4096)).toEqual([1, 10, 100, 1000, 10000]);
});
