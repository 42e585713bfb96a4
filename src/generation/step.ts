/**
 * What generation tells about every token, and what can be asked of it. engine/engine.ts passes these on to the doors.
 */
import type { Token } from "../tokenizer/tokenizer.ts";
import type { Distribution } from "./distribution.ts";
import type { SamplingOptions } from "./sampling.ts";

export interface Step {
  /** Position of this token in the whole text (prompt tokens counted), from 0. */
  readonly position: number;
  readonly token: Token;
  /** Text that became certain with this token; "" in the middle of a character or of what may be a stop string. */
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
  /** Ids that end generation; default: the model's end-of-text tokens. An empty list: none. */
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
  /** Everything generated, the stop string left out: all step texts, and when aborted also what was held back as a possible stop string. */
  readonly text: string;
  readonly tokens: number;
  /** From the first forward pass to the last sample; the time that the caller kept the loop waiting does not count. */
  readonly seconds: number;
  /** Prompt tokens that went through the first pass, and the seconds it took. */
  readonly promptTokens: number;
  readonly promptSeconds: number;
  /** The seed that gives this text again. */
  readonly seed: number;
}

/** One position of `score`. The first token has no prediction behind it: probability etc. are undefined there. */
export type ScoredStep = Step | { readonly position: 0; readonly token: Token; readonly text: string };
