import { describe, expect, test } from "vitest";
import { distributionOf } from "../../../src/generation/distribution.ts";
import { sampler } from "../../../src/generation/sampling.ts";
import { treeNode } from "../../state/tree.ts";
import type { TreeNode } from "../../state/tree.ts";
import { chartOf, chartOfNode, fullBar, surprise } from "./candidates.ts";

const logits = Float32Array.from({ length: 40 }, (_, id) => Math.sin(id * 12.9898) * 4);
const own = distributionOf(logits);

function node(id: number): TreeNode {
  const top = own.top(24).map((candidate) => ({ ...candidate, text: `t${candidate.id}` }));
  const token = { id, text: `t${id}`, bytes: new Uint8Array(), special: false };
  const facts = { token, position: 3, probability: own.probability(id), logprob: own.logprob(id), rank: own.rank(id), sampledFrom: 0.5, top };
  return treeNode(undefined, { ...facts, rest: own.rest(24) }, { origin: "sampled" });
}

describe("charts", () => {
  test("the favourite's place: twelve rows, and the rest adds up to one", () => {
    const favourite = own.top(1)[0].id;
    const { rows, chosen, others, rest } = chartOfNode(node(favourite), 40);
    expect(rows).toHaveLength(12);
    expect(chosen).toBe(favourite);
    expect(others).toBe(28);
    expect(rest + rows.reduce((sum, row) => sum + row.own, 0)).toBeCloseTo(1, 12);
    expect(rows[0].drawn).toBe(0.5); // its own, even before all logits are there
    expect(rows[1].drawn).toBeUndefined();
  });

  test.each([14, 40])("a chosen token of rank %d takes the last row", (rank) => {
    const { id } = own.top(40)[rank - 1];
    const { rows, rest } = chartOfNode(node(id), 40, own);
    expect(rows).toHaveLength(12);
    expect(rows[11]).toMatchObject({ id, rank });
    expect(rows[11].logit).toBeCloseTo(logits[id], 3);
    expect(rest + rows.reduce((sum, row) => sum + row.own, 0)).toBeCloseTo(1, 12);
  });

  test("an open place: drawn is what the sampler would draw from", () => {
    const drawn = sampler({ temperature: 0.5, topK: 3 }).filter(own, [], []);
    const { rows, chosen } = chartOf(own, drawn, (id) => `t${id}`);
    expect(chosen).toBeUndefined();
    expect(rows.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(rows.slice(0, 3).reduce((sum, row) => sum + row.drawn!, 0)).toBeCloseTo(1, 12);
    expect(rows[3].drawn).toBe(0);
    expect(fullBar(rows)).toBe(rows[0].drawn);
  });

  test("the first token has no rows; surprise is in bits", () => {
    const first = treeNode(undefined, { ...node(1), top: [], rest: 1, rank: undefined, probability: undefined }, { origin: "prompt" });
    expect(chartOfNode(first, 40).rows).toEqual([]);
    expect(surprise({ logprob: Math.log(1 / 8) })).toBeCloseTo(3, 12);
    expect(surprise({ logprob: undefined })).toBeUndefined();
  });
});
