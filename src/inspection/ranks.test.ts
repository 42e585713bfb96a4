import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ranksIn } from "./ranks.ts";

test("equal the places in a full sort, ties to the lower id", () => {
  const row = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(row, fc.infiniteStream(fc.nat()), (numbers, choice) => {
      const ids = [...new Set([...choice.take(6)].map((n) => n % numbers.length))];
      const sorted = [...numbers.keys()].sort((a, b) => numbers[b] - numbers[a] || a - b);
      expect([...ranksIn(Float32Array.from(numbers), Int32Array.from(ids))]).toEqual(ids.map((id) => sorted.indexOf(id) + 1));
    }),
  );
});

test("nobody asked about: no ranks", () => {
  expect(ranksIn(Float32Array.of(1, 2), new Int32Array(0))).toEqual(new Int32Array(0));
});
