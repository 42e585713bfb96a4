/**
 * `--json`: one JSON object a line, documented in docs/json.md and kept stable. Fields may be added, never changed or taken away.
 * Here is how each is made; which command writes which, and when, is commands/.
 */
import type { DeviceName, MatrixFormat } from "../device/device.ts";
import type { EndReason, GenerateEnd, ModelInfo, ScoredStep, Step } from "../engine/engine.ts";
import type { Tally, TallyRow } from "../model/tally.ts";
import type { Token, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TrainedBpe } from "../tokenizer/train.ts";
import type { Fetched, ListedModel } from "./models.ts";
import { hexBytes } from "./visible.ts";

interface JsonToken {
  readonly id: number;
  readonly text: string;
}

interface JsonCandidate extends JsonToken {
  /** null: -Infinity, which JSON cannot say. */
  readonly logit: number | null;
  readonly probability: number;
}

export interface PromptLine {
  readonly type: "prompt";
  readonly text: string;
  readonly tokens: readonly JsonToken[];
  readonly model: string;
  readonly seed: number;
  /** What computes, for people. */
  readonly device: string;
  /** How the weights are kept; null where it is not known. */
  readonly weights: MatrixFormat | null;
}

export interface StepLine {
  readonly type: "step";
  /** Position in the whole text; the prompt's tokens are counted. */
  readonly index: number;
  readonly id: number;
  readonly text: string;
  readonly probability: number;
  readonly logprob: number;
  readonly rank: number;
  readonly sampledFrom: number;
  readonly top: readonly JsonCandidate[];
  /** Mass not in `top`. */
  readonly rest: number;
  /** Only where tokens fell out of the context. */
  readonly dropped?: readonly JsonToken[];
}

export interface GenerateEndLine {
  readonly type: "end";
  readonly reason: EndReason;
  readonly text: string;
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly promptTokens: number;
  readonly promptSeconds: number;
}

export interface ScoreLine {
  readonly type: "score";
  readonly index: number;
  readonly id: number;
  readonly text: string;
  /** null for the first token, which nothing predicts. */
  readonly probability: number | null;
  readonly logprob: number | null;
  readonly rank: number | null;
  readonly top: readonly JsonCandidate[];
  readonly rest: number | null;
}

export interface ScoreEndLine {
  readonly type: "end";
  readonly reason: "done" | "aborted";
  readonly tokens: number;
  /** Tokens that had a prediction: the loss is their mean. */
  readonly scored: number;
  /** Mean of -ln p; null when nothing was scored. */
  readonly loss: number | null;
  readonly perplexity: number | null;
  readonly bitsPerByte: number | null;
  readonly seconds: number;
}

export interface CompareLine {
  readonly type: "compare";
  /** Format of the weights, and of those they are compared with. */
  readonly weights: string;
  readonly with: string;
  /** Predictions that both made. */
  readonly positions: number;
  /** Mean and largest Kullback-Leibler divergence, in nats; null when infinite or when there are no positions. */
  readonly divergence: number | null;
  readonly mostDivergence: number | null;
  /** Share of positions where both think the same token the most probable. */
  readonly sameTop: number | null;
  readonly perplexity: number | null;
  readonly perplexityWith: number | null;
}

export interface TokenLine extends JsonToken {
  readonly type: "token";
  readonly index: number;
  /** Hexadecimal, without spaces; "" for a special token. */
  readonly bytes: string;
  readonly special: boolean;
}

export interface MergesLine {
  readonly type: "merges";
  /** Number of the piece of text that is merged by itself. */
  readonly index: number;
  readonly steps: readonly { readonly pieces: readonly string[]; readonly at: number; readonly rank: number }[];
}

export interface TokenEndLine {
  readonly type: "end";
  readonly tokens: number;
  /** UTF-16 units, as JavaScript counts. */
  readonly characters: number;
  readonly bytes: number;
}

export interface TallyLine {
  readonly type: "tally";
  readonly model: string;
  readonly rule: Tally["rule"];
  readonly rows: readonly TallyRow[];
  readonly weights: number;
  readonly matrices: number;
  /** Numbers in the checkpoint's files, where one was counted. */
  readonly stored?: number;
}

export interface ModelLine {
  readonly type: "model";
  readonly name: string;
  readonly source: ListedModel["source"];
  readonly folder: string;
  readonly bytes: number;
  readonly architecture: string | null;
  readonly loadable: boolean;
  readonly why: string;
}

export interface DeviceLine {
  readonly type: "device";
  readonly name: DeviceName;
  readonly available: boolean;
  /** Whether Vitrine takes it when nothing is said. */
  readonly picked: boolean;
  /** Why it is picked, or why it is not available; else "". */
  readonly why: string;
  /** What it runs on; "" where it is not available. */
  readonly summary: string;
  readonly threads: number;
  /** Native: the instruction sets that VITRINE_ISA may force, slowest first. */
  readonly instructionSets: readonly string[];
  /** null where nothing was measured. */
  readonly gigaflops: number | null;
  readonly gigabytesPerSecond: number | null;
}

/** What a training run is about to do. Its steps follow as training/training.ts's events. */
export interface RunLine {
  readonly type: "run";
  readonly out: string;
  readonly architecture: string;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly context: number;
  readonly vocabulary: number;
  readonly weights: number;
  readonly trainTokens: number;
  readonly validationTokens: number;
  /** Predicted in a step. */
  readonly tokensPerStep: number;
  readonly steps: number;
  /** The step that the run goes on after; 0 for a new one. */
  readonly from: number;
  readonly device: string;
  readonly seed: number;
}

export interface SampleLine {
  readonly type: "sample";
  readonly step: number;
  readonly prompt: string;
  /** What came after it. */
  readonly text: string;
  readonly tokens: number;
  readonly reason: EndReason;
  /** The last token and what it was drawn from; null when the text ended at once. */
  readonly last: StepLine | null;
}

export interface EvaluationLine {
  readonly type: "evaluation";
  readonly model: string;
  readonly files: number;
  /** Predicted. */
  readonly tokens: number;
  /** null where infinite. */
  readonly loss: number | null;
  readonly perplexity: number | null;
  readonly accuracy: number;
  readonly bytes: number;
  readonly characters: number;
  readonly bitsPerByte: number | null;
  readonly bitsPerCharacter: number | null;
  readonly context: number;
  readonly stride: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
}

export interface TrainedTokenizerLine {
  readonly type: "tokenizer";
  /** The folder, as it was given. */
  readonly path: string;
  /** In all. */
  readonly vocabulary: number;
  readonly special: readonly string[];
  readonly merges: number;
  /** How often the pair of the last merge occurs; 0 without merges. */
  readonly lastCount: number;
  readonly pattern: string;
  readonly bytes: number;
  /** Not UTF-8. */
  readonly invalidBytes: number;
  readonly pieces: number;
  readonly distinctPieces: number;
  /** What the text becomes. */
  readonly textTokens: number;
  readonly seconds: number;
}

export interface StudioLine {
  readonly type: "studio";
  /** Where the page is served. */
  readonly address: string;
}

export interface PulledLine extends Fetched {
  readonly type: "pulled";
}

export interface ExportedLine {
  readonly type: "exported";
  readonly model: string;
  /** As it was given. */
  readonly path: string;
  readonly format: "gguf" | "safetensors";
  /** As --type names it. */
  readonly weights: string;
  /** Of the file that holds the weights. */
  readonly bytes: number;
}

function jsonToken({ id, text }: Token): JsonToken {
  return { id, text };
}

/** The first line of `generate --json`. */
export function promptLine(text: string, tokens: readonly Token[], { name: model, device, weights }: ModelInfo, seed: number): PromptLine {
  return { type: "prompt", text, tokens: tokens.map(jsonToken), model, seed, device, weights: weights ?? null };
}

/** A step with its `show` most probable tokens by the model's own probability. */
export function stepLine(step: Step, show: number, tokenizer: Tokenizer): StepLine {
  return {
    type: "step",
    index: step.position,
    id: step.token.id,
    text: step.token.text,
    probability: step.probability,
    logprob: step.logprob,
    rank: step.rank,
    sampledFrom: step.sampledFrom,
    ...topOf(step, show, tokenizer),
    ...(step.dropped.length > 0 ? { dropped: step.dropped.map(jsonToken) } : {}),
  };
}

function topOf({ distribution }: Step, show: number, tokenizer: Tokenizer): { top: JsonCandidate[]; rest: number } {
  const top = distribution
    .top(show)
    .map(({ id, logit, probability }) => ({ id, text: tokenizer.token(id).text, logit: Number.isFinite(logit) ? logit : null, probability }));
  return { top, rest: distribution.rest(show) };
}

/** The last line of `generate --json`. */
export function generateEndLine(end: GenerateEnd): GenerateEndLine {
  return {
    type: "end",
    reason: end.reason,
    text: end.text,
    tokens: end.tokens,
    seconds: end.seconds,
    tokensPerSecond: perSecond(end.tokens, end.seconds),
    promptTokens: end.promptTokens,
    promptSeconds: end.promptSeconds,
  };
}

/** JSON has no infinity: null stands for it. */
export function finiteFields(line: object): object {
  return Object.fromEntries(
    Object.entries(line).map(([name, value]) => [name, typeof value === "number" && !Number.isFinite(value) ? null : (value as unknown)]),
  );
}

/** 0 where no time passed. */
export function perSecond(count: number, seconds: number): number {
  return seconds > 0 ? count / seconds : 0;
}

/** A scored token with the `show` most probable ones in its place; nulls for the first, which nothing predicts. */
export function scoreLine(step: ScoredStep, show: number, tokenizer: Tokenizer): ScoreLine {
  const { position: index, token } = step;
  const known = "probability" in step;
  return {
    type: "score",
    index,
    id: token.id,
    text: token.text,
    probability: known ? step.probability : null,
    logprob: known ? step.logprob : null,
    rank: known ? step.rank : null,
    ...(known ? topOf(step, show, tokenizer) : { top: [], rest: null }),
  };
}

/** Token number `index` of a text. */
export function tokenLine(index: number, token: Token): TokenLine {
  return {
    type: "token",
    index,
    id: token.id,
    text: token.text,
    bytes: hexBytes(token.bytes).replaceAll(" ", "").toLowerCase(),
    special: token.special,
  };
}

/** A tally; `stored` where the numbers of a checkpoint were counted too. */
export function tallyLine(tally: Tally, stored?: number): TallyLine {
  const { name: model, rule, rows, weights, matrices } = tally;
  return { type: "tally", model, rule, rows, weights, matrices, ...(stored === undefined ? {} : { stored }) };
}

/** A tokenizer that was learned; `path` is its folder as it was given. */
export function trainedTokenizerLine(trained: TrainedBpe, path: string, seconds: number): TrainedTokenizerLine {
  const { tokens, special, merges, lastCount, pattern, bytes, invalidBytes, pieces, distinctPieces, textTokens } = trained;
  const text = { bytes, invalidBytes, pieces, distinctPieces, textTokens };
  return { type: "tokenizer", path, vocabulary: tokens.length, special, merges: merges.length, lastCount, pattern, ...text, seconds };
}
