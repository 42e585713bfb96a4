/** Branches to an address and back: written, read, grown again, and the same tree. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StepFacts } from "../engine/protocol.ts";
import { readAddress, writeAddress } from "./address.ts";
import { regrow } from "./regrow.ts";
import { readKnobs, readTree, writeTree } from "./tree-text.ts";
import { firstFork, pathTo, runAfter, tipOf, treeNode, walkTo } from "./tree.ts";
import type { Knobs, TreeNode } from "./tree.ts";

const now: Knobs = { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: 7, context: 128 };
const V = 50;

/** As the model would tell it: what a token has depends on the knobs. */
function facts(id: number, position: number, temperature: number): StepFacts {
  const token = { id, text: `t${id}`, bytes: new Uint8Array(), special: false };
  return { token, position, probability: 0.5, logprob: Math.log(0.5), rank: 1, sampledFrom: temperature, top: [], rest: 0.5 };
}

function promptOf(length: number): TreeNode[] {
  const prompt: TreeNode[] = [];
  for (let i = 0; i < length; i++) {
    const node = treeNode(prompt.at(-1), facts(i % V, i, 1), { origin: "prompt" });
    node.parent?.children.push(node);
    prompt.push(node);
  }
  return prompt;
}

function grow(parent: TreeNode, id: number, knobs?: Knobs): TreeNode {
  const known = parent.children.find(({ token }) => token.id === id);
  if (known) return known;
  const place = parent.position + 1;
  const more = knobs ? { origin: "sampled" as const, run: runAfter(parent, place, knobs.seed), drawn: knobs } : { origin: "picked" as const };
  const node = treeNode(parent, { ...facts(id, place, knobs?.temperature ?? 1), sampledFrom: knobs?.temperature ?? 0.5 }, more);
  parent.children.push(node);
  walkTo(node);
  return node;
}

/** All of a tree that matters, in its order. */
function told(node: TreeNode): unknown {
  const nodes: unknown[] = [];
  const waiting = [node];
  for (let at = waiting.pop(); at; at = waiting.pop()) {
    const { token, position, origin, run, drawn, sampledFrom } = at;
    nodes.push([token.id, position, origin, run, drawn, origin === "prompt" ? 1 : sampledFrom, at.children.length]);
    waiting.push(...at.children.toReversed());
  }
  return nodes;
}

async function again(hash: string, length: number): Promise<{ readonly prompt: TreeNode[]; readonly tip: TreeNode }> {
  const prompt = promptOf(length);
  const { tree } = readAddress(hash);
  if (!tree) return { prompt, tip: prompt[length - 1] };
  const tip = await regrow(tree, {
    prompt,
    now,
    vocabularySize: V,
    replay: async (ids, next) => next.map(({ id, temperature }, i) => ({ ...facts(id, ids.length + i, temperature), forgotten: 0, ends: false })),
  });
  return { prompt, tip };
}

/** Steps of a visitor: where on the tape, which token, and how it came there. */
const steps = fc.array(
  fc.record({ place: fc.nat(30), id: fc.nat(V - 1), temperature: fc.constantFrom(undefined, 0.8, 0, 1.5), seed: fc.constantFrom(7, 8) }),
  { maxLength: 25 },
);

describe("branches in an address", () => {
  test("come back as they were: tokens, order, knobs, runs, and the end of the tape", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9 }), steps, fc.nat(40), async (length, made, end) => {
        const prompt = promptOf(length);
        let tip = prompt[length - 1];
        for (const { place, id, temperature, seed } of made) {
          const path = pathTo(tip);
          tip = grow(path[place % path.length], id, temperature === undefined ? undefined : { ...now, temperature, seed });
        }
        walkTo(tip);
        const path = pathTo(tipOf(tip));
        tip = path[Math.max(0, path.length - 1 - (end % path.length))];
        if (path.every(({ origin }) => origin === "prompt")) tip = path[path.length - 1];
        const hash = writeAddress({ panel: "write", text: { root: prompt[0], tip, knobs: now }, view: [] });
        const found = await again(hash, length);
        expect(told(found.prompt[0])).toEqual(told(prompt[0]));
        expect(pathTo(found.tip).map(({ token }) => token.id)).toEqual(pathTo(tip).map(({ token }) => token.id));
      }),
    ));

  test("say nothing where there is only the prompt, and are short where it is long", () => {
    const prompt = promptOf(500);
    expect(writeTree(prompt[0], now)).toEqual({ tree: "", knobs: "" });
    grow(prompt[2], 40);
    expect(writeTree(prompt[0], now).tree).toBe("-3(-dt).!14");
    expect(firstFork(prompt[499])).toBe(prompt[2]);
  });

  test("the knobs are told once, where they are not the address's own", () => {
    const prompt = promptOf(2);
    let tip = grow(prompt[1], 1, now);
    for (const id of [2, 3]) tip = grow(tip, id, { ...now, temperature: 2, topK: 40 });
    expect(writeTree(prompt[0], now)).toEqual({ tree: "-2.1.2_0.3", knobs: "2_40_1_0_7_128" });
  });

  test("a text longer than the call stack is written without failing", () => {
    const prompt = promptOf(1);
    let tip = prompt[0];
    for (let i = 1; i <= 20_000; i++) {
      const node = treeNode(tip, facts(i % V, i, 1), { origin: "picked" });
      tip.children.push(node);
      tip = node;
    }
    expect(writeTree(prompt[0], now).tree).toBe("");
  });

  test.each(["1.", "(", "1(2", "1)2", "1..2", "-", "!", "1_", "zzzzzz", "a(".repeat(4000), "A", "1 .2"])("%j is no tree", (text) =>
    expect(readTree(text)).toBeUndefined(),
  );

  test.each(["1_2", "a_0_1_0_7_128", "1_0_0_0_7_128", "1_0_1_2_7_128", "1_0.5_1_0_7_128", "1_0_1_0_7_0", "1_0_1_0_7_128*"])(
    "%j are no knobs",
    (text) => expect(readKnobs(text)).toBeUndefined(),
  );

  test("any address is read calmly, and what cannot grow is left out", () =>
    fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[-!_.()0-9a-z]{0,40}$/), async (x) => {
        const { prompt, tip } = await again(`#write?x=${encodeURIComponent(x)}&n=3&v.__proto__=1&v.a=1`, 4);
        expect(pathTo(tip)[0]).toBe(prompt[0]);
        expect(pathTo(tip).every(({ token }) => token.id < V)).toBe(true);
      }),
    ));
});
