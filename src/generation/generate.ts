/**
 * The loop: predict -> sample -> append -> repeat, as an async generator that shows every step.
 * What the model sees is window.ts, choosing is sampling.ts, stop strings are stop.ts.
 */
import { VitrineError } from "../base/errors.ts";
import { randomFrom } from "../base/random.ts";
import type { Random } from "../base/random.ts";
import type { LanguageModel } from "../model/model.ts";
import type { StreamDecoder, Tokenizer } from "../tokenizer/tokenizer.ts";
import { distributionOf } from "./distribution.ts";
import { drawSeed, sampler } from "./sampling.ts";
import type { Sampler } from "./sampling.ts";
import type { EndReason, GenerateEnd, GenerateOptions, Step } from "./step.ts";
import { stopper } from "./stop.ts";
import type { Stopper } from "./stop.ts";
import { checkIds, ContextWindow, contextOf } from "./window.ts";

/** Default of `maxTokens` when the context slides and nothing else would end it. */
const defaultTokens = 256;

/**
 * Continues `prompt` (ids, taken literally) with what the model makes of it.
 * `banned` ids have no token and are never chosen.
 * Each step's `text` is what became certain; all of them together are the returned `text`.
 * Ends early by `signal` between steps and between chunks of the prompt; a caller that stops iterating frees everything as well.
 * Throws VitrineError for bad options, ids outside the vocabulary, and with onFull "stop" for a prompt longer than the context.
 */
export async function* generate(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  options: GenerateOptions = {},
  banned: readonly number[] = [],
): AsyncGenerator<Step, GenerateEnd> {
  const plan = planOf(model, prompt, options, banned);
  const seen = prompt.slice();
  const generated: number[] = [];
  const clock = stopwatch();
  let text = "";
  let promptSeconds = 0;
  const end = (reason: EndReason): GenerateEnd => ({
    reason,
    text,
    tokens: generated.length,
    seconds: clock.seconds(),
    promptTokens: Math.min(prompt.length, plan.context),
    promptSeconds,
    seed: plan.seed,
  });
  if (plan.maxTokens === 0) return end("length");

  const window = new ContextWindow(model, plan.context);
  try {
    const writer = writerAfter(prompt, tokenizer, plan.stopper);
    let dropped = window.push(prompt, 0);
    for (;;) {
      const logits = await window.logits(options.signal);
      if (generated.length === 0) promptSeconds = clock.seconds();
      if (logits === undefined) {
        text += writer.rest();
        return end("aborted");
      }
      const distribution = distributionOf(logits);
      const filtered = plan.sampler.filter(distribution, seen, generated);
      const id = plan.sampler.choose(filtered, plan.random);
      seen.push(id);
      generated.push(id);

      const last = plan.stopIds.has(id)
        ? "end-of-text"
        : generated.length >= plan.maxTokens
          ? "length"
          : plan.full(window.length + 1)
            ? "context-full"
            : undefined;
      const written = writer.write(id, last !== undefined);
      const reason = written.stopped ? "stop" : last;
      text += written.text;
      const step: Step = {
        position: seen.length - 1,
        token: tokenizer.token(id),
        text: written.text,
        probability: distribution.probability(id),
        logprob: distribution.logprob(id),
        rank: distribution.rank(id),
        sampledFrom: filtered.probability(id),
        distribution,
        filtered,
        dropped: dropped.map((old) => tokenizer.token(old)),
      };
      clock.pause();
      yield step;
      if (reason !== undefined) return end(reason);
      clock.resume();
      dropped = window.push([id], plan.slideBy);
    }
  } finally {
    window.dispose();
  }
}

interface Plan {
  readonly context: number;
  readonly maxTokens: number;
  readonly slideBy: number;
  /** Whether a text of this many tokens has to end because it can't be read any more. */
  readonly full: (length: number) => boolean;
  readonly stopIds: ReadonlySet<number>;
  readonly stopper: Stopper;
  readonly sampler: Sampler;
  readonly random: Random;
  readonly seed: number;
}

/** All options checked and their defaults filled in, before any work. */
function planOf(model: LanguageModel, prompt: readonly number[], options: GenerateOptions, banned: readonly number[]): Plan {
  const context = contextOf(model, options.context);
  const { onFull = "slide", maxTokens, seed = drawSeed(), slideBy = Math.max(1, Math.floor(context / 8)) } = options;
  if (onFull !== "slide" && onFull !== "stop") throw new VitrineError(`generate: onFull is "${String(onFull)}"; expected "slide" or "stop"`);
  if (maxTokens !== undefined && !(maxTokens === Infinity || (Number.isSafeInteger(maxTokens) && maxTokens >= 0))) {
    throw new VitrineError(`generate: maxTokens is ${String(maxTokens)}; expected a whole number of at least 0`);
  }
  if (!Number.isSafeInteger(slideBy) || slideBy < 1 || slideBy > context) {
    throw new VitrineError(`generate: slideBy is ${String(slideBy)}; expected a whole number from 1 to the context's ${context}`);
  }
  checkIds(model, prompt);
  if (onFull === "stop" && prompt.length > context) {
    throw new VitrineError(
      `generate: the prompt has ${prompt.length} tokens, the context ${context} positions; shorten it, or let the window slide (onFull "slide") to keep its last ${context}`,
    );
  }
  return {
    context,
    maxTokens: maxTokens ?? (onFull === "stop" ? Infinity : defaultTokens),
    slideBy,
    full: (length) => onFull === "stop" && length > context,
    stopIds: new Set(options.stopIds ?? model.config.eosIds),
    stopper: stopper(options.stop ?? []),
    sampler: sampler({ ...options, seed }, banned),
    random: randomFrom(seed),
    seed,
  };
}

interface Writer {
  /** The text that became certain with this id; with `last`, everything that was still held back as well. */
  write(id: number, last: boolean): { readonly text: string; readonly stopped: boolean };
  rest(): string;
}

/** The decoder reads the prompt first: whether a piece begins with a space may depend on what stands before it. */
function writerAfter(prompt: readonly number[], tokenizer: Tokenizer, stop: Stopper): Writer {
  const decoder: StreamDecoder = tokenizer.decoder();
  for (const id of prompt) decoder.push(id);
  return {
    write: (id, last) => {
      const whole = decoder.push(id);
      const out = stop.push(last ? whole + decoder.end() : whole);
      return last && !out.stopped ? { text: out.text + stop.end(), stopped: false } : out;
    },
    rest: () => stop.push(decoder.end()).text + stop.end(),
  };
}

/** Seconds of our own work: paused while the caller looks at a step. */
function stopwatch(): { pause(): void; resume(): void; seconds(): number } {
  let spent = 0;
  let since: number | undefined = performance.now();
  return {
    pause: () => {
      if (since !== undefined) spent += performance.now() - since;
      since = undefined;
    },
    resume: () => {
      since = performance.now();
    },
    seconds: () => (spent + (since === undefined ? 0 : performance.now() - since)) / 1000,
  };
}
