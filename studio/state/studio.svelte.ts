/**
 * The studio's state: one model, one tree of text, one selection, shared by all panels. What matters of it is in the address (address.ts).
 * Work is the worker's (engine-client.ts); here is only what the page knows about it.
 */
import { EngineClient, EngineError, isGivenUp } from "../engine/engine-client.ts";
import type { ModelSource, OpenedModel, Outlook, StepFacts } from "../engine/protocol.ts";
import { windowStart } from "../engine/window.ts";
import { pathTo, tipOf, treeNode, walkTo } from "./tree.ts";
import type { Origin, SavedNode, TreeNode } from "./tree.ts";
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

/** Outlooks kept: questions about the same text are asked by several panels. */
const kept = 64;
/** The longest text that is generated without being asked again. */
const mostTokens = 400;

class Studio {
  // What the visitor chose; all of it is in the address.
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

  // The engine
  model: OpenedModel | undefined = $state.raw(undefined);
  loading: Loading | undefined = $state.raw(undefined);
  /** Why there is no model, in plain words. */
  failure: string = $state("");
  notices: readonly Notice[] = $state.raw([]);

  // The text
  /** The prompt's tokens; the last one is where everything generated grows. */
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
  readonly promptLength: number = $derived(this.path.filter(({ origin }) => origin === "prompt").length);
  /** Positions the model may look back at. */
  readonly context: number = $derived(
    this.contextLimit > 0 ? Math.min(this.contextLimit, this.model?.info.contextLength ?? this.contextLimit) : (this.model?.info.contextLength ?? 0),
  );
  /** Tokens at the beginning of the tape that the model does not see when it chooses the next one. */
  readonly forgotten: number = $derived(this.model ? windowStart(this.promptLength, this.path.length, this.context) : 0);
  /** Where the selected distribution stands: the index of the token it was for, which is the tape's length for the next one. */
  readonly place: number = $derived(this.selected === undefined || this.selected >= this.path.length ? this.path.length : this.selected);

  #outlooks = new Map<string, Promise<Outlook>>();
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

  /** Opens a model and reads the prompt with it. The one before stays when this one cannot be opened. Gives whether it worked. */
  async open(source: ModelSource, saved?: SavedNode): Promise<boolean> {
    this.pause();
    this.loading = { name: source.name, done: 0, total: 0 };
    try {
      this.model = await this.engine.call("open", [source]);
      this.failure = "";
      this.#forget();
      this.#vocabulary = undefined;
      this.promptTip = this.tip = undefined; // the old text is the old model's
      this.layer = Math.min(this.layer, this.model.info.layers - 1);
      this.head = Math.min(this.head, this.model.info.heads - 1);
      await this.readPrompt(saved);
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
  async readPrompt(saved?: SavedNode): Promise<void> {
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
    let node: TreeNode | undefined;
    for (const facts of steps) node = treeNode(node, facts, { origin: "prompt" });
    this.promptTip = node;
    this.tip = node;
    this.selected = undefined;
    this.why = undefined;
    this.changes++;
    if (saved && node) await this.#restore(node, saved.children);
  }

  /** One more token, as `vitrine generate` would choose it; walks on where it has been before. Gives false at the end of the text. */
  async step(signal?: AbortSignal): Promise<boolean> {
    const { tip } = this;
    if (!tip || tip.ends) return false;
    if (this.busy) return true; // one token at a time, however fast the keys come
    const run = this.#runAfter(tip, this.path.length);
    this.busy = true;
    try {
      const { temperature, topK, topP, minP, seed, context, ids } = this;
      const request = { ids: [...ids], prompt: run.from, seed, draws: run.draws, context, temperature, topK, topP, minP };
      const next = await this.engine.call("step", [request], signal);
      if (this.tip !== tip) return false;
      this.#grow(tip, next, "sampled", { run, forgotten: next.forgotten, ends: next.ends });
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

  /** Takes the last token off the tape; it stays in the tree. */
  undo(): void {
    this.pause();
    const { tip } = this;
    if (!tip?.parent || tip.origin === "prompt") return;
    this.tip = tip.parent;
    this.selected = undefined;
  }

  /** Puts another token in the place `at` of the tape: a branch. */
  async pick(at: number, id: number): Promise<void> {
    this.pause();
    const parent = at === 0 ? undefined : this.path[at - 1];
    if (!parent || at < this.promptLength) return;
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
    this.undo();
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
    const ids = this.ids.slice(0, at);
    const prompt = Math.min(this.promptLength, at);
    return this.outlookAfter(ids, prompt, this.context);
  }

  outlookAfter(ids: readonly number[], prompt: number, context: number): Promise<Outlook> {
    if (ids.length === 0) return Promise.reject(new DOMException("nothing before it", "AbortError"));
    const key = `${prompt}|${context}|${ids.join(",")}`;
    let found = this.#outlooks.get(key);
    if (!found) {
      found = this.engine.call("outlook", [ids, prompt, context]);
      found.catch(() => this.#outlooks.delete(key));
      this.#outlooks.set(key, found);
      if (this.#outlooks.size > kept) this.#outlooks.delete(this.#outlooks.keys().next().value!);
    }
    return found;
  }

  vocabulary(): Promise<readonly string[]> {
    return (this.#vocabulary ??= this.engine.call("vocabulary", []));
  }

  /** The run that a sampled token behind `node` belongs to: a given or picked token begins a new one. `at` = its place on the tape. */
  #runAfter(node: TreeNode, at: number): NonNullable<TreeNode["run"]> {
    return node.run ? { from: node.run.from, draws: node.run.draws + 1 } : { from: at, draws: 0 };
  }

  #forget(): void {
    this.#outlooks.clear();
    this.why = undefined;
  }

  #grow(
    parent: TreeNode,
    facts: StepFacts,
    origin: Origin,
    more: { readonly run?: TreeNode["run"]; readonly forgotten?: number; readonly ends?: boolean },
  ): TreeNode {
    let node = parent.children.find((child) => child.token.id === facts.token.id);
    if (!node) {
      node = treeNode(parent, facts, { origin, ...more });
      parent.children.push(node);
    }
    walkTo(node);
    this.tip = node;
    this.changes++;
    return node;
  }

  /** The tree as the address told it: every branch scored again, so that its numbers are this model's. */
  async #restore(root: TreeNode, children: readonly SavedNode[]): Promise<void> {
    const { context, temperature, topK, topP, minP } = this;
    const sampling = { temperature, topK, topP, minP };
    const prompt = this.promptLength;
    const visit = async (parent: TreeNode, saved: readonly SavedNode[]): Promise<void> => {
      for (const first of saved) {
        const branch: SavedNode[] = [];
        for (let at: SavedNode | undefined = first; at; at = at.children[0]) branch.push(at);
        const before = pathTo(parent).map(({ token }) => token.id);
        const steps = await this.engine.call("replay", [before, branch.map(({ id }) => id), prompt, sampling, context]);
        const grown: TreeNode[] = [];
        let node = parent;
        for (const [i, facts] of steps.entries()) {
          const run = branch[i].picked ? undefined : this.#runAfter(node, before.length + i);
          node = treeNode(node, facts, { origin: run ? "sampled" : "picked", run, forgotten: facts.forgotten, ends: facts.ends });
          node.parent!.children.push(node);
          grown.push(node);
        }
        for (const [i, { children: [, ...sides] }] of branch.entries()) await visit(grown[i], sides); // prettier-ignore
      }
    };
    await visit(root, children);
    this.tip = tipOf(root);
    this.changes++;
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(new DOMException("given up", "AbortError"))), { once: true });
  });
}

export const studio = new Studio();
