/**
 * The kernels that learning needs: the backward of every forward kernel of device.ts, dropout, and the step of the optimiser.
 * A CPU device runs them with the same table and the same rules; `reference/` defines them. Letters and layouts are device.ts's.
 *
 * Names: `dX` is the gradient of the loss with respect to X, and has X's shape. Two kinds are treated differently:
 * - gradients of activations are **written** (what was there is lost), unless said otherwise;
 * - gradients of what is learned (`Weights`: matrices, biases, norms) are **added to**, so that several passes accumulate.
 * Sums run in a fixed order: the same numbers whatever the number of threads.
 */
import type { Activation, AttentionSizes, DeviceBuffer, Matrix } from "./device.ts";

/** Numbers that are learned: an f32 matrix, or a vector of f32. Its gradient and the optimiser's memories are of the same kind and size. */
export type Weights = Matrix | DeviceBuffer;

/** One step of AdamW (Loshchilov and Hutter 2019), as PyTorch computes it. */
export interface AdamStep {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled decay: weights shrink by learningRate * weightDecay of themselves first. */
  readonly weightDecay: number;
  /** Counts from 1: corrects the bias of the young memories. */
  readonly step: number;
  /** The gradient is multiplied by it first: clipping and averaging. */
  readonly gradientScale: number;
}

export interface TrainingKernels {
  /** All numbers become 0. */
  clear(weights: Weights): void;

  /** dX (rows, inputs) = dY (rows, outputs) W. W is f32. */
  linearBackwardInput(dX: DeviceBuffer, dY: DeviceBuffer, weights: Matrix, rows: number): void;
  /** dW (outputs, inputs) += dY^T (outputs, rows) X (rows, inputs). dW is f32. */
  linearBackwardWeights(dW: Matrix, dY: DeviceBuffer, x: DeviceBuffer, rows: number): void;
  /** out (width,) += the sum of x (rows, width) over its rows: the gradient of a bias. */
  sumRows(out: DeviceBuffer, x: DeviceBuffer, rows: number, width: number): void;

  /** Row ids[r] of dTable += row r of dY (rows, inputs). The backward of `embed`; the same id may come often. dTable is f32. */
  embedBackward(dTable: Matrix, dY: DeviceBuffer, ids: DeviceBuffer, rows: number): void;

  /** dX (rows, width) is written; dWeight and dBias (width,), each may be null, are added to. dX may be dY itself. */
  layerNormBackward(
    dX: DeviceBuffer,
    dWeight: DeviceBuffer | null,
    dBias: DeviceBuffer | null,
    dY: DeviceBuffer,
    x: DeviceBuffer,
    weight: DeviceBuffer,
    rows: number,
    width: number,
    epsilon: number,
  ): void;
  /** The same for rmsNorm. dX may be dY itself. */
  rmsNormBackward(
    dX: DeviceBuffer,
    dWeight: DeviceBuffer | null,
    dY: DeviceBuffer,
    x: DeviceBuffer,
    weight: DeviceBuffer,
    rows: number,
    width: number,
    epsilon: number,
  ): void;

  /** dX = dY * activation'(x), length elements; x is what `activate` was given. dX may be dY itself. */
  activateBackward(dX: DeviceBuffer, dY: DeviceBuffer, x: DeviceBuffer, activation: Activation, length: number): void;
  /** dX (rows, 2 width) from dY (rows, width) and x (rows, 2 width): gate first, then up. dX may be x itself. */
  gateBackward(dX: DeviceBuffer, dY: DeviceBuffer, x: DeviceBuffer, activation: Activation, rows: number, width: number): void;

  /** The reverse of `columns`: out[:, from : from + width] = x (rows, width), or += when `accumulate`. out is (rows, outWidth). */
  placeColumns(out: DeviceBuffer, x: DeviceBuffer, rows: number, outWidth: number, from: number, width: number, accumulate: boolean): void;

  /** Turns back what `rope` has turned; dY and dX are (B, T, heads, D). In place. */
  ropeBackward(
    dX: DeviceBuffer,
    dY: DeviceBuffer,
    tables: DeviceBuffer,
    past: DeviceBuffer,
    B: number,
    T: number,
    heads: number,
    D: number,
    rotary: number,
  ): void;

  /**
   * The backward of `append` and `attention` together, for sequences that begin at 0 (all of `past` is 0).
   * dQ (B, T, H, D), dK and dV (B, T, KV, D) are written from dY (B, T, H, D), from q, the caches and y as the forward pass had them.
   * Softmax is computed again, block by block: memory linear in T.
   */
  attentionBackward(
    dQ: DeviceBuffer,
    dK: DeviceBuffer,
    dV: DeviceBuffer,
    dY: DeviceBuffer,
    q: DeviceBuffer,
    keys: DeviceBuffer,
    values: DeviceBuffer,
    y: DeviceBuffer,
    sizes: AttentionSizes,
  ): void;

  /**
   * dLogits (rows, width) = (softmax(logits) - one at the target) * dLosses (rows,). Rows whose target is -1 are all 0,
   * as their loss is: `crossEntropy` gives 0 for them. dLogits may be logits itself.
   */
  crossEntropyBackward(dLogits: DeviceBuffer, dLosses: DeviceBuffer, logits: DeviceBuffer, targets: DeviceBuffer, rows: number, width: number): void;

  /** out = x * factor, length elements. In place. */
  scale(out: DeviceBuffer, x: DeviceBuffer, factor: number, length: number): void;
  /**
   * Each number is kept with probability 1 - rate and multiplied by 1 / (1 - rate), or becomes 0 (Srivastava et al. 2014).
   * Which ones depends on seed (a 32-bit integer) and place only, the same on every device: number i is kept when
   * mix32(seed + i * 0x9e3779b9) >= rate * 2^32, unsigned, mix32 being the finaliser of MurmurHash3. Its own backward. In place.
   */
  dropout(out: DeviceBuffer, x: DeviceBuffer, rate: number, seed: number, length: number): void;

  /** out (length,) = (x - y)^2. */
  squaredError(out: DeviceBuffer, x: DeviceBuffer, y: DeviceBuffer, length: number): void;
  /** dX = 2 (x - y) dOut. */
  squaredErrorBackward(dX: DeviceBuffer, dOut: DeviceBuffer, x: DeviceBuffer, y: DeviceBuffer, length: number): void;

  /** out[at] = the sum of the squares of all numbers, NaN or Infinity when one of them is. */
  sumOfSquares(out: DeviceBuffer, at: number, of: Weights): void;
  /**
   * w and its memories m, v after one step: g = gradientScale * gradient; w -= learningRate * weightDecay * w;
   * m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= learningRate * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon).
   */
  adamW(weights: Weights, gradient: Weights, m: Weights, v: Weights, step: AdamStep): void;
}
