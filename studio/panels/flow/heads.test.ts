import { describe, expect, test } from "vitest";
import type { HeadStages, Looks } from "../../engine/protocol.ts";
import { brightest, lookedAt, lookRow, scoreSum, shares } from "./heads.ts";

const stages: HeadStages = {
  layer: 0,
  head: 0,
  keyHead: 0,
  positions: 2,
  headDimension: 4,
  q: Float32Array.of(1, 0, 0, 0, 1, 2, 3, 4),
  k: Float32Array.of(2, 1, 0, -1, 1, 1, 1, 1),
  v: Float32Array.of(3, 4, 0, 0, 0, 0, 0, 1),
  scores: Float32Array.of(1, -Infinity, 0, 5),
  pattern: Float32Array.of(1, 0, 0.25, 0.75),
  z: new Float32Array(8),
  weighted: Float32Array.of(5, 0, 1.25, 0.75),
};

describe("heads", () => {
  test("a score is the sum of its products over the root of the head size", () => {
    const sum = scoreSum(stages, 1, 0);
    expect(sum.terms.map(({ product }) => product)).toEqual([2, 2, 0, -4]);
    expect(sum.total).toBe(0);
    expect(scoreSum(stages, 1, 1)).toMatchObject({ total: 10, score: 5, hidden: false, weight: 0.75, valueLength: 1 });
    expect(scoreSum(stages, 0, 1).hidden).toBe(true);
  });

  test("shares of a row sum to 1, whatever the measure", () => {
    expect([...shares(stages.weighted, 2, 1)]).toEqual([0.625, 0.375]);
    expect([...shares(stages.pattern, 2, 1)]).toEqual([0.25, 0.75]);
    expect([...shares(new Float32Array(4), 2, 1)]).toEqual([0, 0]);
  });

  test("the first token is left out of the scale and put last when it is dimmed", () => {
    expect(brightest(stages.pattern, 2, false)).toBe(1);
    expect(brightest(stages.pattern, 2, true)).toBe(0.75);
    expect(lookedAt(Float32Array.of(0.9, 0.02, 0.08, 0), 3)).toEqual([0, 2, 1]);
    expect(lookedAt(Float32Array.of(0.9, 0.02, 0.08, 0), 3, true)).toEqual([2, 1, 0]);
  });

  test("the mean of the heads is a row that sums to 1 as well", () => {
    const looks: Looks = { layer: 0, heads: 2, positions: [1], length: 2, data: Float32Array.of(1, 0, 0.5, 0.5) };
    expect([...lookRow(looks, 0, 1)]).toEqual([0.5, 0.5]);
    expect([...lookRow(looks, 0, "mean")]).toEqual([0.75, 0.25]);
  });
});
