/**
 * The text as a tree: every token that was given or chosen, and the branches that were left. The tape shows one path through it.
 * Pure data and functions; studio.svelte.ts makes it live.
 */
import type { StepFacts } from "../engine/protocol.ts";

export type Origin =
  | "prompt"
  | "sampled" // drawn from the distribution
  | "picked"; // clicked by the visitor

export interface TreeNode extends StepFacts {
  readonly key: number;
  readonly parent: TreeNode | undefined;
  readonly origin: Origin;
  /** For sampled ones: which generation, and its how manieth draw. A generation is a seed at a place of the text. */
  readonly run: { readonly from: number; readonly draws: number } | undefined;
  /** How many tokens at the beginning of the text the model no longer saw when it chose this one. */
  readonly forgotten: number;
  /** The model's end of text. */
  readonly ends: boolean;
  children: TreeNode[];
  /** log2 of the probability of everything generated up to here, branches compared from the prompt on. */
  readonly joint: number;
}

let keys = 0;

export function treeNode(
  parent: TreeNode | undefined,
  facts: StepFacts,
  more: { readonly origin: Origin; readonly run?: TreeNode["run"]; readonly forgotten?: number; readonly ends?: boolean },
): TreeNode {
  const { origin, run, forgotten = 0, ends = false } = more;
  const own = origin === "prompt" ? 0 : (facts.logprob ?? 0) / Math.LN2;
  return { ...facts, key: keys++, parent, origin, run, forgotten, ends, children: [], joint: (parent?.joint ?? 0) + own };
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

/**
 * The branches as short text for the address: ids in base 36, "." between tokens, "(...)" around each side branch behind the token it
 * leaves. The main path comes last, so reading it back gives the same path.
 */
export function writeTree(roots: readonly TreeNode[]): string {
  const write = (node: TreeNode): string => {
    const mark = node.origin === "picked" ? "!" : "";
    const own = mark + node.token.id.toString(36);
    if (node.children.length === 0) return own;
    const [main, ...sides] = node.children;
    return own + sides.map((side) => `(${write(side)})`).join("") + "." + write(main);
  };
  return roots.length === 0 ? "" : write(roots[0]);
}

export interface SavedNode {
  readonly id: number;
  readonly picked: boolean;
  readonly children: SavedNode[];
}

/** Undefined for text that writeTree did not write. */
export function readTree(text: string): SavedNode | undefined {
  let at = 0;
  const read = (): SavedNode | undefined => {
    const match = /^(!?)([0-9a-z]+)/.exec(text.slice(at, at + 12));
    if (match === null) return undefined;
    at += match[0].length;
    const sides: SavedNode[] = [];
    while (text[at] === "(") {
      at++;
      const side = read();
      if (side === undefined || text[at] !== ")") return undefined;
      at++;
      sides.push(side);
    }
    if (text[at] === ".") {
      at++;
      const main = read();
      if (main === undefined) return undefined;
      return { id: parseInt(match[2], 36), picked: match[1] === "!", children: [main, ...sides] };
    }
    return { id: parseInt(match[2], 36), picked: match[1] === "!", children: sides };
  };
  const root = read();
  return root !== undefined && at === text.length ? root : undefined;
}
