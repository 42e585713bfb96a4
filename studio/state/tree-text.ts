/**
 * The branches as short text for the address, and back. Ids in base 36, with the main path last:
 *   a.b     token a, and b behind it
 *   !a      a token that was picked
 *   -5      five tokens of the prompt
 *   a_2     drawn with the knobs no. 2 of a list, and so is what follows; without it, with those the address has
 *   a(b).c  b is a side branch behind a
 */
import { sameKnobs } from "./tree.ts";
import type { Knobs, TreeNode } from "./tree.ts";

export interface SavedNode {
  /** How many tokens of the prompt are walked; 0 for a token of its own. */
  readonly prompt: number;
  readonly id: number;
  readonly picked: boolean;
  /** Its place in the list of knobs; undefined = as the one before. */
  readonly knobs: number | undefined;
  /** The main path first. */
  readonly children: readonly SavedNode[];
}

export interface SavedTree {
  readonly root: SavedNode;
  readonly knobs: readonly Knobs[];
  /** Tokens on the tape, where it does not reach the end of the main path. */
  readonly length: number | undefined;
}

/** Longer ones stay out of the address, and are not read from one: some programs cut long links. */
const longest = 6000;
const mostKnobs = 64;

/** Of the tree from the prompt's first token on; "" where there is nothing but the prompt, or too much. `now`: what the address has. */
export function writeTree(root: TreeNode, now: Knobs): { readonly tree: string; readonly knobs: string } {
  const list: Knobs[] = [];
  const numberOf = (knobs: Knobs): number => {
    const known = list.findIndex((other) => sameKnobs(other, knobs));
    return known < 0 ? list.push(knobs) - 1 : known;
  };
  const write = (first: TreeNode, before: Knobs): string => {
    let text = "";
    let knobs = before;
    for (let at = first; ;) {
      if (at.origin === "prompt") {
        let count = 1;
        for (; at.children.length === 1 && at.children[0].origin === "prompt"; count++) at = at.children[0];
        text += `-${count.toString(36)}`;
      } else {
        text += (at.origin === "picked" ? "!" : "") + at.token.id.toString(36);
        if (at.drawn && !sameKnobs(at.drawn, knobs)) {
          knobs = at.drawn;
          text += `_${numberOf(knobs).toString(36)}`;
        }
      }
      const [main, ...sides] = at.children;
      if (main === undefined) return text;
      for (const side of sides) text += `(${write(side, knobs)})`;
      text += ".";
      at = main;
    }
  };
  const tree = write(root, now);
  const fits = tree.length <= longest && list.length <= mostKnobs && !/^-[0-9a-z]+$/.test(tree);
  return fits ? { tree, knobs: list.map(writeKnobs).join("*") } : { tree: "", knobs: "" };
}

function writeKnobs({ temperature, topK, topP, minP, seed, context }: Knobs): string {
  return [temperature, topK, topP, minP, seed, context].join("_");
}

/** Undefined for text that writeTree did not write. */
export function readTree(text: string): SavedNode | undefined {
  if (text.length > longest) return undefined;
  let at = 0;
  const read = (): SavedNode | undefined => {
    let first: SavedNode | undefined;
    let above: SavedNode[] | undefined;
    for (;;) {
      const match = /^(?:-([0-9a-z]{1,4})|(!?)([0-9a-z]{1,5})(?:_([0-9a-z]{1,2}))?)/.exec(text.slice(at, at + 12));
      if (match === null) return undefined;
      at += match[0].length;
      const [, prompt, mark, id, knobs] = match;
      const children: SavedNode[] = [];
      const node: SavedNode = {
        prompt: prompt === undefined ? 0 : parseInt(prompt, 36),
        id: id === undefined ? -1 : parseInt(id, 36),
        picked: mark === "!",
        knobs: knobs === undefined ? undefined : parseInt(knobs, 36),
        children,
      };
      first ??= node;
      above?.unshift(node);
      while (text[at] === "(") {
        at++;
        const side = read();
        if (side === undefined || text[at] !== ")") return undefined;
        at++;
        children.push(side);
      }
      if (text[at] !== ".") return first;
      at++;
      above = children;
    }
  };
  const root = read();
  return root !== undefined && at === text.length ? root : undefined;
}

/** Undefined for text that writeTree did not write, or with knobs that cannot stand so. */
export function readKnobs(text: string): readonly Knobs[] | undefined {
  if (text === "") return [];
  const list = text.split("*").map((one) => one.split("_"));
  if (list.length > mostKnobs || list.some((one) => one.length !== 6 || one.some((value) => !/^\d+(\.\d+)?(e-?\d+)?$/.test(value)))) return undefined;
  const knobs = list.map((one) => {
    const [temperature, topK, topP, minP, seed, context] = one.map(Number);
    return { temperature, topK, topP, minP, seed, context };
  });
  return knobs.every(canStand) ? knobs : undefined;
}

function canStand({ temperature, topK, topP, minP, seed, context }: Knobs): boolean {
  const whole = [topK, seed, context].every(Number.isSafeInteger);
  return whole && temperature <= 1000 && topK <= 1e6 && topP > 0 && topP <= 1 && minP <= 1 && context >= 1 && context <= 1e6;
}
