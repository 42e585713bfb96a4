/**
 * What of the state is in the address, so that a link gives the same view: `#write?m=storyteller&p=Once...&t=0.8&x=...&v.branches=blocks`.
 * Reading never trusts it: whatever is not as expected is left at its default.
 */
import { Asked } from "./asked.ts";
import type { Depth, PanelId } from "./studio.svelte.ts";
import { readKnobs, readTree, writeTree } from "./tree-text.ts";
import type { SavedTree } from "./tree-text.ts";
import type { Knobs, TreeNode } from "./tree.ts";
import type { Parameters } from "./views.svelte.ts";

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
  readonly tree?: SavedTree;
  /** What the panel shows for itself: its own names and values (views.svelte.ts). */
  readonly view: Parameters;
}

export function readAddress(hash: string): Address {
  const [panel, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parameters = [...new URLSearchParams(query)];
  const asked = new Asked(parameters);
  const root = readTree(asked.text("x", longest) ?? "");
  const knobs = readKnobs(asked.text("y", longest) ?? "");
  return {
    panel: panelIds.find((id) => id === panel),
    model: asked.text("m"),
    prompt: asked.text("p", Infinity),
    temperature: asked.number("t", 0, 1000),
    topK: asked.whole("k", 0, 1e6),
    topP: asked.number("tp", 1e-6, 1),
    minP: asked.number("mp", 0, 1),
    seed: asked.whole("s", 0, Number.MAX_SAFE_INTEGER),
    contextLimit: asked.whole("c", 0, 1e6),
    depth: asked.one("d", depths),
    selected: asked.whole("i", 0, 1e6),
    layer: asked.whole("l", 0, 1000),
    head: asked.whole("h", 0, 1000),
    tree: root && knobs && { root, knobs, length: asked.whole("n", 1, 1e6) },
    view: parameters.flatMap(([name, value]) => (viewName.test(name) ? [[name.slice(2), value] as const] : [])).slice(0, mostOfView),
  };
}

/** The panel's own parameters: "v." and a short name. */
const viewName = /^v\.[a-zA-Z]{1,16}$/;
const mostOfView = 24;
/** More text than that is not asked for by one parameter, other than the prompt. */
const longest = 20_000;

interface Shown extends Omit<Address, "tree" | "view"> {
  /** For the branches: the prompt's first token, the last one of the tape, and the knobs as they stand. */
  readonly text?: { readonly root: TreeNode; readonly tip: TreeNode; readonly knobs: Knobs };
  readonly view: Parameters;
}

export function writeAddress(state: Shown): string {
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
  if (state.text) {
    const { root, tip, knobs } = state.text;
    const written = writeTree(root, knobs);
    put("x", written.tree, "");
    put("y", written.knobs, "");
    if (written.tree !== "" && tip.children.length > 0) put("n", tip.position + 1);
  }
  for (const [name, value] of state.view) put(`v.${name}`, value);
  return `#${state.panel}?${asked.toString()}`;
}
