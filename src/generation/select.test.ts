import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { argmax, bestFew, bestIds, few, groupSize, rankOf } from "./select.ts";

/** The definition: a stable sort of all ids by falling logit. */
function sorted(logits: Float32Array): number[] {
  return Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** The same where some are -Infinity, whose difference is NaN. */
function sortedWithHoles(logits: Float32Array): number[] {
  return sorted(logits.map((x) => (x === -Infinity ? -1e38 : x)));
}

const tied = fc.array(fc.constantFrom(-Infinity, -3.5, -0, 0, 1, 1.5, 1e30), { minLength: 1, maxLength: 80 });
const free = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 80 });
const someLogits = fc.oneof(tied, free).map((values) => Float32Array.from(values));

describe("the best of many logits", () => {
  test("equal the head of a full stable sort for every n, ties and all", () => {
    fc.assert(
      fc.property(someLogits, fc.nat(90), (logits, n) => {
        expect(Array.from(bestIds(logits, n))).toEqual(sortedWithHoles(logits).slice(0, n));
      }),
      { numRuns: 2000 },
    );
  });

  test("are the same when the best of every group is known", () => {
    fc.assert(
      fc.property(someLogits, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: few }), (some, times, n) => {
        const logits = Float32Array.from({ length: some.length * times }, (_, id) => some[(id * 7) % some.length]); // many ties, thousands of ids
        const size = groupSize(logits.length);
        const maxima = Array.from({ length: Math.ceil(logits.length / size) }, (_, group) =>
          Math.max(...logits.subarray(group * size, (group + 1) * size)),
        );
        expect(bestFew(logits, n, maxima)).toEqual(sortedWithHoles(logits).slice(0, n));
      }),
      { numRuns: 500 },
    );
  });

  test("rank and argmax agree with that order", () => {
    fc.assert(
      fc.property(someLogits, (logits) => {
        const order = Array.from(bestIds(logits, logits.length));
        expect(argmax(logits)).toBe(order[0]);
        order.forEach((id, at) => expect(rankOf(logits, id)).toBe(at + 1));
      }),
    );
  });

  test("are the same however many are asked for of a large vocabulary", () => {
    const logits = Float32Array.from({ length: 20_000 }, (_, id) => Math.round(Math.sin(id * 12.9898) * 4000) / 100);
    const all = bestIds(logits, logits.length);
    expect(Array.from(all)).toEqual(sorted(logits));
    for (const n of [2, 64, 65, 700, 19_999]) expect(Array.from(bestIds(logits, n))).toEqual(Array.from(all.subarray(0, n)));
    expect(Array.from(bestIds(logits.subarray(5), 700))).toEqual(sorted(logits.subarray(5)).slice(0, 700));
  });
});
