/** What the panel itself remembers: which part is unfolded, the other tokens that are followed, how heads are shown, the line at the bottom. */
import { studio } from "../../state/studio.svelte.ts";
import { views } from "../../state/views.svelte.ts";
import type { Measure } from "./heads.ts";

/** Spines side by side, at most. */
export const mostColumns = 4;

class FlowState {
  /** The part of layer studio.layer that is unfolded. */
  open: "attention" | "mlp" | undefined = $state(undefined);
  /** Tokens followed beside the selected one, as places on the tape. */
  extra: readonly number[] = $state.raw([]);
  /** A tap adds a token instead of moving the selection: what Shift does with a keyboard. */
  adding: boolean = $state(false);
  measure: Measure = $state("weight");
  /** Arcs of all heads together. */
  mean: boolean = $state(false);
  dimFirst: boolean = $state(false);
  /** What the pointer or the cell cursor is at, in words. */
  line: string = $state("");
  /** Columns there is room for. */
  room: number = $state(mostColumns);

  /** The token whose spine is drawn first; -1 where there is none. "Next" is chosen from the last token's spine. */
  readonly main: number = $derived(Math.min(studio.selected ?? Infinity, studio.path.length - 1));
  /** Places on the tape, in its order; those the model does not see any more are left out. */
  readonly places: readonly number[] = $derived.by(() => {
    const { main, extra, room } = this;
    const seen = (at: number): boolean => at >= studio.forgotten && at < studio.path.length;
    const others = extra.filter((at) => at !== main && seen(at)).slice(0, room - 1);
    return [...(seen(main) ? [main] : []), ...others].toSorted((a, b) => a - b);
  });

  /** Adds a token to those that are followed, or takes it away. */
  toggle(at: number): void {
    if (at === this.main) return;
    this.extra = this.extra.includes(at) ? this.extra.filter((other) => other !== at) : [...this.extra, at].slice(-(this.room - 1));
  }

  select(at: number): void {
    this.extra = [];
    studio.select(at);
  }

  /** Unfolds a part, or folds it when it is the one that is open. */
  unfold(layer: number, part: "attention" | "mlp"): void {
    const same = this.open === part && studio.layer === layer;
    studio.layer = layer;
    this.open = same ? undefined : part;
  }
}

export const flow = new FlowState();

views.describe("flow", {
  nextLayer: "below",
  tell: () => ({ open: flow.open, also: flow.extra.length > 0 ? flow.extra : undefined, measure: flow.measure, mean: flow.mean, dim: flow.dimFirst }),
  take: (asked) => {
    flow.open = asked.one("open", ["attention", "mlp"]);
    flow.extra = [...new Set(asked.wholes("also", 0, studio.path.length - 1, mostColumns - 1))];
    flow.measure = asked.one("measure", ["weight", "contribution"]) ?? flow.measure;
    flow.mean = asked.flag("mean") ?? flow.mean;
    flow.dimFirst = asked.flag("dim") ?? flow.dimFirst;
  },
});

/** The tokens the model sees, and their texts, as one value that belongs together. */
export interface Window {
  readonly start: number;
  readonly ids: readonly number[];
  readonly texts: readonly string[];
  /** The text that the tokenizer cuts into just these ids. Undefined where only the ids are sure: after sampling, or with the beginning gone. */
  readonly text: string | undefined;
}

export function windowNow(): Window {
  const { texts, ids, forgotten, prompt, promptTip, tip } = studio;
  return {
    start: forgotten,
    ids: ids.slice(forgotten),
    texts: texts.slice(forgotten),
    text: forgotten === 0 && tip === promptTip && prompt !== "" ? prompt : undefined,
  };
}
