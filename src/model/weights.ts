/**
 * A model's weights on a device: one structure for both families, filled by load.ts from the family's parameter table.
 * The forward passes (gpt2.ts, llama.ts) read it; nothing here knows file names.
 */
import type { Device, Matrix, MatrixFormat } from "../device/device.ts";
import { permanent } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";

/** y = W x + b, plus what adapters say. */
export interface Linear {
  readonly matrix: Matrix;
  readonly bias: Tensor | null;
  /** Low-rank changes of W, put there by adapters.ts and empty otherwise. */
  readonly adapters: Adapter[];
}

/** LoRA (Hu et al. 2021): y[at : at + up.outputs] += scale * up (down x). Rows of one matrix may have one each, as q, k and v do. */
export interface Adapter {
  /** (rank, inputs): A. */
  readonly down: Matrix;
  /** (outputs of this part, rank): B. */
  readonly up: Matrix;
  readonly scale: number;
  readonly at: number;
}

interface Norm {
  /** (width,), like the bias. */
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

export interface BlockWeights {
  readonly norm1: Norm;
  /** Queries of all heads, then keys, then values: (H D + 2 KV D, C). */
  readonly qkv: Linear;
  readonly queryNorm: Norm | null;
  readonly keyNorm: Norm | null;
  /** (C, H D) */
  readonly output: Linear;
  readonly norm2: Norm;
  /** (N, C); with a gated MLP (2 N, C), gate rows first. */
  readonly up: Linear;
  /** (C, N) */
  readonly down: Linear;
}

export interface ModelWeights {
  /** (V, C): row i is the vector of token i. */
  readonly embedding: Matrix;
  /** (context, C); null where positions turn instead (rotary). */
  readonly positions: Matrix | null;
  readonly blocks: readonly BlockWeights[];
  readonly finalNorm: Norm;
  /** (V, C); the embedding itself when tied. */
  readonly unembedding: Matrix;
  dispose(): void;
}

/** What the families' weights differ in. */
export interface WeightLayout {
  readonly positions: boolean;
  readonly normBias: boolean;
  readonly gated: boolean;
}

/**
 * Room for all weights: matrices zero, vectors undefined until loaded. Gives everything back when memory runs out half way.
 * `format` is that of all matrices but the positions, which are few and added as they are; biases and norms stay fp32 too, as in llama.cpp.
 */
export function allocateWeights(device: Device, config: ModelConfig, layout: WeightLayout, format: MatrixFormat = "f32"): ModelWeights {
  const { width: C, headDimension: D, heads: H, kvHeads: KV, mlpWidth: N, biases } = config;
  const owned: (() => void)[] = [];
  const dispose = (): void => owned.splice(0).forEach((free) => free());

  const matrix = (outputs: number, inputs: number, as: MatrixFormat = format): Matrix => {
    const made = device.matrix(outputs, inputs, as);
    owned.push(() => made.free());
    return made;
  };
  const vector = (length: number): Tensor => {
    const made = permanent(device, [length]);
    owned.push(() => made.dispose());
    return made;
  };
  const linear = (outputs: number, inputs: number, bias: boolean): Linear => ({
    matrix: matrix(outputs, inputs),
    bias: bias ? vector(outputs) : null,
    adapters: [],
  });
  const norm = (width: number, bias: boolean): Norm => ({ weight: vector(width), bias: bias ? vector(width) : null });

  try {
    const embedding = matrix(config.vocabularySize, C);
    const positions = layout.positions ? matrix(config.contextLength, C, "f32") : null;
    const blocks = Array.from({ length: config.layers }, () => ({
      norm1: norm(C, layout.normBias),
      qkv: linear((H + 2 * KV) * D, C, biases.qkv),
      queryNorm: config.qkNorm ? norm(D, false) : null,
      keyNorm: config.qkNorm ? norm(D, false) : null,
      output: linear(C, H * D, biases.output),
      norm2: norm(C, layout.normBias),
      up: linear(layout.gated ? 2 * N : N, C, biases.mlp),
      down: linear(C, N, biases.mlp),
    }));
    const finalNorm = norm(C, layout.normBias);
    const unembedding = config.tied ? embedding : matrix(config.vocabularySize, C);
    return { embedding, positions, blocks, finalNorm, unembedding, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}
