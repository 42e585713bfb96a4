/**
 * What of the state is in the address, so that a link gives the same view: `#write?m=storyteller&p=Once...&t=0.8&x=...`.
 * Reading never trusts it: whatever is not as expected is left at its default.
 */
import { readTree, writeTree } from "./tree.ts";
import type { SavedNode } from "./tree.ts";
import type { Depth, PanelId } from "./studio.svelte.ts";
import type { TreeNode } from "./tree.ts";

export const panelIds: readonly PanelId[] = ["write", "distribution", "tokens", "flow", "lens", "matrices", "context"];
export const depths: readonly Depth[] = ["story", "numbers", "code"];

export interface Address {
  readonly panel?: PanelId;
  readonly model?: string;
  readonly prompt?: string;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly contextLimit?: number;
  readonly depth?: Depth;
  readonly selected?: number;
  readonly layer?: number;
  readonly head?: number;
  readonly tree?: SavedNode;
}

export function readAddress(hash: string): Address {
  const [panel, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const asked = new URLSearchParams(query);
  const number = (name: string, least: number, most: number, integer = true): number | undefined => {
    const text = asked.get(name);
    const value = Number(text);
    return text !== null && text !== "" && value >= least && value <= most && (!integer || Number.isInteger(value)) ? value : undefined;
  };
  const one = <T extends string>(text: string | null, of: readonly T[]): T | undefined => of.find((item) => item === text);
  return {
    panel: one(panel, panelIds),
    model: asked.get("m") ?? undefined,
    prompt: asked.get("p") ?? undefined,
    temperature: number("t", 0, 1000, false),
    topK: number("k", 0, 1e6),
    topP: number("tp", 1e-6, 1, false),
    minP: number("mp", 0, 1, false),
    seed: number("s", 0, Number.MAX_SAFE_INTEGER),
    contextLimit: number("c", 0, 1e6),
    depth: one(asked.get("d"), depths),
    selected: number("i", 0, 1e6),
    layer: number("l", 0, 1000),
    head: number("h", 0, 1000),
    tree: readTree(asked.get("x") ?? ""),
  };
}

/** Branches longer than this stay out of the address: some programs cut long links. */
const longest = 6000;

export function writeAddress(state: Omit<Address, "tree">, promptTip: TreeNode | undefined): string {
  const asked = new URLSearchParams();
  const put = (name: string, value: string | number | undefined, plain?: string | number): void => {
    if (value !== undefined && value !== plain) asked.set(name, String(value));
  };
  put("m", state.model);
  put("p", state.prompt);
  put("t", state.temperature, 0.8);
  put("k", state.topK, 0);
  put("tp", state.topP, 1);
  put("mp", state.minP, 0);
  put("s", state.seed, 7);
  put("c", state.contextLimit, 0);
  put("d", state.depth, "numbers");
  put("i", state.selected);
  put("l", state.layer, 0);
  put("h", state.head, 0);
  if (promptTip && promptTip.children.length > 0) {
    const tree = writeTree([promptTip]);
    if (tree.length <= longest) put("x", tree);
  }
  return `#${state.panel}?${asked.toString()}`;
}
