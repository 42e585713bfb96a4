/**
 * From the model's distribution to one choice. Order: penalties, temperature, top-k, top-p, min-p.
 */

export interface SamplingOptions {
  /** 0 = always the most probable (ties to the lowest id), 1 = the model's own, no upper limit. Default 1. */
  readonly temperature?: number;
  /** Keep only the k most probable. Default 0: all. */
  readonly topK?: number;
  /** Keep the fewest whose probability sums to at least p (Holtzman et al. 2020). Default 1: all. */
  readonly topP?: number;
  /** Keep those at least this share of the most probable one (Nguyen et al. 2024). Default 0: all. */
  readonly minP?: number;
  /** Divide positive and multiply negative logits of seen tokens (Keskar et al. 2019). Default 1: none. */
  readonly repetitionPenalty?: number;
  /** Subtract this times the count in the generated text (OpenAI). Default 0. */
  readonly frequencyPenalty?: number;
  /** Subtract this once if the token is in the generated text (OpenAI). Default 0. */
  readonly presencePenalty?: number;
  /** Added to the logits of these ids. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Same seed, same text. Default: drawn anew, and reported. */
  readonly seed?: number;
}
