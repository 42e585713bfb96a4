/**
 * How well a model knows a text: every token is predicted from those before it, and what the right one was given is added up.
 * Loss, perplexity and accuracy count tokens, so they compare models with one tokenizer; bits per byte and per character compare all.
 */
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { tensorScope } from "../tensor/scope.ts";
import { empty, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { utf8Bytes } from "../tokenizer/utf8.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Batch } from "./batch.ts";
import type { TokenArray, TokenData } from "./token-list.ts";

export interface EvaluateOptions {
  /** Tokens the model sees at once; default its context length. */
  readonly context?: number;
  /**
   * How far the window moves: only the last so many tokens of each are counted (in the first: all). Default `context`, which is
   * fastest: tokens at the start of a window are then predicted from little. Half of it costs twice and comes nearer the truth.
   */
  readonly stride?: number;
  /** For bits per byte and per character. */
  readonly tokenizer?: Tokenizer;
  /** Predicted tokens. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Evaluation {
  /** Predicted: all but the first, and with a mask those it counts. */
  readonly tokens: number;
  /** Mean -ln p, in nats. */
  readonly loss: number;
  /** e^loss: between how many equally likely tokens the model hesitates. */
  readonly perplexity: number;
  /** Share of the positions where the likeliest token was the right one. */
  readonly accuracy: number;
  /** Of the text that the predicted tokens stand for; 0 without a tokenizer. */
  readonly bytes: number;
  readonly characters: number;
  /** Special tokens (ends of text) stand for no text: their losses are left out here. Undefined where there is no text. */
  readonly bitsPerByte: number | undefined;
  readonly bitsPerCharacter: number | undefined;
  readonly seconds: number;
}

/** Logits held at once: 16 MB, whatever the vocabulary. */
const logitsAtOnce = 2 ** 22;
/** Sequences read side by side. */
const mostAtOnce = 16;

/** Throws VitrineError for fewer than two tokens, ids outside the vocabulary, a context or stride that cannot be, or an aborted `signal`. */
export async function evaluate(model: LanguageModel, data: TokenData, options: EvaluateOptions = {}): Promise<Evaluation> {
  const started = performance.now();
  const { tokens, mask } = data;
  const { context, stride } = windowsOf(model, tokens, options);
  const V = model.config.vocabularySize;
  const B = Math.max(1, Math.min(mostAtOnce, Math.floor(logitsAtOnce / (context * V))));
  const rows = Math.max(1, Math.min(context, Math.floor(logitsAtOnce / (B * V))));
  const lengths = options.tokenizer && textLengths(options.tokenizer);
  const total = mask === undefined ? tokens.length - 1 : mask.subarray(1).reduce((sum, counts) => sum + counts, 0);
  if (total === 0) throw new VitrineError("evaluate: the mask counts no token; give text in which something is to be predicted");
  const breathe = breather();
  const all = { nats: 0, textNats: 0, right: 0, done: 0, bytes: 0, characters: 0 };

  const starts: number[] = [];
  for (let start = 0; start === 0 || start + context - stride < tokens.length - 1; start += stride) starts.push(start);
  for (let at = 0; at < starts.length;) {
    // Windows of one length read together; the last one may be shorter.
    const lengthOf = (start: number): number => Math.min(context, tokens.length - 1 - start);
    const length = lengthOf(starts[at]);
    const group = starts.slice(at, at + B).filter((start) => lengthOf(start) === length);
    const cache = rows < length ? model.cache(group.length, length) : undefined;
    try {
      for (let from = 0; from < length; from += rows) {
        await breathe();
        if (options.signal?.aborted) throw new VitrineError("evaluation was stopped", { blame: "work", cause: options.signal.reason });
        const count = Math.min(rows, length - from);
        const sequences = group.map((start) => Array.from(tokens.subarray(start + from, start + from + count)));
        const targets = Int32Array.from({ length: group.length * count }, (_, i) => {
          const [start, t] = [group[Math.floor(i / count)], from + (i % count)];
          const counts = (start === 0 || t >= context - stride) && (mask === undefined || mask[start + t + 1] === 1);
          return counts ? tokens[start + t + 1] : -1;
        });
        const { losses, likeliest } = await predictions(model, sequences, targets, { cache, likeliest: true });
        for (let i = 0; i < targets.length; i++) {
          const id = targets[i];
          if (id < 0) continue;
          all.done++;
          all.nats += losses[i];
          if (likeliest![i] === id) all.right++;
          const text = lengths?.(id, tokens[group[Math.floor(i / count)] + from + (i % count)]);
          if (text === undefined) continue;
          all.textNats += losses[i];
          all.bytes += text.bytes;
          all.characters += text.characters;
        }
        options.onProgress?.(all.done, total);
      }
    } finally {
      cache?.dispose();
    }
    at += group.length;
  }
  const loss = all.nats / all.done;
  const bits = (count: number): number | undefined => (count > 0 ? all.textNats / Math.LN2 / count : undefined);
  const seconds = (performance.now() - started) / 1000;
  const { done, bytes, characters } = all;
  return {
    tokens: done,
    loss,
    perplexity: Math.exp(loss),
    accuracy: all.right / done,
    bytes,
    characters,
    bitsPerByte: bits(bytes),
    bitsPerCharacter: bits(characters),
    seconds,
  };
}

/** Mean -ln p over all targets of some batches, in nats; undefined when `signal` was aborted before the end. */
export async function meanLoss(model: LanguageModel, batches: readonly Batch[], signal?: AbortSignal): Promise<number | undefined> {
  const breathe = breather();
  let [nats, counted] = [0, 0];
  for (const batch of batches) {
    await breathe();
    if (signal?.aborted) return undefined;
    const { losses } = await predictions(model, batch.inputs, batch.targets, {});
    for (const loss of losses) nats += loss;
    counted += batch.counted;
  }
  return nats / counted;
}

/** The loss of every target (0 where it is -1), and on request the id each position holds likeliest. `targets` is (B, T). */
async function predictions(
  model: LanguageModel,
  sequences: readonly (readonly number[])[],
  targets: Int32Array,
  options: { readonly cache?: ReturnType<LanguageModel["cache"]>; readonly likeliest?: boolean },
): Promise<{ losses: Float32Array; likeliest: Int32Array | undefined }> {
  const { device } = model;
  const made: Tensor[] = [];
  try {
    {
      using scope = tensorScope();
      const [rows, V] = [targets.length, model.config.vocabularySize];
      const logits = model.forward(sequences, { cache: options.cache, logits: "all" });
      const losses = empty(device, [rows]);
      device.kernels.crossEntropy(losses.buffer, logits.buffer, tensor(device, targets).buffer, rows, V);
      made.push(scope.keep(losses));
      if (options.likeliest) {
        const ids = empty(device, [rows], "i32");
        device.kernels.top(ids.buffer, empty(device, [rows]).buffer, empty(device, [rows]).buffer, logits.buffer, rows, V, 1);
        made.push(scope.keep(ids));
      }
    }
    const losses = await made[0].read();
    return { losses, likeliest: options.likeliest ? await made[1].readIntegers() : undefined };
  } finally {
    for (const tensor of made) tensor.dispose();
  }
}

function windowsOf(model: LanguageModel, tokens: TokenArray, options: EvaluateOptions): { context: number; stride: number } {
  const { contextLength, vocabularySize } = model.config;
  const { context = contextLength } = options;
  const { stride = context } = options;
  if (tokens.length < 2)
    throw new VitrineError(`evaluate: ${tokens.length} tokens, expected at least 2, one to see and one to predict; use more text`);
  const whole = (name: string, value: number, most: number, why: string): void => {
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw new VitrineError(`evaluate: ${name} is ${value}; expected a whole number from 1 to ${most} (${why})`);
  };
  whole("context", context, contextLength, "the model's context length");
  whole("stride", stride, context, "the context");
  checkVocabulary(tokens, vocabularySize);
  return { context, stride };
}

/** Throws VitrineError for ids that the model does not have. */
export function checkVocabulary(tokens: TokenArray, vocabularySize: number): void {
  let most = 0;
  for (const id of tokens) if (id > most) most = id;
  if (most >= vocabularySize)
    throw new VitrineError(
      `the text holds token id ${most}, the model knows ${vocabularySize} (0 to ${vocabularySize - 1}); encode it with the model's own tokenizer`,
    );
}

/** What an id stands for in the text, given the one before it; undefined for special tokens, which stand for nothing. */
type TextLengths = (id: number, before: number) => { readonly bytes: number; readonly characters: number } | undefined;

function textLengths(tokenizer: Tokenizer): TextLengths {
  type Lengths = { readonly bytes: number; readonly characters: number } | null;
  const lengths: Lengths[] = [];
  const lengthsAtStart: Lengths[] = [];
  const measure = (bytes: Uint8Array): Lengths => ({
    bytes: bytes.length,
    characters: bytes.reduce((sum, byte) => sum + ((byte & 0xc0) === 0x80 ? 0 : 1), 0),
  });
  const of = (id: number): Lengths => {
    if (lengths[id] !== undefined) return lengths[id];
    const { bytes, special } = tokenizer.token(id);
    return (lengths[id] = special ? null : measure(bytes));
  };
  // A SentencePiece tokenizer puts a space in front of every text: the first token stands for one byte less.
  const atStart = (id: number): Lengths =>
    (lengthsAtStart[id] ??= tokenizer.token(id).bytes[0] === 0x20 ? measure(utf8Bytes(tokenizer.decode([id]))) : of(id));
  const starts = tokenizer.kind === "sentencepiece-bpe" || tokenizer.kind === "library";
  return (id, before) => (starts && of(id) !== null && of(before) === null ? atStart(id) : of(id)) ?? undefined;
}
