/**
 * The upper waist: what every door (command, server, studio, library user) sees.
 * A local engine computes; a remote one asks an API. Both answer with the same Step and Distribution.
 */
import type { MatrixFormat } from "../device/device.ts";
import type { EncodeOptions, MergeStep, Token, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Distribution } from "../generation/distribution.ts";
import type { GenerateEnd, GenerateOptions, ScoredStep, Step } from "../generation/step.ts";
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
  /** How the matrices keep their numbers; undefined where an API does not tell. */
  readonly weights: MatrixFormat | undefined;
  readonly capabilities: {
    /** All V logits of every step (local), or only the top N an API returns. */
    readonly fullDistribution: boolean;
    /** `score`: what every position predicted. */
    readonly score: boolean;
    /** Taps on activations. */
    readonly trace: boolean;
  };
}

export type { EndReason, GenerateEnd, GenerateOptions, ScoredStep, Step } from "../generation/step.ts";

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
