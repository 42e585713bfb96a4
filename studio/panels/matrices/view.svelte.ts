/**
 * What this panel shows: whose weights are counted, by which rule, and which matrix is open.
 * It outlives the panel, so that coming back from another one finds it as it was; layer and head are the studio's own.
 */
import { presetConfig, presetNames, tally } from "../../engine/engine-client.ts";
import type { ModelConfig, Tally } from "../../engine/protocol.ts";
import type { Asked } from "../../state/asked.ts";
import { studio } from "../../state/studio.svelte.ts";
import { views } from "../../state/views.svelte.ts";
import { bend, changed, dimensionNames, dimensionsOf, fits, limits } from "./dimensions.ts";
import type { Dimension, Dimensions } from "./dimensions.ts";
import type { Category } from "./places.ts";
import type { Corner, Place } from "./sight.ts";

const origin: { readonly corner: Corner; readonly cursor: Place } = { corner: { top: 0, left: 0 }, cursor: { row: 0, column: 0 } };

class MatricesView {
  /** "model" = the open one; else a preset. */
  source: string = $state("model");
  rule: Tally["rule"] = $state("video");
  /** Undefined = as the model or the preset comes. */
  bent: Dimensions | undefined = $state.raw(undefined);
  category: Category | undefined = $state(undefined);
  mode: "look" | "multiply" = $state("look");
  /** All heads of the layer side by side, instead of one head's part. */
  allHeads: boolean = $state(false);
  /** Of biases and norms: the one of them that is shown, by its name in the checkpoint. */
  vector: string | undefined = $state(undefined);
  /** The row that the reader multiplies; undefined = the matrix's first, of the unembedding the favourite's. */
  row: number | undefined = $state(undefined);
  /** Products in the reader's sum; undefined = all. */
  terms: number | undefined = $state(undefined);
  /** Side of a weight's square in the viewer, in pixels; 0 = all of the matrix. */
  zoom: number = $state(0);
  corner: Corner = $state.raw(origin.corner);
  cursor: Place = $state.raw(origin.cursor);
  /** The dimension that is pointed at. */
  lit: Dimension | undefined = $state(undefined);

  readonly base: ModelConfig | undefined = $derived(this.source === "model" ? studio.model?.config : presetConfig(this.source));
  readonly dimensions: Dimensions | undefined = $derived(this.bent ?? (this.base && dimensionsOf(this.base)));
  readonly possible: boolean = $derived(this.base !== undefined && this.dimensions !== undefined && fits(this.base, this.dimensions));
  /** The weights counted are those of the open model, which can be looked at. */
  readonly isOpen: boolean = $derived(this.source === "model" && this.bent === undefined);
  readonly name: string = $derived(this.source === "model" ? (studio.model?.info.name ?? "") : this.source);
  /** Of the last dimensions that were possible. */
  readonly counted: { readonly tally: Tally; readonly bent: Dimensions | undefined } | undefined = $derived.by(() => {
    if (this.base && this.dimensions && this.possible)
      this.#last = { tally: tally(bend(this.base, this.dimensions), this.rule, this.name), bent: this.bent };
    return this.#last;
  });
  readonly tally: Tally | undefined = $derived(this.counted?.tally);

  #last: typeof this.counted;

  /** Opens a category's matrix, or none, from its beginning. */
  open(category: Category | undefined): void {
    this.category = category;
    this.row = this.terms = this.vector = undefined;
    this.wholeMatrix();
  }

  wholeMatrix(): void {
    this.zoom = 0;
    this.corner = origin.corner;
    this.cursor = origin.cursor;
  }

  show(source: string): void {
    this.source = presetNames.includes(source) ? source : "model";
    this.bent = undefined;
  }

  /** Changes one dimension; back at the model's own, nothing is bent. */
  set(dimension: Dimension, value: number): void {
    if (!this.base || !this.dimensions) return;
    const own = dimensionsOf(this.base);
    const bent = changed(this.base, this.dimensions, dimension, value);
    this.bent = (Object.keys(own) as Dimension[]).every((name) => own[name] === bent[name]) ? undefined : bent;
  }
}

export const view = new MatricesView();

views.describe("matrices", {
  tell: () => ({
    source: view.source,
    rule: view.rule,
    bent: view.bent && view.possible ? dimensionNames.map((name) => view.dimensions![name]) : undefined,
    open: view.category,
    mode: view.mode,
    all: view.allHeads,
    vector: view.vector,
    row: view.row,
    terms: view.terms,
    zoom: view.zoom,
    corner: [view.corner.top, view.corner.left].map((squares) => Math.round(squares * 100) / 100),
    cell: [view.cursor.row, view.cursor.column],
  }),
  take: (asked) => {
    view.show(asked.text("source") ?? "model");
    view.rule = asked.one("rule", ["video", "exact"]) ?? view.rule;
    view.bent = bentTo(asked, view.base);
    view.category = asked.one("open", view.tally?.rows.map(({ category }) => category) ?? []);
    view.mode = asked.one("mode", ["look", "multiply"]) ?? view.mode;
    view.allHeads = asked.flag("all") ?? view.allHeads;
    view.vector = asked.text("vector");
    view.row = asked.whole("row", 0, 1e7);
    view.terms = asked.whole("terms", 0, 1e6);
    view.zoom = asked.whole("zoom", 0, 100) ?? 0;
    const [top, left] = pair(asked.numbers("corner", 0, 1e7, 2));
    view.corner = { top, left };
    const [row, column] = pair(asked.wholes("cell", 0, 1e7, 2));
    view.cursor = { row, column };
  },
});

function pair(numbers: readonly number[] | undefined): readonly [number, number] {
  return numbers?.length === 2 ? [numbers[0], numbers[1]] : [0, 0];
}

/** Undefined where it cannot be. */
function bentTo(asked: Asked, base: ModelConfig | undefined): Dimensions | undefined {
  const numbers = asked.wholes("bent", 1, 1e6, dimensionNames.length);
  if (!base || numbers?.length !== dimensionNames.length) return undefined;
  const [width, heads, mlpWidth, layers, vocabularySize, contextLength] = numbers;
  const bent = { width, heads, mlpWidth, layers, vocabularySize, contextLength };
  return dimensionNames.every((name) => bent[name] >= limits[name][0] && bent[name] <= limits[name][1]) && fits(base, bent) ? bent : undefined;
}
