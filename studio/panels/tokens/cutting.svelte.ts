/** What the worker says about the text of the panel: its tokens, the same text cut by another tokenizer, and how the pieces grew. */
import { isGivenUp } from "../../engine/engine-client.ts";
import type { MergeStep, OpenedModel, Tokenized, TokenizerChoice } from "../../engine/protocol.ts";
import { embeddedModels, keptModels, sourceOf } from "../../shell/own-models.ts";
import type { ShelfModel } from "../../shell/own-models.ts";
import { studio } from "../../state/studio.svelte.ts";
import { textBefore } from "../../state/text-before.ts";
import { chunkAt, templateTokens } from "./merging.ts";
import type { Chunk } from "./merging.ts";
import { t } from "./messages.ts";
import { table } from "./table.svelte.ts";
import type { Beside } from "./table.svelte.ts";

/** Pieces drawn; longer texts are counted whole. */
export const mostDrawn = 2000;

export interface Cut extends Tokenized {
  readonly text: string;
  readonly model: string;
}

interface Grown {
  readonly model: OpenedModel | undefined;
  readonly text: string;
  readonly chunks: readonly (readonly MergeStep[])[];
}

/** For a component, while it is there. */
export class Cutting {
  cut: Cut | undefined = $state.raw();
  beside: Tokenized | undefined = $state.raw();
  besideFailed: string = $state("");
  #shelf: readonly ShelfModel[] = $state.raw([]);
  #shelfKnown = $state(false);
  #grown: Grown | undefined = $state.raw();

  readonly text: string = $derived(table.source === "own" ? table.own : textBefore(studio.path, studio.path.length, studio.prompt, studio.promptTip));
  /** Models whose tokenizers the text can be cut with, too. */
  readonly others: readonly ShelfModel[] = $derived(this.#shelf.filter(({ name }) => name !== studio.model?.info.name));
  readonly besideName: string = $derived(
    table.beside === "characters" || table.beside === "bytes" ? t(table.beside) : table.beside.slice(table.beside.indexOf(":") + 1),
  );

  /** First token that the tape has otherwise: the two are the same where the model wrote as its tokenizer cuts. */
  readonly differsAt: number | undefined = $derived.by(() => {
    if (table.source === "own" || !this.cut) return undefined;
    const end = Math.min(mostDrawn, Math.max(studio.ids.length, this.cut.count));
    for (let i = 0; i < end; i++) if (studio.ids[i] !== this.cut.tokens[i]?.id) return i;
    return undefined;
  });
  readonly onTape: boolean = $derived(table.source === "text" && this.cut !== undefined && this.cut.text === this.text);
  /** The piece in the light. Until one is picked, that with the most to tell is shown. */
  readonly picked: number | undefined = $derived.by(() => {
    const { selected } = studio;
    const fromTape = this.onTape && selected !== undefined && (this.differsAt === undefined || selected < this.differsAt);
    const at = fromTape ? selected : table.picked;
    return at !== undefined && this.cut && at < this.cut.tokens.length ? at : longestOf(this.cut);
  });

  /** The text of the pieces that are drawn. */
  readonly #drawn: string = $derived.by(() => {
    const { cut } = this;
    if (!cut || cut.count <= mostDrawn) return cut?.text ?? "";
    return cut.text.slice(0, cut.tokens.reduce((sum, { text }) => sum + text.length, 0) + 64); // prettier-ignore
  });
  /** The merges of the drawn text, once they are there. */
  readonly #chunks: Grown["chunks"] | undefined = $derived(
    this.#grown?.text === this.#drawn && this.#grown.model === studio.model ? this.#grown.chunks : undefined,
  );
  /** The tokenizer has no merges. */
  readonly neverMerges: boolean = $derived(this.#chunks?.length === 0);
  /** Where the picked piece grew. */
  readonly chunk: Chunk | undefined = $derived.by(() => {
    const { cut, picked } = this;
    const chunks = this.#chunks;
    if (!cut || picked === undefined || !chunks) return undefined;
    const before = cut.count > mostDrawn ? cut.tokens.findIndex(({ special }) => !special) : templateTokens(chunks, cut.tokens, cut.count);
    return chunkAt(chunks, picked, before);
  });

  constructor() {
    void Promise.all([embeddedModels().catch(() => []), keptModels()]).then((both) => {
      this.#shelf = both.flat();
      this.#shelfKnown = true;
    });
    $effect(() => this.#cutText());
    $effect(() => this.#cutBeside());
    $effect(() => this.#readMerges());
    // an address may name a model that is not here
    $effect(() => {
      const name = table.beside;
      if (this.#shelfKnown && name.includes(":") && !this.others.some((model) => `${model.kind}:${model.name}` === name)) table.beside = "none";
    });
  }

  pick(at: number): void {
    table.picked = at;
    table.step = undefined;
    if (table.source === "text") studio.select(this.differsAt === undefined || at < this.differsAt ? at : undefined);
  }

  #cutText(): (() => void) | undefined {
    const { model } = studio;
    const { text } = this;
    if (!model) return undefined;
    const found = (tokens: Tokenized): void => void (this.cut = { ...tokens, text, model: model.info.name });
    return ask({ kind: "open" }, text, found, (message) => studio.say("error", message));
  }

  #cutBeside(): (() => void) | undefined {
    const { beside: name } = table;
    const { text } = this;
    this.besideFailed = "";
    if (name === "none" || !studio.model) {
      this.beside = undefined;
      return undefined;
    }
    void this.#shelf;
    let giveUp: (() => void) | undefined;
    let gone = false;
    const failed = (message: string): void => {
      this.beside = undefined;
      this.besideFailed = message;
    };
    void this.#choiceOf(name).then((choice) => {
      if (!gone && choice) giveUp = ask(choice, text, (tokens) => void (this.beside = tokens), failed);
    });
    return () => {
      gone = true;
      giveUp?.();
    };
  }

  async #choiceOf(name: Beside): Promise<TokenizerChoice | undefined> {
    if (name === "characters" || name === "bytes") return { kind: name };
    const model = this.#shelf.find(({ kind, name: own }) => `${kind}:${own}` === name);
    return model && sourceOf(model);
  }

  // asked for when a piece is first picked
  #readMerges(): (() => void) | undefined {
    const { model } = studio;
    const text = this.#drawn;
    if (this.picked === undefined || table.cut === "words" || (this.#grown?.text === text && this.#grown.model === model)) return undefined;
    const control = new AbortController();
    void studio.engine.call("merges", [text], control.signal).then(
      (chunks) => (this.#grown = { model, text, chunks }),
      () => undefined,
    );
    return () => control.abort();
  }
}

/** Calls `then` with the cut, a moment after the last change. Gives how to give it up. */
function ask(choice: TokenizerChoice, of: string, then: (found: Tokenized) => void, failed: (message: string) => void): () => void {
  const control = new AbortController();
  const begin = (): void =>
    void studio.engine.call("tokenizeWith", [choice, of, mostDrawn], control.signal).then(then, (error: unknown) => {
      if (!isGivenUp(error)) failed(error instanceof Error ? error.message : String(error));
    });
  const timer = setTimeout(begin, of.length > 4000 ? 120 : 0);
  return () => {
    clearTimeout(timer);
    control.abort();
  };
}

function longestOf(cut: Cut | undefined): number | undefined {
  const sizes = cut?.tokens.map(({ bytes, special }) => (special ? 0 : bytes.length)) ?? [];
  return sizes.length === 0 ? undefined : sizes.indexOf(Math.max(...sizes));
}
