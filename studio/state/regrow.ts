/**
 * Grows the branches again that an address told of. Every token is scored again with the knobs it was drawn with, so its numbers are this
 * model's. What cannot grow (another model's ids, more of the prompt than there is) is left out.
 */
import type { NextStep, ReplayedToken } from "../engine/protocol.ts";
import type { SavedNode, SavedTree } from "./tree-text.ts";
import { pathTo, runAfter, tipOf, treeNode } from "./tree.ts";
import type { Knobs, TreeNode } from "./tree.ts";

interface Soil {
  /** The prompt's tokens, already in the tree. */
  readonly prompt: readonly TreeNode[];
  /** The knobs of the address. */
  readonly now: Knobs;
  readonly vocabularySize: number;
  replay(ids: readonly number[], next: readonly ReplayedToken[]): Promise<readonly NextStep[]>;
}

/** Gives where the tape ends. */
export async function regrow({ root, knobs: list, length }: SavedTree, soil: Soil): Promise<TreeNode> {
  const { prompt, now, vocabularySize } = soil;

  /** Gives the first token of what grew behind `parent`. */
  const grow = (parent: TreeNode | undefined, saved: SavedNode, knobs: Knobs): Promise<TreeNode | undefined> =>
    saved.prompt > 0 ? walkPrompt(parent, saved, knobs) : parent === undefined ? Promise.resolve(undefined) : growBranch(parent, saved, knobs);

  const walkPrompt = async (parent: TreeNode | undefined, saved: SavedNode, knobs: Knobs): Promise<TreeNode | undefined> => {
    if (parent !== undefined && parent.origin !== "prompt") return undefined;
    const from = parent === undefined ? 0 : parent.position + 1;
    const last = prompt[from + saved.prompt - 1] as TreeNode | undefined;
    if (!last) return undefined;
    const firsts: TreeNode[] = [];
    for (const child of saved.children) {
      const first = await grow(last, child, knobs);
      if (first) firsts.push(first);
    }
    last.children = [...new Set([...firsts, ...last.children])]; // the rest of the prompt stands there already: the order is the saved one
    return prompt[from];
  };

  const growBranch = async (parent: TreeNode, saved: SavedNode, before: Knobs): Promise<TreeNode | undefined> => {
    const ids = pathTo(parent).map(({ token }) => token.id);
    const chain = planned(parent, saved, before, ids.length);
    const steps = await soil.replay(
      ids,
      chain.map(({ token }) => token),
    );
    let node = parent;
    const grown = steps.map((facts, i) => {
      const { run, drawn, picked } = chain[i];
      const sampledFrom = picked ? facts.probability : facts.sampledFrom;
      const more = { run, drawn, forgotten: facts.forgotten, ends: facts.ends };
      const child = treeNode(node, { ...facts, sampledFrom }, { origin: picked ? "picked" : "sampled", ...more });
      node.children.push(child);
      return (node = child);
    });
    for (const [i, child] of grown.entries()) for (const side of chain[i].sides) await grow(child, side, chain[i].knobs);
    return grown[0];
  };

  /** The main path of a branch, as far as this model has its ids. */
  const planned = (parent: TreeNode, first: SavedNode, before: Knobs, start: number): Planned[] => {
    const chain: Planned[] = [];
    let knobs = before;
    let last: Pick<TreeNode, "run" | "drawn"> = parent;
    for (let at: SavedNode | undefined = first; at && at.prompt === 0 && at.id < vocabularySize; at = at.children[0]) {
      if (at.knobs !== undefined) knobs = list[at.knobs] ?? knobs;
      const place = start + chain.length;
      const run = at.picked ? undefined : runAfter(last, place, knobs.seed);
      const drawn = at.picked ? undefined : knobs;
      last = { run, drawn };
      const { temperature, topK, topP, minP, context } = knobs;
      const token = { id: at.id, prompt: run?.from ?? place, temperature, topK, topP, minP, context };
      chain.push({ token, run, drawn, picked: at.picked, knobs, sides: at.children.slice(1) });
    }
    return chain;
  };

  await grow(undefined, root, now);
  const tip = tipOf(prompt[0]);
  return length === undefined ? tip : (pathTo(tip)[length - 1] ?? tip);
}

interface Planned extends Pick<TreeNode, "run" | "drawn"> {
  readonly token: ReplayedToken;
  readonly picked: boolean;
  readonly knobs: Knobs;
  readonly sides: readonly SavedNode[];
}
