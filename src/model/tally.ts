/**
 * Where the weights are: the eight categories of the lecture, with formulas, counts and matrices.
 */

export type TallyRow = {
  readonly category: "Embedding" | "Key" | "Query" | "Value" | "Output" | "Up-projection" | "Down-projection" | "Unembedding" | (string & {});
  /** For people: "d_query * d_embed * n_heads * n_layers". */
  readonly formula: string;
  /** The same with numbers: "128 * 12,288 * 96 * 96". */
  readonly numbers: string;
  readonly weights: number;
  /** Matrices by the lecture's rule: Key, Query and Value once per head, Output once per layer. 0 for vectors. */
  readonly matrices: number;
};

export interface Tally {
  readonly name: string;
  /** "video": the eight categories only. "exact": also positions, biases and norms, and a tied unembedding counts 0. */
  readonly rule: "video" | "exact";
  readonly rows: readonly TallyRow[];
  readonly weights: number;
  readonly matrices: number;
}
