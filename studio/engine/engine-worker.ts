/**
 * The engine in its worker: one model at a time, questions answered in the order they come. The page never waits for a kernel.
 * The calls are protocol.ts; looking inside is src/inspection's.
 */
import { loadModel } from "../../src/index.browser.ts";
import type { LocalEngine } from "../../src/index.browser.ts";
import { distributionOf, randomFrom, sampler, VitrineError } from "../../src/exports.ts";
import type { CompleteDistribution } from "../../src/exports.ts";
import * as inspection from "./inspection-calls.ts";
import { choices, scoredFacts, tokenFacts, topCount } from "./facts.ts";
import type { Answer, Ask, CallName, EngineCalls, ModelSource, NextStep, OpenedModel, Outlook, StepRequest } from "./protocol.ts";
import { Reader } from "./reader.ts";
import { Tokenizers } from "./tokenizers.ts";
import { windowStart } from "./window.ts";

interface Open {
  readonly engine: LocalEngine;
  readonly reader: Reader;
  /** Ids that have no token and are never chosen. */
  readonly banned: readonly number[];
}

type Handlers = { [Name in CallName]: (args: Parameters<EngineCalls[Name]>, signal: AbortSignal) => Promise<ReturnType<EngineCalls[Name]>> };

const post = (answer: Answer, transfer: Transferable[] = []): void => postMessage(answer, { transfer });

let open: Open | undefined;

function opened(): Open {
  if (open === undefined) throw new VitrineError("no model is open");
  return open;
}

async function openModel(source: ModelSource, text: string, signal: AbortSignal): Promise<OpenedModel> {
  if (typeof WebAssembly === "undefined")
    throw new VitrineError(
      "this browser runs no WebAssembly here (a lockdown mode turns it off); allow it for this page, or open it in another browser",
    );
  const files = source.kind === "embedded" ? modelAddress(source.name) : source.files;
  const engine = await loadModel(files, {
    name: source.name,
    kernels: new URL("kernels/", pageAddress),
    onProgress: (done, total) => post({ progress: { done, total } }),
    onNote: (note) => post({ note }),
    signal,
  });
  try {
    engine.tokenizer.encode(text);
  } catch (error) {
    engine.dispose();
    throw error;
  }
  open?.reader.dispose();
  open?.engine.dispose();
  const { config } = engine.model;
  const { tokenizer } = engine;
  const banned: number[] = [];
  for (let id = 0; id < config.vocabularySize; id++) if (id >= tokenizer.vocabularySize || isHole(tokenizer.token(id))) banned.push(id);
  open = { engine, reader: new Reader(engine.model), banned };
  return {
    info: engine.info,
    config,
    tokenizerKind: tokenizer.kind,
    threads: Number(/(\d+) threads?/.exec(engine.info.device)?.[1] ?? 1),
    isolated: globalThis.crossOriginIsolated === true,
    startId: tokenizer.bosId ?? config.bosId ?? tokenizer.eosId,
    banned,
  };
}

function isHole({ text, bytes, special }: { readonly text: string; readonly bytes: Uint8Array; readonly special: boolean }): boolean {
  return text === "" && bytes.length === 0 && !special;
}

/** Logits after the ids that the window still shows. */
async function look(ids: readonly number[], prompt: number, context: number, signal: AbortSignal): Promise<Outlook> {
  const forgotten = windowStart(prompt, ids.length, Math.min(context, opened().engine.info.contextLength));
  const logits = await opened().reader.logits(ids.slice(forgotten), signal);
  if (logits === undefined) throw new DOMException("given up", "AbortError");
  return { logits, forgotten };
}

/** The token behind `ids` with all that is known about it; `choose` says which it is. */
async function nextStep(
  request: Omit<StepRequest, "seed" | "draws">,
  choose: (filtered: CompleteDistribution) => number,
  signal: AbortSignal,
): Promise<NextStep> {
  const { engine, banned } = opened();
  const { ids, prompt, context, temperature, topK, topP, minP } = request;
  const { logits, forgotten } = await look(ids, prompt, context, signal);
  const distribution = distributionOf(logits);
  const filtered = sampler({ temperature, topK, topP, minP }, banned).filter(distribution, ids, ids.slice(prompt));
  const id = choose(filtered);
  return {
    token: tokenFacts(engine.tokenizer.token(id)),
    position: ids.length,
    probability: distribution.probability(id),
    logprob: distribution.logprob(id),
    rank: distribution.rank(id),
    sampledFrom: filtered.probability(id),
    top: choices(engine.tokenizer, distribution, topCount),
    rest: distribution.rest(topCount),
    forgotten,
    ends: engine.model.config.eosIds.includes(id),
  };
}

/** As generation/generate.ts draws: one number of the seed's generator for each token. */
function drawnStep(request: StepRequest, signal: AbortSignal): Promise<NextStep> {
  const random = randomFrom(request.seed);
  for (let i = 0; i < request.draws; i++) random.next();
  return nextStep(request, (filtered) => filtered.draw(random.next()), signal);
}

const handlers: Handlers = {
  open: ([source, text], signal) => openModel(source, text, signal),
  tokenize: async ([text]) => (await opened().engine.tokenize(text)).map(tokenFacts),
  tokenizeWith: ([choice, text, most]) => tokenizers.cut(choice, text, most),
  merges: async ([text]) => opened().engine.merges(text),
  readPieces: async ([pieces]) => {
    const { tokenizer } = opened().engine;
    return pieces.map((piece) => {
      const id = tokenizer.idOf(piece);
      return id === undefined ? piece : tokenizer.token(id).text;
    });
  },
  pieceTokens: async ([pieces]) => {
    const { tokenizer } = opened().engine;
    return pieces.map((piece) => {
      const id = tokenizer.idOf(piece);
      return id === undefined ? undefined : tokenFacts(tokenizer.token(id));
    });
  },
  vocabulary: async () => {
    const { engine } = opened();
    const { vocabularySize } = engine.model.config;
    return Array.from({ length: vocabularySize }, (_, id) => (id < engine.tokenizer.vocabularySize ? engine.tokenizer.token(id).text : ""));
  },
  score: async ([ids, context], signal) => {
    const { engine } = opened();
    const steps = [];
    for await (const step of engine.score(ids, { context: Math.min(context, engine.info.contextLength), signal }))
      steps.push(scoredFacts(engine.tokenizer, step));
    return steps;
  },
  outlook: ([ids, prompt, context], signal) => look(ids, prompt, context, signal),
  step: ([request], signal) => drawnStep(request, signal),
  replay: async ([ids, next], signal) => {
    const steps: NextStep[] = [];
    const before = [...ids];
    for (const { id, ...asked } of next) {
      steps.push(await nextStep({ ids: [...before], ...asked }, () => id, signal));
      before.push(id);
    }
    return steps;
  },
  tally: async ([rule]) => opened().engine.tally(rule),
  ...inspection.calls(() => opened().engine),
};

const tokenizers = new Tokenizers(
  () => opened().engine.tokenizer,
  (name) => modelAddress(name),
);

const running = new Map<number, AbortController>();
let line: Promise<void> = Promise.resolve();

/** Where the page lies: models and kernels are beside it. Told by the page, as a bundler may move this script. */
const pageAddress = new URL(self.name === "" ? "../" : self.name, self.location.href);

function modelAddress(name: string): URL {
  return new URL(`models/${encodeURIComponent(name)}/`, pageAddress);
}

async function answer(id: number, call: CallName, args: readonly unknown[], signal: AbortSignal): Promise<void> {
  try {
    if (signal.aborted) throw new DOMException("given up", "AbortError");
    const value: unknown = await (handlers[call] as (args: readonly unknown[], signal: AbortSignal) => Promise<unknown>)(args, signal);
    post({ id, value }, buffersIn(value));
  } catch (error) {
    const known = error instanceof VitrineError || (error instanceof DOMException && error.name === "AbortError");
    post({ id, error: error instanceof Error ? error.message : String(error), internal: !known });
  } finally {
    running.delete(id);
  }
}

/** Large arrays move to the page instead of being copied; shared or twice-used memory cannot. */
function buffersIn(value: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const visit = (part: unknown, depth: number): void => {
    if (ArrayBuffer.isView(part)) {
      if (part.buffer instanceof ArrayBuffer && part.byteLength === part.buffer.byteLength && part.byteLength > 1024) found.add(part.buffer);
    } else if (typeof part === "object" && part !== null && depth < 4) for (const inner of Object.values(part)) visit(inner, depth + 1);
  };
  visit(value, 0);
  return [...found];
}

addEventListener("message", ({ data }: MessageEvent<Ask>) => {
  if ("cancel" in data) {
    running.get(data.cancel)?.abort();
    return;
  }
  const control = new AbortController();
  running.set(data.id, control);
  line = line.then(() => answer(data.id, data.call, data.args, control.signal));
});
