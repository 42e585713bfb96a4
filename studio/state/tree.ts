/**
 * The text as a tree: every token that was given or chosen, and the branches that were left. The tape shows one path through it.
 * The prompt's tokens are its trunk; branches grow from its end, or from inside it. Pure data and functions; studio.svelte.ts makes it live.
 */
import type { Sampling, StepFacts } from "../engine/protocol.ts";

export type Origin =
  | "prompt"
  | "sampled" // drawn from the distribution
  | "picked"; // clicked by the visitor

/** All that a draw depends on beside the text. `context`: positions the model might look back at. */
export interface Knobs extends Sampling {
  readonly seed: number;
  readonly context: number;
}

/** Which generation a token was drawn in, and as its how manieth draw. A generation is a seed at a place of the text. */
export interface Run {
  readonly from: number;
  readonly draws: number;
}

export interface TreeNode extends StepFacts {
  readonly key: number;
  readonly parent: TreeNode | undefined;
  readonly origin: Origin;
  readonly run: Run | undefined;
  /** For sampled ones: the knobs as they stood. */
  drawn: Knobs | undefined;
  sampledFrom: number | undefined;
  /** How many tokens at the beginning of the text the model no longer saw when it chose this one. */
  readonly forgotten: number;
  /** The model's end of text. */
  readonly ends: boolean;
  children: TreeNode[];
  /** log2 of the probability of everything up to here. What a stretch of text has is the difference of its ends. */
  readonly joint: number;
}

let keys = 0;

export function treeNode(
  parent: TreeNode | undefined,
  facts: StepFacts,
  more: { readonly origin: Origin; readonly run?: Run; readonly drawn?: Knobs; readonly forgotten?: number; readonly ends?: boolean },
): TreeNode {
  const { origin, run, drawn, forgotten = 0, ends = false } = more;
  const joint = (parent?.joint ?? 0) + (facts.logprob ?? 0) / Math.LN2;
  return { ...facts, key: keys++, parent, origin, run, drawn, forgotten, ends, children: [], joint };
}

/** The run of a token drawn behind `node`, at this place of the text: a given or picked token begins a new one, and so does a new seed. */
export function runAfter(node: Pick<TreeNode, "run" | "drawn"> | undefined, place: number, seed: number): Run {
  return node?.run && node.drawn?.seed === seed ? { from: node.run.from, draws: node.run.draws + 1 } : { from: place, draws: 0 };
}

export function sameKnobs(a: Knobs, b: Knobs): boolean {
  return (
    a.temperature === b.temperature && a.topK === b.topK && a.topP === b.topP && a.minP === b.minP && a.seed === b.seed && a.context === b.context
  );
}

/** From the first token to this one. */
export function pathTo(node: TreeNode | undefined): TreeNode[] {
  const path: TreeNode[] = [];
  for (let at = node; at !== undefined; at = at.parent) path.push(at);
  return path.reverse();
}

/** Along the children last walked (the first of each list), to the end. */
export function tipOf(node: TreeNode): TreeNode {
  let at = node;
  while (at.children.length > 0) at = at.children[0];
  return at;
}

/** Puts a child first, so that tipOf walks that way. */
export function walkTo(node: TreeNode): void {
  for (let at = node; at.parent !== undefined; at = at.parent) {
    const { children } = at.parent;
    if (children[0] !== at) at.parent.children = [at, ...children.filter((other) => other !== at)];
  }
}

/** Where the tree is first more than the prompt: the token of the prompt that branches leave first, or its last one. */
export function firstFork(promptTip: TreeNode): TreeNode {
  return pathTo(promptTip).find(({ children }) => children.length > 1) ?? promptTip;
}
