/**
 * A probability distribution over the vocabulary, always complete for a local model.
 * Softmax in fp64, shifted by the largest logit so it cannot overflow.
 */

export interface Candidate {
  readonly id: number;
  readonly logit: number;
  readonly probability: number;
}

export interface Distribution {
  /** (V,) logits it was made from; -Infinity where a filter pruned. For a remote one, undefined. */
  readonly logits: Float32Array | undefined;
  probability(id: number): number;
  logprob(id: number): number;
  /** 1 = most probable; ties go to the lower id. */
  rank(id: number): number;
  /** The n most probable, best first, ties to the lower id. */
  top(n: number): Candidate[];
  /** Probability mass not in top(n). */
  rest(n: number): number;
  /** In bits. */
  entropy(): number;
}
