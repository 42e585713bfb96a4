/**
 * What looking inside a model gives: plain data (numbers, typed arrays, lists), so that a worker can post it to a page and a command can write it
 * as JSON. Each result is made by the file named beside it.
 *
 * One text at a time: shapes keep TransformerLens's order and leave out the batch dimension. L layers, H heads, T positions, C width,
 * D head size, N neurons, V vocabulary, S stages.
 */

/** An activation of one pass (capture.ts). */
export interface Activation {
  readonly name: string;
  /** Residual stream (T, C); q and z (T, H, D); scores and pattern (H, T, T); neurons (T, N); logits (T, V). */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A place in the residual stream where the lens reads it: before the first block, after each attention, after each MLP. */
export interface Stage {
  /** The tap: "blocks.0.hook_resid_pre", "blocks.3.hook_resid_mid", "blocks.3.hook_resid_post". */
  readonly name: string;
  readonly layer: number;
  readonly point: "pre" | "mid" | "post";
}

/** One token for each position, followed through all stages. */
export interface Followed {
  /** (T,): the token; -1 where there is none. */
  readonly ids: Int32Array;
  /** (S, T); NaN where there is no token. */
  readonly probabilities: Float32Array;
  /** (S, T): 1 = the stage's favourite; 0 where there is no token. */
  readonly ranks: Int32Array;
}

/** What each stage would say at each position if the model ended there (lens.ts). T counts the positions that were asked for. */
export interface Lens {
  readonly stages: readonly Stage[];
  /** (T,): which positions of the text. */
  readonly positions: Int32Array;
  /** Candidates kept for each stage and position. */
  readonly top: number;
  /** (S, T, top), best first, like the two below. */
  readonly ids: Int32Array;
  readonly probabilities: Float32Array;
  readonly logits: Float32Array;
  /** The token that the last stage, the model itself, favours. */
  readonly final: Followed;
  /** The token that was asked about; by default the one that comes next in the text. */
  readonly target: Followed;
  /** For each position, the tokens that led at any stage. */
  readonly leaders: readonly Leaders[];
}

/** Tokens that led at some stage of one position, in the order in which they first led. */
export interface Leaders {
  /** (K,) */
  readonly ids: Int32Array;
  /** (K, S), like the probabilities. */
  readonly ranks: Int32Array;
  readonly probabilities: Float32Array;
}

/** One token's way through the stages (lens.ts, rankLadder). */
export interface Rung {
  readonly id: number;
  /** (S,) */
  readonly ranks: Int32Array;
  readonly probabilities: Float32Array;
}

/** Who pushes the logit (contributions.ts). */
export interface Push {
  readonly kind: "embedding" | "positions" | "head" | "attention-bias" | "mlp" | "norm-bias";
  /** -1 outside the blocks. */
  readonly layer: number;
  /** -1 for all but heads. */
  readonly head: number;
  /** In logits: positive for the token, negative against it. */
  readonly amount: number;
}

/** The logit of one token at one position as a sum of pushes (contributions.ts). */
export interface Contributions {
  readonly position: number;
  readonly target: number;
  /** The model's logit; with `relative`, minus the mean logit of the vocabulary. The pushes sum to it. */
  readonly logit: number;
  readonly relative: boolean;
  /** In the order of the forward pass. */
  readonly pushes: readonly Push[];
}

/** What if a part spoke louder, softer (scale below 1) or not at all (0)? Biases stay (edits.ts). */
export type Edit =
  | { readonly kind: "head"; readonly layer: number; readonly head: number; readonly scale: number }
  | { readonly kind: "attention"; readonly layer: number; readonly scale: number }
  | { readonly kind: "mlp"; readonly layer: number; readonly scale: number };

/** One head at work (attention.ts). */
export interface HeadStages {
  readonly layer: number;
  readonly head: number;
  /** The key/value head it reads; others may share it. */
  readonly keyHead: number;
  /** T */
  readonly positions: number;
  /** D */
  readonly headDimension: number;
  /** (T, D) as they meet in the scores: turned by their positions in models with rotary positions. */
  readonly q: Float32Array;
  readonly k: Float32Array;
  /** (T, D) */
  readonly v: Float32Array;
  /** (T, T): row = who asks, column = who is looked at; q.k / sqrt(D), -Infinity where hidden. */
  readonly scores: Float32Array;
  /** (T, T): softmax of the scores' rows. */
  readonly pattern: Float32Array;
  /** (T, D): the mixed values. */
  readonly z: Float32Array;
  /** (T, T): pattern[i, j] times the length of what v_j becomes in the residual stream (Kobayashi et al. 2020, equation 5). */
  readonly weighted: Float32Array;
}

/** Patterns of all heads of some layers, for a mosaic (attention.ts). */
export interface Patterns {
  /** The layers asked for, from - to (excluded). */
  readonly from: number;
  readonly to: number;
  readonly heads: number;
  /** T of the text. */
  readonly positions: number;
  /** Rows and columns of each pattern: T, or fewer where each cell is the largest of a block. */
  readonly size: number;
  /** (to - from, heads, size, size) */
  readonly data: Float32Array;
}

/** Part of a weight matrix, as the checkpoint lays it out (matrices.ts). */
export interface WeightBlock {
  /** As in the checkpoint. */
  readonly name: string;
  /** Of the whole matrix (or of the head's part where one was asked for). */
  readonly shape: readonly [number, number];
  /** First row and number of rows of the block, like the columns. */
  readonly rows: readonly [from: number, count: number];
  readonly columns: readonly [from: number, count: number];
  /** (rows, columns) */
  readonly data: Float32Array;
}

/** A token and how far something pushes it, in logits. */
export interface Pushed {
  readonly id: number;
  readonly amount: number;
}

/** A neuron that spoke up (neurons.ts). */
export interface Neuron {
  readonly index: number;
  /** After the activation function (and the gate). */
  readonly activation: number;
  /** The length of what it writes into the residual stream: |activation| times that of its output row. */
  readonly strength: number;
  /** Tokens that its output row, with the sign of the activation, pushes up and down most. */
  readonly promotes: readonly Pushed[];
  readonly suppresses: readonly Pushed[];
}

/** The loudest neurons of one layer at one position, loudest first (neurons.ts). */
export interface Neurons {
  readonly layer: number;
  readonly position: number;
  readonly neurons: readonly Neuron[];
}
