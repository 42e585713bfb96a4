/**
 * What the parts of this panel share: the stretch of text that the model sees, the selected cell, and the columns worked out so far.
 * Columns are asked for a stretch at a time, one call under way, so that the text can grow meanwhile.
 */
import { isGivenUp } from "../../engine/engine-client.ts";
import { visible } from "../../state/format.ts";
import { studio } from "../../state/studio.svelte.ts";
import { views } from "../../state/views.svelte.ts";
import { ColumnCache, columnsOf, sharedLength, stageAt, stageCount, stageIndex } from "./columns.ts";
import type { Column, Point } from "./columns.ts";
import type { Place } from "./commands.ts";
import { fitting, scaledFrom, scaledText, swapsFrom, swapsText } from "./parts.ts";
import type { Muteable, Scaled, Swap } from "./parts.ts";

export const lensTabs = ["ladder", "pushes", "whatIf"] as const;

interface Changes {
  readonly model: unknown;
  readonly edits: readonly Scaled[];
  readonly swaps: readonly Swap[];
}

/** Candidates of each cell that are kept: the best ten can be chosen as the word to explain. */
const kept = 10;
/** Positions in one call: each call is a pass over the text before them. */
const mostPositions = 24;
/** Of them so many appear in one task of the page. */
const shownAtOnce = 4;

class LensState {
  /** Which reading of the selected layer: before the first block, after its attention, after its MLP. */
  point: Point = $state("post");
  /** What stands below the grid. */
  tab: (typeof lensTabs)[number] = $state("ladder");
  /** Pushes: the strongest first, and against the mean of all tokens. */
  sorted: boolean = $state(false);
  relative: boolean = $state(true);
  /** Layers whose attention is taken apart into its heads. */
  unfolded: readonly number[] = $state.raw([]);
  /** The token to explain, where it is not the one that came; for the text `key`. */
  wish: { readonly key: string; readonly id: number } | undefined = $state.raw(undefined);
  /** Texts of all tokens. */
  words: readonly string[] = $state.raw([]);
  failure: string = $state("");

  readonly layers: number = $derived(studio.model?.info.layers ?? 0);
  readonly stages: number = $derived(stageCount(this.layers));
  /** Where in the text the window begins that the model sees. */
  readonly first: number = $derived(studio.forgotten);
  /** The tokens in the window. */
  readonly ids: readonly number[] = $derived(studio.ids.slice(this.first));
  /** In the window: the position whose prediction is in the light, the one before the selected token. */
  readonly column: number = $derived(Math.max(0, Math.min(this.ids.length - 1, studio.place - 1 - this.first)));
  /** The selected token is one that nothing in the window predicts. */
  readonly unpredicted: boolean = $derived(this.ids.length > 0 && studio.place - 1 < this.first);
  readonly stage: number = $derived(
    Math.min(this.stages - 1, stageIndex(studio.layer, this.point === "pre" && studio.layer > 0 ? "post" : this.point)),
  );
  /** The token that came after the selected position. */
  readonly came: number | undefined = $derived(this.ids[this.column + 1]);

  /** The same for the same tokens up to the selected position, whatever comes after. */
  readonly key: string = $derived(this.ids.slice(0, this.column + 1).join(","));

  // What if: kept while the panel shows something else, gone with the model.
  #changes: Changes = $state.raw({ model: undefined, edits: [], swaps: [] });
  readonly edits: readonly Scaled[] = $derived(this.#changes.model === studio.model ? this.#changes.edits : []);
  readonly swaps: readonly Swap[] = $derived(
    this.#changes.model === studio.model ? fitting(this.#changes.swaps, this.ids.slice(0, this.column + 1)) : [],
  );

  readonly #cache = new ColumnCache();
  #version = $state(0);
  #wanted: readonly number[] = [];
  #under: { readonly control: AbortController; readonly asked: readonly number[]; readonly positions: readonly number[] } | undefined;

  at(position: number): Column | undefined {
    void this.#version;
    return this.#cache.at(position);
  }

  isFresh(position: number): boolean {
    void this.#version;
    return this.#cache.isFresh(position);
  }

  /** The selected column once it follows the token that came; until then what there is, which may be stale. */
  get selected(): { readonly column: Column; readonly fresh: boolean } | undefined {
    const column = this.at(this.column);
    return column && column.stages === this.stages ? { column, fresh: this.#cache.follows(this.column) } : undefined;
  }

  word(id: number): string {
    return visible(this.words[id] ?? "…");
  }

  select(column: number, stage: number): void {
    const at = Math.max(0, Math.min(this.stages - 1, stage));
    const { layer, point } = stageAt(at);
    studio.layer = layer;
    this.point = point;
    const to = this.first + Math.max(0, Math.min(this.ids.length - 1, column)) + 1;
    if (to !== studio.place) studio.select(to);
  }

  /** A scale of 1 takes the edit back. */
  scale({ layer, head }: Muteable, scale: number): void {
    const others = this.edits.filter((edit) => edit.layer !== layer || edit.head !== head);
    this.#change(scale === 1 ? others : [...others, { layer, head, scale }], this.swaps);
  }

  scaleOf({ layer, head }: Muteable): number {
    return this.edits.find((edit) => edit.layer === layer && edit.head === head)?.scale ?? 1;
  }

  /** Puts another token in this position, or takes that back. */
  swap(position: number, to: number | undefined): void {
    const from = this.ids[position];
    const others = this.swaps.filter((swap) => swap.position !== position);
    this.#change(this.edits, to === undefined || to === from ? others : [...others, { position, from, to }]);
  }

  reset(): void {
    this.#change([], []);
  }

  /** Changes from an address, as far as this model and text have them. */
  take(edits: readonly Scaled[], swaps: readonly Swap[]): void {
    const { heads = 0, vocabularySize = 0 } = studio.model?.info ?? {};
    this.#change(
      edits.filter(({ layer, head }) => layer < this.layers && head < heads),
      swaps.filter(({ from, to }) => from >= 0 && to < vocabularySize && from !== to),
    );
  }

  #change(edits: readonly Scaled[], swaps: readonly Swap[]): void {
    this.#changes = { model: studio.model, edits, swaps };
  }

  /** The text and place as library and command take them. */
  place(ids: readonly number[] = this.ids): Place {
    const { first, words } = this;
    const text = ids.map((id, at) => {
      const { token } = studio.path[first + at];
      return token.special ? "" : id === token.id ? token.text : (words[id] ?? "");
    });
    const model = studio.model?.info.name ?? "";
    // a vocabulary that spells its first word with a space has the text without it
    const joined = text.join("");
    const plain = first === 0 && joined.startsWith(" ") && !studio.prompt.startsWith(" ") ? joined.slice(1) : joined;
    return { model, text: plain, position: this.column };
  }

  /** Works out the columns at these positions, as far as they are not known. Asking again changes what comes next. */
  want(positions: readonly number[]): void {
    const { model } = studio;
    if (!model) return;
    if (this.#cache.turnTo(model, this.ids)) this.#version++;
    this.#wanted = positions;
    const under = this.#under;
    if (under) {
      const shared = sharedLength(under.asked, this.ids);
      const useful = under.positions.some((position) => position < shared && (positions.includes(position) || position === this.column));
      if (!useful) under.control.abort();
    } else void this.#work();
  }

  /** The panel is left. */
  rest(): void {
    this.#wanted = [];
    this.#under?.control.abort();
  }

  async #work(): Promise<void> {
    for (;;) {
      const { model } = studio;
      if (!model || this.#wanted.length === 0) return;
      const positions = this.#cache.missing(this.#wanted, [this.column]).slice(0, mostPositions);
      if (positions.length === 0) return;
      const end = positions[positions.length - 1] + 1;
      const asked = this.ids.slice(0, end);
      const control = new AbortController();
      this.#under = { control, asked, positions };
      try {
        const lens = await studio.engine.call("lens", [asked, { positions, next: this.ids[end], top: kept }], control.signal);
        this.failure = "";
        const columns = columnsOf(lens);
        for (let at = 0; at < columns.length; at += shownAtOnce) {
          if (at > 0) await new Promise((resolve) => setTimeout(resolve)); // a grid of hundreds of cells in one go would hold up the page
          this.#cache.put(model, asked, columns.slice(at, at + shownAtOnce));
          this.#version++;
        }
      } catch (error) {
        if (!isGivenUp(error)) {
          this.failure = error instanceof Error ? error.message : String(error);
          return;
        }
      } finally {
        this.#under = undefined;
      }
    }
  }
}

export const lens = new LensState();

views.describe("lens", {
  tell: () => ({
    point: lens.point,
    tab: lens.tab,
    sorted: lens.sorted,
    relative: lens.relative,
    unfolded: lens.unfolded.length > 0 ? lens.unfolded : undefined,
    target: lens.wish?.key === lens.key ? lens.wish.id : undefined,
    scaled: lens.edits.length > 0 ? scaledText(lens.edits) : undefined,
    swaps: lens.swaps.length > 0 ? swapsText(lens.swaps) : undefined,
  }),
  take: (asked) => {
    lens.point = asked.one("point", ["pre", "mid", "post"]) ?? lens.point;
    lens.tab = asked.one("tab", lensTabs) ?? lens.tab;
    lens.sorted = asked.flag("sorted") ?? lens.sorted;
    lens.relative = asked.flag("relative") ?? lens.relative;
    lens.unfolded = [...new Set(asked.wholes("unfolded", 0, lens.layers - 1, 64))];
    const id = asked.whole("target", 0, (studio.model?.info.vocabularySize ?? 0) - 1);
    lens.wish = id === undefined ? undefined : { key: lens.key, id };
    lens.take(scaledFrom(asked.text("scaled", 2000) ?? ""), swapsFrom(asked.text("swaps", 2000) ?? "", lens.ids));
  },
});
