/**
 * The studio's state: one model, one tree of text, one selection, shared by all panels. What matters of it is in the address (address.ts).
 * Work is the worker's (engine-client.ts); here is only what the page knows about it.
 */
import { EngineClient, EngineError, isGivenUp } from "../engine/engine-client.ts";
import type { ModelSource, OpenedModel, Outlook, StepFacts } from "../engine/protocol.ts";
import { windowStart } from "../engine/window.ts";
import { Outlooks } from "./outlooks.ts";
import { piecesOf } from "./pieces.ts";
import { regrow } from "./regrow.ts";
import type { SavedTree } from "./tree-text.ts";
import { pathTo, runAfter, tipOf, treeNode, walkTo } from "./tree.ts";
import type { Knobs, Origin, Run, TreeNode } from "./tree.ts";
import type { Why } from "./why.ts";

export type PanelId = "write" | "distribution" | "tokens" | "flow" | "lens" | "matrices" | "context";
export type Depth = "story" | "numbers" | "code";
export type Theme = "dark" | "light";

export interface Loading {
  readonly name: string;
  readonly done: number;
  readonly total: number;
}

export interface Notice {
  readonly key: number;
  readonly kind: "note" | "error";
  readonly text: string;
}

/** The longest text that is generated without being asked again. */
const mostTokens = 400;

class Studio {
  // What the visitor chose; all of it but theme and speed, which are this device's, is in the address.
  panel: PanelId = $state("write");
  depth: Depth = $state("numbers");
  theme: Theme = $state("dark");
  prompt: string = $state("Once upon a time, there was a");
  temperature: number = $state(0.8);
  topK: number = $state(0);
  topP: number = $state(1);
  minP: number = $state(0);
  seed: number = $state(7);
  /** Positions the model may look back at; 0 = all it has. */
  contextLimit: number = $state(0);
  /** Tokens a second while playing. */
  speed: number = $state(4);
  layer: number = $state(0);
  head: number = $state(0);
  /** Index on the tape of the token in the light; undefined = the one that comes next. */
  selected: number | undefined = $state(undefined);

  /** Index on the tape of the token that the pointer rests on: Write shows what it was drawn from. */
  pointed: number | undefined = $state(undefined);

  // The engine
  model: OpenedModel | undefined = $state.raw(undefined);
  loading: Loading | undefined = $state.raw(undefined);
  /** A visitor's model on its way into the browser's file system; it is open meanwhile. */
  keeping: Loading | undefined = $state.raw(undefined);
  /** Why there is no model, in plain words. */
  failure: string = $state("");
  notices: readonly Notice[] = $state.raw([]);

  // The text
  /** The last token of the prompt, where everything generated grows that does not branch off before. */
  promptTip: TreeNode | undefined = $state.raw(undefined);
  tip: TreeNode | undefined = $state.raw(undefined);
  /** Raised when the tree changed inside. */
  changes: number = $state(0);
  playing: boolean = $state(false);
  busy: boolean = $state(false);

  why: Why | undefined = $state.raw(undefined);

  readonly engine: EngineClient = new EngineClient({
    progress: (done, total) => {
      if (this.loading) this.loading = { ...this.loading, done, total };
    },
    note: (text) => this.say("note", text),
  });

  readonly path: readonly TreeNode[] = $derived.by(() => (this.changes, pathTo(this.tip)));
  readonly ids: readonly number[] = $derived(this.path.map(({ token }) => token.id));
  /** What stands on the tape: characters that several tokens share are whole in the first of them. */
  readonly texts: readonly string[] = $derived(piecesOf(this.path.map(({ token }) => token)).map(({ text }) => text));
  /** Tokens of the prompt at the beginning of the tape: all of them, unless a branch left it before its end. */
  readonly promptLength: number = $derived(this.path.filter(({ origin }) => origin === "prompt").length);
  /** Positions the model may look back at. */
  readonly context: number = $derived(
    this.contextLimit > 0 ? Math.min(this.contextLimit, this.model?.info.contextLength ?? this.contextLimit) : (this.model?.info.contextLength ?? 0),
  );
  /** Tokens at the beginning of the tape that the model does not see when it chooses the next one. */
  readonly forgotten: number = $derived(this.model ? windowStart(this.givenBefore(this.path.length), this.path.length, this.context) : 0);
  readonly knobs: Knobs = $derived.by(() => {
    const { temperature, topK, topP, minP, seed, context } = this;
    return { temperature, topK, topP, minP, seed, context };
  });
  /** Where the selected distribution stands: the index of the token it was for, which is the tape's length for the next one. */
  readonly place: number = $derived(this.selected === undefined || this.selected >= this.path.length ? this.path.length : this.selected);

  readonly #outlooks: Outlooks = new Outlooks(this.engine);
  #vocabulary: Promise<readonly string[]> | undefined;
  #play: AbortController | undefined;
  #reading: AbortController | undefined;
  #notices = 0;

  say(kind: Notice["kind"], text: string): void {
    const notice = { key: this.#notices++, kind, text };
    this.notices = [...this.notices.filter((old) => old.text !== text), notice].slice(-3);
  }

  dismiss(key: number): void {
    this.notices = this.notices.filter((notice) => notice.key !== key);
  }

  /** Runs work for a button: errors become notices, given-up work is silent. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!isGivenUp(error)) this.say("error", error instanceof EngineError && !error.internal ? error.message : `internal: ${String(error)}`);
      return undefined;
    }
  }

  /** Opens a model and reads the prompt with it. The one before, and all text, stays when this one cannot be opened or cannot read it. Gives whether it worked. */
  async open(source: ModelSource): Promise<boolean> {
    this.pause();
    this.loading = { name: source.name, done: 0, total: 0 };
    try {
      this.model = await this.engine.call("open", [source, this.prompt]);
      this.failure = "";
      this.#outlooks.forget();
      this.why = undefined;
      this.#vocabulary = undefined;
      this.promptTip = this.tip = undefined; // the old text is the old model's
      this.layer = Math.min(this.layer, this.model.info.layers - 1);
      this.head = Math.min(this.head, this.model.info.heads - 1);
      await this.readPrompt();
      return true;
    } catch (error) {
      if (isGivenUp(error)) return false;
      const text = error instanceof Error ? error.message : String(error);
      if (this.model) this.say("error", text);
      else this.failure = text;
      return false;
    } finally {
      this.loading = undefined;
    }
  }

  /** Tokens of the prompt, with what the model expected at each of them. Everything generated is left behind. */
  async readPrompt(saved?: SavedTree): Promise<void> {
    this.pause();
    this.#reading?.abort();
    const { signal } = (this.#reading = new AbortController());
    const { model } = this;
    if (!model) return;
    let ids = (await this.engine.call("tokenize", [this.prompt], signal)).map(({ id }) => id);
    if (ids.length === 0 && model.startId !== undefined) ids = [model.startId];
    if (ids.length === 0) {
      this.promptTip = this.tip = undefined;
      this.selected = undefined;
      return;
    }
    const steps = await this.engine.call("score", [ids, this.context], signal);
    const prompt: TreeNode[] = [];
    for (const facts of steps) {
      const node = treeNode(prompt.at(-1), facts, { origin: "prompt" });
      node.parent?.children.push(node);
      prompt.push(node);
    }
    this.promptTip = this.tip = prompt.at(-1);
    this.selected = undefined;
    this.why = undefined;
    this.changes++;
    if (!saved || prompt.length === 0) return;
    const { knobs: now } = this;
    const { vocabularySize } = model.info;
    this.tip = await regrow(saved, { prompt, now, vocabularySize, replay: (before, next) => this.engine.call("replay", [before, next], signal) });
    this.changes++;
  }

  /** One more token, as `vitrine generate` would choose it; walks on where it has been before. Gives false at the end of the text. */
  async step(signal?: AbortSignal): Promise<boolean> {
    const { tip } = this;
    if (!tip || tip.ends) return false;
    if (this.busy) return true; // one token at a time, however fast the keys come
    const { ids, knobs } = this;
    const run = runAfter(tip, ids.length, knobs.seed);
    this.busy = true;
    try {
      const next = await this.engine.call("step", [{ ids: [...ids], prompt: run.from, draws: run.draws, ...knobs }], signal);
      if (this.tip !== tip) return false;
      this.#grow(tip, next, "sampled", { run, drawn: knobs, forgotten: next.forgotten, ends: next.ends });
      return !next.ends;
    } finally {
      this.busy = false;
    }
  }

  async play(): Promise<void> {
    if (this.playing) return;
    const control = (this.#play = new AbortController());
    this.playing = true;
    this.selected = undefined;
    const start = this.path.length;
    try {
      while (!control.signal.aborted && this.path.length - start < mostTokens) {
        const begun = performance.now();
        if (!(await this.step(control.signal))) break;
        const pause = 1000 / this.speed - (performance.now() - begun);
        if (pause > 0) await sleep(pause, control.signal);
      }
    } catch (error) {
      if (!isGivenUp(error)) this.say("error", error instanceof Error ? error.message : String(error));
    } finally {
      if (this.#play === control) this.playing = false;
    }
  }

  pause(): void {
    this.#play?.abort();
    this.playing = false;
  }

  toggle(): void {
    if (this.playing) this.pause();
    else void this.play();
  }

  /** Takes the last token off the tape; it stays in the tree. Behind it the prompt is whole again, also where a branch had left it early. */
  undo(): void {
    this.pause();
    const { tip } = this;
    if (!tip?.parent || tip.origin === "prompt") return;
    this.goTo(tip.parent.origin === "prompt" ? this.promptTip! : tip.parent, false);
    this.selected = undefined;
  }

  /** Puts another token in the place `at` of the tape: a branch, of the prompt too. Its first token has none: nothing predicted it. */
  async pick(at: number, id: number): Promise<void> {
    this.pause();
    const parent = at === 0 ? undefined : this.path[at - 1];
    if (!parent) return;
    const known = parent.children.find((child) => child.token.id === id);
    if (known) {
      this.goTo(known);
      return;
    }
    const before = pathTo(parent).map(({ token }) => token.id);
    const steps = await this.engine.call("score", [[...before, id], this.context]);
    this.#grow(parent, steps[steps.length - 1], "picked", { ends: this.model?.config.eosIds.includes(id) });
    this.selected = undefined;
  }

  /** Another draw for what comes next: the same place, the next seed. */
  async again(): Promise<void> {
    this.pause();
    this.seed = (this.seed + 1) % 2 ** 31;
    if (this.tip?.origin !== "prompt") this.tip = this.tip?.parent;
    this.selected = undefined;
    await this.step();
  }

  /** Walks to a node of the tree and on to the end of its branch. */
  goTo(node: TreeNode, end = true): void {
    this.pause();
    walkTo(node);
    this.tip = end ? tipOf(node) : node;
    this.changes++;
  }

  select(at: number | undefined): void {
    this.selected = at === undefined || at >= this.path.length ? undefined : Math.max(0, at);
  }

  /** Logits of what could stand at place `at` of the tape (1 or more), with the context as it is now. */
  outlook(at: number = this.place): Promise<Outlook> {
    return this.outlookAfter(this.ids.slice(0, at), this.givenBefore(at), this.context);
  }

  outlookAfter(ids: readonly number[], given: number, context: number): Promise<Outlook> {
    return this.#outlooks.after(ids, given, context);
  }

  /** How many of the tokens before place `at` were given at once when the one there was chosen: all before its run began. */
  givenBefore(at: number): number {
    const node = this.path[at] as TreeNode | undefined;
    return node ? (node.run?.from ?? at) : runAfter(this.path[at - 1], at, this.seed).from;
  }

  vocabulary(): Promise<readonly string[]> {
    return (this.#vocabulary ??= this.engine.call("vocabulary", []));
  }

  #grow(
    parent: TreeNode,
    facts: StepFacts,
    origin: Origin,
    more: { readonly run?: Run; readonly drawn?: Knobs; readonly forgotten?: number; readonly ends?: boolean },
  ): TreeNode {
    let node = parent.children.find((child) => child.token.id === facts.token.id);
    if (!node) {
      node = treeNode(parent, facts, { origin, ...more });
      parent.children.push(node);
    } else if (node.run && node.drawn?.seed === more.drawn?.seed) {
      node.drawn = more.drawn; // the same draw of the same run, with other knobs
      node.sampledFrom = facts.sampledFrom;
    }
    walkTo(node);
    this.tip = node;
    this.changes++;
    return node;
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(new DOMException("given up", "AbortError"))), { once: true });
  });
}

export const studio = new Studio();
