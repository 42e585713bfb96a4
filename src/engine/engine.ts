/**
 * The upper waist: what every door (command, server, studio, library user) sees.
 * A local engine computes; a remote one asks an API. Both answer with the same Step and Distribution.
 */
import type { EncodeOptions, MergeStep, Token, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Distribution } from "../generation/distribution.ts";
import type { SamplingOptions } from "../generation/sampling.ts";
import type { Tally } from "../model/tally.ts";

export interface ModelInfo {
  /** What the user called it, for example "stories260K". */
  readonly name: string;
  /** "gpt2" or "llama" family, as config.json's model_type says it. */
  readonly architecture: string;
  readonly parameters: number;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  /** What runs it, for people: Device.summary, or the API's name. */
  readonly device: string;
  readonly capabilities: {
    /** All V logits of every step (local), or only the top N an API returns. */
    readonly fullDistribution: boolean;
    /** `score`: what every position predicted. */
    readonly score: boolean;
    /** Taps on activations. */
    readonly trace: boolean;
  };
}

export interface Step {
  /** Position of this token in the whole text (prompt tokens counted), from 0. */
  readonly position: number;
  readonly token: Token;
  /** Text that became whole with this token; "" in the middle of a character. */
  readonly text: string;
  /** The model's own probability of this token: T = 1, no filters. */
  readonly probability: number;
  readonly logprob: number;
  /** 1 = the model's favourite. */
  readonly rank: number;
  /** Probability it was drawn with: after penalties, temperature and filters. Equals `probability` in `score`. */
  readonly sampledFrom: number;
  /** The model's own distribution that this token was chosen from. */
  readonly distribution: Distribution;
  /** The distribution after penalties, temperature and filters. */
  readonly filtered: Distribution;
  /** Tokens that fell out of the context to make room for this step, oldest first; usually empty. */
  readonly dropped: readonly Token[];
}

export type EndReason =
  | "length" // max tokens reached
  | "stop" // a stop string came
  | "end-of-text" // the model's own end token came
  | "context-full" // --on-full stop
  | "aborted";

export interface GenerateOptions extends SamplingOptions {
  /** Default: until the context is full when onFull is "stop", else 256. */
  readonly maxTokens?: number;
  /** Generation ends before any of these appears in the text; found across token boundaries. */
  readonly stop?: readonly string[];
  /** Ids that end generation; default: the model's end-of-text tokens. */
  readonly stopIds?: readonly number[];
  /** Use at most this many positions, to show what a short memory does. Default: the model's context length. */
  readonly context?: number;
  /** What to do when the context is full. Default "slide": drop the oldest tokens and go on. */
  readonly onFull?: "slide" | "stop";
  /** How many tokens to drop at once when sliding; default one eighth of the context. 1 keeps as much as possible and recomputes every step. */
  readonly slideBy?: number;
  readonly signal?: AbortSignal;
}

/** What `generate` returns when it is done (the generator's return value). */
export interface GenerateEnd {
  readonly reason: EndReason;
  /** Everything generated, the stop string left out. */
  readonly text: string;
  readonly tokens: number;
  /** From the first forward pass to the last sample. */
  readonly seconds: number;
  /** Prompt tokens per second of the first pass. */
  readonly promptTokens: number;
  readonly promptSeconds: number;
}

/** One position of `score`. The first token has no prediction behind it: probability etc. are undefined there. */
export type ScoredStep = Step | { readonly position: 0; readonly token: Token; readonly text: string };

export interface Engine {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  tokenize(text: string, options?: EncodeOptions): Promise<Token[]>;
  merges(text: string): Promise<MergeStep[][]>;
  /** What could come after these ids. An empty list is an error that names the cure (start token). */
  predict(prompt: string | readonly number[], options?: { readonly context?: number }): Promise<Distribution>;
  generate(prompt: string | readonly number[], options?: GenerateOptions): AsyncGenerator<Step, GenerateEnd>;
  /** Every position's prediction of its successor, with the loss. Texts longer than the context are scored in windows. */
  score(prompt: string | readonly number[], options?: { readonly context?: number; readonly signal?: AbortSignal }): AsyncGenerator<ScoredStep, void>;
  /** The parameter tally of the loaded weights. */
  tally(rule: "video" | "exact"): Tally;
  dispose(): void;
}
