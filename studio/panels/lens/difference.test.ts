import { expect, test } from "vitest";
import { differenceOf } from "./difference.ts";

const logits = (...p: number[]): Float32Array => Float32Array.from(p, (x) => Math.log(x));

test("a difference tells both probabilities, the change in points and the distance in bits", () => {
  const found = differenceOf(logits(0.5, 0.25, 0.125, 0.125), logits(0.125, 0.125, 0.5, 0.25), 1);
  expect(found.rows.map(({ id }) => id)).toEqual([0, 2]);
  const [first, second] = found.rows;
  expect(first.before).toBeCloseTo(0.5, 6);
  expect(first.points).toBeCloseTo(-37.5, 4);
  expect([first.rankBefore, first.rankAfter]).toEqual([1, 3]);
  expect(second.points).toBeCloseTo(37.5, 4);
  expect([found.favouriteBefore, found.favouriteAfter]).toEqual([0, 2]);
  expect(found.bits).toBeCloseTo(0.5 * 2 + 0.25 * 1 + 0.125 * -2 + 0.125 * -1, 5); // sum of p log2(p / q)
  expect(found.restBefore).toBeCloseTo(0.375, 6);
  expect(found.restAfter).toBeCloseTo(0.375, 6);
});

test("nothing changed is no distance", () => {
  const same = logits(0.7, 0.2, 0.1);
  const found = differenceOf(same, same, 10);
  expect(found.bits).toBe(0);
  expect(found.rows.every(({ points }) => points === 0)).toBe(true);
  expect(found.restAfter).toBeCloseTo(0, 6);
});
