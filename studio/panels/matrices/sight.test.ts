import { describe, expect, test } from "vitest";
import { emptyOverview } from "./overview.ts";
import { around, bringing, held, levelsOf, seenIn, stepped, tickStep, under, wider, within } from "./sight.ts";
import type { Sight } from "./sight.ts";

/** 1000 x 300 weights, squares of 10 x 3 weights in the overview. */
const overview = emptyOverview(1000, 300, { rows: 100, columns: 100 });
const room = { width: 240, height: 120 };
const whole: Sight = { overview, zoomed: false, size: 2, top: 0, left: 0, room };
const close: Sight = { overview, zoomed: true, size: 12, top: 100.5, left: 20, room };

describe("what is in sight of a matrix", () => {
  test("is all of it, or as many weights as the room has, one more for those that are cut", () => {
    expect(seenIn(whole)).toEqual({ row: 0, column: 0, rows: 61, columns: 100 });
    expect(seenIn(close)).toEqual({ row: 100, column: 20, rows: 11, columns: 21 });
    expect(seenIn({ ...close, top: 995, left: 299 })).toEqual({ row: 995, column: 299, rows: 5, columns: 1 });
  });

  test("never leaves the matrix", () => {
    expect(held(close, -5, 1e6)).toEqual({ top: 0, left: 300 - 20 });
    expect(held({ ...close, room: { width: 1e5, height: 1e5 } }, 7, 7)).toEqual({ top: 0, left: 0 });
  });

  test("keeps the weight under the pointer where it is when zooming", () => {
    const [x, y] = [100, 50];
    const place = under(close, x, y)!;
    const next = { ...close, size: 24 };
    expect(under({ ...next, ...around(next, place, x, y) }, x, y)).toEqual(place);
  });

  test("a point is in the square drawn there: of the overview the first weight of its block", () => {
    expect(under(whole, 5, 9)).toEqual({ row: 40, column: 6 });
    expect(under(close, 0, 0)).toEqual({ row: 100, column: 20 });
    expect(under(close, -1, 5)).toBeUndefined();
    expect(under({ ...close, left: 290 }, 200, 5)).toBeUndefined();
  });

  test("steps go square by square and stop at the edges", () => {
    expect(stepped(whole, { row: 45, column: 7 }, 1, -1)).toEqual({ row: 50, column: 3 });
    expect(stepped(close, { row: 45, column: 7 }, -1, Infinity)).toEqual({ row: 44, column: 299 });
    expect(stepped(whole, { row: 45, column: 7 }, Infinity, -Infinity)).toEqual({ row: 990, column: 0 });
  });

  test("moves as little as it can to bring a weight into sight", () => {
    expect(bringing(close, { row: 104, column: 25 })).toEqual({ top: 100.5, left: 20 });
    expect(bringing(close, { row: 90, column: 45 })).toEqual({ top: 90, left: 26 });
    const far = { ...close, ...bringing(close, { row: 500, column: 0 }) };
    expect(under(far, 1, room.height - 1)?.row).toBe(500);
  });
});

test("zoom levels begin with the whole matrix; single weights are offered only larger than there", () => {
  expect(levelsOf(overview, 2)).toEqual([2, 6, 12, 24, 48]);
  expect(levelsOf(emptyOverview(10, 10, { rows: 100, columns: 100 }), 20)).toEqual([20, 48]);
});

test("labels stand a power of two of weights apart, with room for their text", () => {
  expect(tickStep(16, 4, 1)).toBe(4);
  expect(tickStep(38, 2, 3)).toBe(64);
  expect(tickStep(16, 48, 1)).toBe(1);
});

test("a part is read with as much again around it", () => {
  expect(wider([100, 10], 1000)).toEqual([95, 20]);
  expect(wider([0, 10], 12)).toEqual([0, 12]);
  expect(within([100, 10], wider([100, 10], 1000))).toBe(true);
  expect(within([94, 3], [95, 20])).toBe(false);
});
