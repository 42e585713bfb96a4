/**
 * What of a model can be learned, as the device holds it: whole matrices and vectors, each once however often the forward pass uses it.
 * The optimiser walks this list; names are its own (checkpoint names are parameters.ts's, which cut matrices differently).
 */
import { VitrineError } from "../base/errors.ts";
import type { Matrix } from "../device/device.ts";
import type { Weights } from "../device/training-kernels.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Linear, ModelWeights } from "./weights.ts";

export interface Learnable {
  /** Stable, for saving beside it: "embedding", "blocks.0.qkv", "blocks.0.qkv.bias" ... */
  readonly name: string;
  readonly weights: Weights;
  /** Whether it shrinks under weight decay: matrices do, vectors do not (Radford et al. 2018; nanoGPT). */
  readonly decays: boolean;
}

/** Everything, in the order of the forward pass. A tied unembedding is the embedding, once. Throws VitrineError unless all matrices are f32. */
export function learnableOf(weights: ModelWeights): readonly Learnable[] {
  const list: Learnable[] = [];
  const seen = new Set<Weights>();
  const matrix = (name: string, of: Matrix | null): void => {
    if (!of || seen.has(of)) return;
    if (of.format !== "f32")
      throw new VitrineError(`learnable: the weights are ${of.format}, and only f32 weights can be learned; load the model with --weights f32`);
    seen.add(of);
    list.push({ name, weights: of, decays: true });
  };
  const vector = (name: string, of: Tensor | null | undefined): void => {
    if (of) list.push({ name, weights: of.buffer, decays: false });
  };
  const linear = (name: string, { matrix: rows, bias }: Linear): void => {
    matrix(name, rows);
    vector(`${name}.bias`, bias);
  };

  matrix("embedding", weights.embedding);
  matrix("positions", weights.positions);
  for (const [layer, block] of weights.blocks.entries()) {
    const at = `blocks.${layer}.`;
    vector(`${at}norm1`, block.norm1.weight);
    vector(`${at}norm1.bias`, block.norm1.bias);
    linear(`${at}qkv`, block.qkv);
    vector(`${at}queryNorm`, block.queryNorm?.weight);
    vector(`${at}keyNorm`, block.keyNorm?.weight);
    linear(`${at}output`, block.output);
    vector(`${at}norm2`, block.norm2.weight);
    vector(`${at}norm2.bias`, block.norm2.bias);
    linear(`${at}up`, block.up);
    linear(`${at}down`, block.down);
  }
  vector("finalNorm", weights.finalNorm.weight);
  vector("finalNorm.bias", weights.finalNorm.bias);
  matrix("unembedding", weights.unembedding);
  return list;
}
