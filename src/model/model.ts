/**
 * What a loaded model is to generation and inspection: tokens in, logits out, listeners on the way.
 * transformer.ts implements it; one file per family (gpt2.ts, llama.ts) tells what happens inside, from the shared layers.
 */
import type { Shape } from "../base/shape.ts";
import type { Device } from "../device/device.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import type { KeyValueCache } from "./kv-cache.ts";
import type { Learnable } from "./learnable.ts";
import type { Taps } from "./taps.ts";

export interface ForwardOptions {
  /** Keys and values of earlier positions; the new ones are appended. Without it the pass starts at position 0 and forgets. */
  readonly cache?: KeyValueCache;
  /** Listeners on activations, under TransformerLens names. Nothing is computed for taps nobody listens to. */
  readonly taps?: Taps;
  /** "last": logits of each sequence's last new position, (B, V). "all": (B, T, V). Default "last". */
  readonly logits?: "last" | "all";
  /** What only a pass that is learned from does. */
  readonly training?: Training;
}

/** How a pass that is learned from differs from one that predicts. */
export interface Training {
  /** Share of the numbers dropped after the embedding and where blocks write into the stream: from 0, nothing, to below 1. */
  readonly dropout: number;
  /** Decides which: a 32-bit integer, another one for each pass. */
  readonly seed: number;
  /** Blocks keep only their input and are computed again on the way back: less memory, a third more time, the same numbers. */
  readonly recompute: boolean;
}

export interface NamedParameter {
  readonly name: string;
  readonly shape: Shape;
  readonly values: Float32Array;
}

/** Which rows and columns of a matrix; all of them where nothing is said. */
export interface ParameterPart {
  readonly rows?: readonly [from: number, count: number];
  readonly columns?: readonly [from: number, count: number];
}

export interface LanguageModel {
  readonly config: ModelConfig;
  readonly device: Device;
  /**
   * One pass over `tokens`, a batch of B sequences of new ids, each at least one long; shorter ones are padded inside and
   * their padding never reaches a result. With logits "all", rows of padding are undefined.
   * The caller owns the returned tensor. Throws VitrineError when ids are outside the vocabulary or the context would overflow.
   *
   * While a tape records (tensor/tape.ts), gradients of the logits reach all that the tape learns. Such a pass begins at position 0,
   * without a cache, and gives the logits of all positions.
   */
  forward(tokens: readonly (readonly number[])[], options?: ForwardOptions): Tensor;
  /**
   * What the model would say if its residual stream ended as x: last norm and unembedding, (..., C) -> (..., V).
   * With `normed`, x has been through the norm, or shall be read without it. The caller owns the result.
   */
  unembed(x: Tensor, normed?: boolean): Tensor;
  /**
   * What a part of a block writes into the residual stream, its bias left out and adapters heard: the heads' mixed values side by side,
   * (..., H D), or neurons, (..., N) -> (..., C). Zeros in x are parts that stay silent. The caller owns the result.
   */
  writeOut(layer: number, part: "attention" | "mlp", x: Tensor): Tensor;
  /** An empty cache for a batch of B sequences; grows as needed up to `capacity` (default: the context length). */
  cache(B?: number, capacity?: number): KeyValueCache;
  /** All parameters by checkpoint name, read back from the device, for saving: shapes and order as in the checkpoint format. */
  parameters(): AsyncGenerator<NamedParameter>;
  /**
   * Part of one of those parameters, rows and columns as the checkpoint counts them (a vector is one row); adapters are not in it.
   * Only the device's rows that hold the part are read. Throws VitrineError for an unknown name, ShapeError for a part that lies outside.
   */
  readParameter(name: string, part?: ParameterPart): Promise<Float32Array>;
  /** Writes one of those parameters, in the checkpoint's order. Throws VitrineError for an unknown name, ShapeError for another count of numbers. */
  writeParameter(name: string, values: Float32Array): void;
  /** All that can be learned, each matrix and vector once, always in the same order. Throws VitrineError unless the matrices are f32. */
  learnable(): readonly Learnable[];
  readonly parameterCount: number;
  dispose(): void;
}
