import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { moreAt, partAround } from "./part.ts";

const text = fc.integer({ min: 0, max: 5000 }).chain((count) => fc.tuple(fc.constant(count), fc.integer({ min: 0, max: count })));

describe("the part of a long text that is in the page", () => {
  test("holds the place and 200 tokens on either side, and never more than 420", () => {
    fc.assert(
      fc.property(text, ([count, place]) => {
        const { from, to } = partAround(count, place);
        expect(from).toBeLessThanOrEqual(Math.max(0, place - 200));
        expect(to).toBeGreaterThanOrEqual(Math.min(count, place + 200));
        expect(to - from).toBeLessThanOrEqual(420);
        expect([from >= 0, to <= count]).toEqual([true, true]);
      }),
    );
  });

  test("is all of a text that is not long", () => {
    expect(partAround(400, 0)).toEqual({ from: 0, to: 400 });
    expect(partAround(0, 0)).toEqual({ from: 0, to: 0 });
  });

  test("begins elsewhere only once in 20 tokens written", () => {
    const begins = Array.from({ length: 1000 }, (_, i) => partAround(500 + i, 500 + i).from);
    expect(new Set(begins).size).toBe(50);
  });

  test("scrolling reaches the first and the last token from anywhere", () => {
    for (const [edge, goal] of [
      ["start", 0],
      ["end", 3000],
    ] as const) {
      let place = 1500;
      for (let i = 0; i < 100; i++) {
        const view = edge === "start" ? { start: 0, size: 100, whole: 1000 } : { start: 900, size: 100, whole: 1000 };
        place = moreAt(partAround(3000, place), 3000, view) ?? place;
      }
      expect(edge === "start" ? partAround(3000, place).from : partAround(3000, place).to).toBe(goal);
    }
    expect(moreAt({ from: 100, to: 500 }, 3000, { start: 400, size: 100, whole: 1000 })).toBeUndefined();
  });
});
