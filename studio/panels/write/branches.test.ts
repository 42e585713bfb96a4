import { describe, expect, test } from "vitest";
import { treeNode } from "../../state/tree.ts";
import type { TreeNode } from "../../state/tree.ts";
import { layOut } from "./branches.ts";

function grow(parent: TreeNode | undefined, text: string): TreeNode {
  const token = { id: text.charCodeAt(0), text, bytes: new Uint8Array(), special: false };
  const facts = { token, position: 0, probability: 0.5, logprob: Math.log(0.5), rank: 1, sampledFrom: 0.5, top: [], rest: 0.5 };
  const node = treeNode(parent, facts, { origin: parent ? "sampled" : "prompt" });
  parent?.children.push(node);
  return node;
}

describe("layOut", () => {
  test("nothing behind the prompt: nothing to show", () => expect(layOut(grow(undefined, "p"))).toEqual({ branches: [], forks: [], depth: 0 }));

  test("rows by fork, the main line first; columns by length", () => {
    const root = grow(undefined, "p");
    const a = grow(root, "a");
    const b = grow(a, "b");
    const c = grow(b, "c");
    const side = grow(a, "x");
    const far = grow(side, "y");
    const other = grow(root, "z");
    const { branches, forks, depth } = layOut(root);
    expect(branches.map(({ first, end, from, to, row, parentRow }) => [first, end, from, to, row, parentRow])).toEqual([
      [a, c, 1, 3, 0, undefined],
      [side, far, 2, 3, 1, 0],
      [other, other, 1, 1, 2, undefined],
    ]);
    expect(forks.map(({ node, depth: at, row }) => [node, at, row])).toEqual([
      [root, 0, 0],
      [a, 1, 0],
    ]);
    expect(depth).toBe(3);
  });

  test("every node is in exactly one branch, also in a text longer than the call stack", () => {
    const root = grow(undefined, "p");
    let at = root;
    for (let i = 0; i < 20_000; i++) {
      const next = grow(at, "a");
      if (i % 5000 === 0) grow(at, "b");
      at = next;
    }
    const { branches, depth } = layOut(root);
    expect(branches.reduce((sum, { own }) => sum + own.length, 0)).toBe(20_004);
    expect(depth).toBe(20_000);
    expect(branches).toHaveLength(5);
  });
});
