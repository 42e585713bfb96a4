/**
 * What this panel shows: whose weights are counted, by which rule, and which matrix is open.
 * It outlives the panel, so that coming back from another one finds it as it was; layer and head are the studio's own.
 */
import { presetConfig, presetNames, tally } from "../../engine/engine-client.ts";
import type { ModelConfig, Tally } from "../../engine/protocol.ts";
import type { Asked } from "../../state/asked.ts";
import { studio } from "../../state/studio.svelte.ts";
import { views } from "../../state/views.svelte.ts";
import { bend, dimensionNames, dimensionsOf, fits, limits } from "./dimensions.ts";
import type { Dimension, Dimensions } from "./dimensions.ts";
import type { Category } from "./places.ts";

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
  /** The row that the reader multiplies. */
  row: number = $state(0);
  /** The dimension that is pointed at. */
  lit: Dimension | undefined = $state(undefined);

  readonly base: ModelConfig | undefined = $derived(this.source === "model" ? studio.model?.config : presetConfig(this.source));
  readonly dimensions: Dimensions | undefined = $derived(this.bent ?? (this.base && dimensionsOf(this.base)));
  readonly possible: boolean = $derived(this.base !== undefined && this.dimensions !== undefined && fits(this.base, this.dimensions));
  /** The weights counted are those of the open model, which can be looked at. */
  readonly open: boolean = $derived(this.source === "model" && this.bent === undefined);
  readonly name: string = $derived(this.source === "model" ? (studio.model?.info.name ?? "") : this.source);
  /** Of the last dimensions that were possible. */
  readonly tally: Tally | undefined = $derived.by(() => {
    if (this.base && this.dimensions && this.possible) this.#last = tally(bend(this.base, this.dimensions), this.rule, this.name);
    return this.#last;
  });

  #last: Tally | undefined;

  show(source: string): void {
    this.source = presetNames.includes(source) ? source : "model";
    this.bent = undefined;
  }

  /** Changes one dimension; back at the model's own, nothing is bent. */
  set(dimension: Dimension, value: number): void {
    if (!this.base || !this.dimensions) return;
    const own = dimensionsOf(this.base);
    const bent = { ...this.dimensions, [dimension]: value };
    this.bent = (Object.keys(own) as Dimension[]).every((name) => own[name] === bent[name]) ? undefined : bent;
  }

  /** The command that counts the same; undefined where a model that is no preset was bent. */
  command(): string | undefined {
    const rule = `--rule ${this.rule}`;
    if (!this.bent) return `vitrine params ${this.name} ${rule}`;
    if (this.source === "model" || !this.base) return undefined;
    const own = dimensionsOf(this.base);
    const flags = { width: "--width", heads: "--heads", layers: "--layers", vocabularySize: "--vocabulary", contextLength: "--context" };
    const changed = (Object.keys(flags) as Dimension[]).filter((name) => own[name] !== this.bent?.[name]);
    return [`vitrine params ${this.name}`, ...changed.map((name) => `${flags[name]} ${this.bent?.[name]}`), rule].join(" ");
  }

  library(): string {
    if (this.open) return `const engine = await loadModel("${this.name}");\nengine.tally("${this.rule}");`;
    const changed = this.bent ? `, ${JSON.stringify(this.bent)}` : "";
    if (this.source === "model")
      return `const { model } = await loadModel("${this.name}");\ntally({ ...model.config${this.bent ? `, ...${JSON.stringify(this.bent)}` : ""} }, "${this.rule}");`;
    return `tally(presetConfig("${this.source}"${changed}), "${this.rule}");`;
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
    row: view.row,
  }),
  take: (asked) => {
    view.show(asked.text("source") ?? "model");
    view.rule = asked.one("rule", ["video", "exact"]) ?? view.rule;
    view.bent = bentTo(asked, view.base);
    view.category = asked.one("open", view.tally?.rows.map(({ category }) => category) ?? []);
    view.mode = asked.one("mode", ["look", "multiply"]) ?? view.mode;
    view.allHeads = asked.flag("all") ?? view.allHeads;
    view.row = asked.whole("row", 0, 1e7) ?? view.row;
  },
});

/** Undefined where it cannot be. */
function bentTo(asked: Asked, base: ModelConfig | undefined): Dimensions | undefined {
  const numbers = asked.wholes("bent", 1, 1e6, dimensionNames.length);
  if (!base || numbers?.length !== dimensionNames.length) return undefined;
  const [width, heads, layers, vocabularySize, contextLength] = numbers;
  const bent = { width, heads, layers, vocabularySize, contextLength };
  return dimensionNames.every((name) => bent[name] >= limits[name][0] && bent[name] <= limits[name][1]) && fits(base, bent) ? bent : undefined;
}
