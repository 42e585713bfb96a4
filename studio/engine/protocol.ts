/**
 * What the page may ask of the engine in its worker, and what comes back: plain data that survives postMessage.
 * engine-worker.ts answers, engine-client.ts asks. Panels import types from here and nothing from src/.
 */
import type { Activation, Contributions, Edit, HeadStages, Lens, Neurons, Patterns, WeightBlock } from "../../src/inspection/inspection.ts";
import type { NamedMatrix } from "../../src/inspection/matrices.ts";
import type { MergeStep } from "../../src/tokenizer/tokenizer.ts";
import type { Tally } from "../../src/model/tally.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import type { ModelInfo } from "../../src/engine/engine.ts";
import type { Looks, Spine } from "./spine.ts";

export type {
  Activation,
  Contributions,
  Edit,
  HeadStages,
  Lens,
  Looks,
  MergeStep,
  ModelConfig,
  ModelInfo,
  NamedMatrix,
  Neurons,
  Patterns,
  Spine,
  Tally,
  WeightBlock,
};

export interface TokenFacts {
  readonly id: number;
  /** What a person reads; U+FFFD where its bytes are no whole character. */
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly special: boolean;
}

/** One candidate of a distribution. */
export interface Choice {
  readonly id: number;
  readonly text: string;
  readonly logit: number;
  /** The model's own, T = 1. */
  readonly probability: number;
}

/** How a token came to stand where it stands. */
export interface StepFacts {
  readonly token: TokenFacts;
  /** In the whole text, from 0. */
  readonly position: number;
  /** The model's own probability, T = 1; undefined for the first token, which nothing predicted. */
  readonly probability: number | undefined;
  readonly logprob: number | undefined;
  /** 1 = the favourite. */
  readonly rank: number | undefined;
  /** After temperature and filters; equals `probability` for the tokens of a prompt. */
  readonly sampledFrom: number | undefined;
  /** The likeliest there, best first, and the probability of all others. */
  readonly top: readonly Choice[];
  readonly rest: number;
}

export interface Sampling {
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Asks for the token after `ids`, as `vitrine generate` would choose it. */
export interface StepRequest extends Sampling {
  readonly ids: readonly number[];
  /** How many of the ids were the prompt: where the window began to slide follows from it. */
  readonly prompt: number;
  readonly seed: number;
  /** Numbers the seed's generator has given since: the step's place in its run. */
  readonly draws: number;
  /** Positions the model may look back at. */
  readonly context: number;
}

/** A token that stood there already, and what it was chosen with. */
export interface ReplayedToken extends Sampling {
  readonly id: number;
  readonly prompt: number;
  readonly context: number;
}

export interface NextStep extends StepFacts {
  /** How many ids at the beginning the model no longer saw. */
  readonly forgotten: number;
  /** The token ends the text (the model's end-of-text token). */
  readonly ends: boolean;
}

/** What comes next, without choosing. `logits` (V,). */
export interface Outlook {
  readonly logits: Float32Array;
  readonly forgotten: number;
}

export type ModelSource =
  { readonly kind: "embedded"; readonly name: string } | { readonly kind: "files"; readonly name: string; readonly files: readonly File[] };

export interface OpenedModel {
  readonly info: ModelInfo;
  readonly config: ModelConfig;
  readonly tokenizerKind: string;
  /** Threads in use; 1 where the page is not cross-origin isolated. */
  readonly threads: number;
  readonly isolated: boolean;
  /** Start token for an empty prompt. */
  readonly startId: number | undefined;
  /** Ids that no token stands behind: never chosen. */
  readonly banned: readonly number[];
}

/** Whose cut: the open model's, another model's, or what a text can always be cut into. */
export type TokenizerChoice = { readonly kind: "open" } | { readonly kind: "characters" } | { readonly kind: "bytes" } | ModelSource;

export interface Tokenized {
  /** The first of them. */
  readonly tokens: readonly TokenFacts[];
  /** How many there are. */
  readonly count: number;
  /** Ids this tokenizer has. */
  readonly vocabularySize: number;
}

/** Calls by name. Each may be given up with an AbortSignal; a call that waits in line then never starts. */
export interface EngineCalls {
  /** The one before stays open where this one cannot be opened, or cannot read `text`. */
  open(source: ModelSource, text: string): OpenedModel;
  tokenize(text: string): readonly TokenFacts[];
  /** The first `most` tokens, and how many all are. */
  tokenizeWith(choice: TokenizerChoice, text: string, most: number): Tokenized;
  merges(text: string): readonly (readonly MergeStep[])[];
  /** Pieces of every merge step as people read them, by the vocabulary's own spelling. */
  readPieces(pieces: readonly string[]): readonly string[];
  /** The tokens that such pieces are; undefined for a piece that is none. */
  pieceTokens(pieces: readonly string[]): readonly (TokenFacts | undefined)[];
  /** Texts of all ids. */
  vocabulary(): readonly string[];
  /** What the model expected at every position of a text. */
  score(ids: readonly number[], context: number): readonly StepFacts[];
  outlook(ids: readonly number[], prompt: number, context: number): Outlook;
  step(request: StepRequest): NextStep;
  /** The facts of tokens that stood there already, as `step` would have told them. */
  replay(ids: readonly number[], next: readonly ReplayedToken[]): readonly NextStep[];
  tally(rule: "video" | "exact"): Tally;
  /** Of the positions asked for (default: all); `next` is followed at the last one. */
  lens(ids: readonly number[], options: { readonly positions?: readonly number[]; readonly next?: number; readonly top?: number }): Lens;
  /** `target`: the token after `position` that is pushed. */
  contributions(ids: readonly number[], position: number, target: number, relative: boolean): Contributions;
  /** Of the layers `from` to `to` (excluded), each at most `size` cells wide. */
  patterns(ids: readonly number[], from: number, to: number, size: number): Patterns;
  head(ids: readonly number[], layer: number, head: number): HeadStages;
  /** The residual stream and all that joins it, at a few positions. */
  spine(ids: readonly number[], positions: readonly number[]): Spine;
  /** Rows of a layer's patterns, of all heads. */
  looks(ids: readonly number[], layer: number, positions: readonly number[]): Looks;
  neurons(ids: readonly number[], layer: number, position: number, count: number): Neurons;
  capture(ids: readonly number[], names: readonly string[]): readonly Activation[];
  whatIf(ids: readonly number[], edits: readonly Edit[]): Outlook;
  /** A block of a matrix by its checkpoint name, or by category, layer and head; rows and columns as [first, count], all by default. */
  matrix(which: string | NamedMatrix, rows?: readonly [number, number], columns?: readonly [number, number]): WeightBlock;
  /** Checkpoint names of all matrices and vectors, with their shapes. */
  matrices(): readonly { readonly name: string; readonly shape: readonly number[] }[];
}

export type CallName = keyof EngineCalls;
export type Ask = { readonly id: number; readonly call: CallName; readonly args: readonly unknown[] } | { readonly cancel: number };
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string; readonly internal: boolean }
  | { readonly progress: { readonly done: number; readonly total: number } }
  | { readonly note: string };
