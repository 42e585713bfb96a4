import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_RULE, mergeRules } from "./merge-rules.ts";
import { merge, mergeInRounds, mergeWatched } from "./merge.ts";
import type { MergeRules } from "./merge-rules.ts";

/** Rules over a few symbols in any order, products among the symbols themselves: worse than any learned list. */
const anyRules: fc.Arbitrary<MergeRules> = fc
  .uniqueArray(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 30, selector: ([a, b]) => a * 7 + b })
  .chain((pairs) => fc.tuple(fc.constant(pairs), fc.array(fc.nat(12), { minLength: pairs.length, maxLength: pairs.length })))
  .map(([pairs, products]) => mergeRules(Int32Array.from(pairs.flatMap(([a, b], i) => [a, b, products[i]]))));

function bySteps(rules: MergeRules, symbols: readonly number[]): number[] {
  const standing = [...symbols];
  mergeWatched(rules, standing, () => {});
  return standing;
}

describe("merge rules", () => {
  it("answer rank and product, and NO_RULE for other pairs", () => {
    const rules = mergeRules(Int32Array.of(1, 2, 10, 2, 1, 11));
    expect([rules.rank(1, 2), rules.rank(2, 1), rules.rank(1, 1)]).toEqual([0, 1, NO_RULE]);
    expect([...rules.products]).toEqual([10, 11]);
  });

  it("let the later of two rules for one pair hold", () => {
    expect(mergeRules(Int32Array.of(1, 2, 10, 3, 4, 11, 1, 2, 12)).rank(1, 2)).toBe(2);
  });

  it("find every one of many", () => {
    const triples = Int32Array.from({ length: 3 * 5000 }, (_, i) => (i % 3 === 0 ? Math.floor(i / 3) % 71 : i % 3 === 1 ? Math.floor(i / 213) : i));
    const rules = mergeRules(triples);
    for (let rank = 0; rank < 5000; rank++) expect(rules.rank(triples[rank * 3], triples[rank * 3 + 1])).toBe(rank);
  });
});

describe("merging", () => {
  it("in rounds equals the plain scan, for rules in any order", () => {
    fc.assert(
      fc.property(anyRules, fc.array(fc.nat(6), { maxLength: 60 }), (rules, symbols) => {
        const expected = bySteps(rules, symbols);
        const inRounds = Int32Array.from(symbols);
        expect([...inRounds.subarray(0, mergeInRounds(rules, inRounds, symbols.length))]).toEqual(expected);
        const short = Int32Array.from(symbols);
        expect([...short.subarray(0, merge(rules, short, symbols.length))]).toEqual(expected);
      }),
      { numRuns: 5000 },
    );
  });

  it("asks for ranks in proportion to the length", () => {
    // Doubling rules: a a -> b, b b -> c, ...: the deepest chain of merges there is.
    const doubling = mergeRules(Int32Array.from({ length: 3 * 20 }, (_, i) => Math.floor(i / 3) + (i % 3 === 2 ? 1 : 0)));
    const questions = (length: number): number => {
      let asked = 0;
      const counting: MergeRules = { ...doubling, rank: (left, right) => (asked++, doubling.rank(left, right)) };
      mergeInRounds(counting, new Int32Array(length), length);
      return asked;
    };
    expect(questions(400_000) / questions(100_000)).toBeLessThan(4.1);
  });
});
