/**
 * What a family is to the rest of the room. Adding one = one file like gpt2.ts and one row in families.ts.
 */
import type { TensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import type { Parameter } from "./parameters.ts";
import type { Pass } from "./pass.ts";
import type { RotaryTables } from "./rotary.ts";
import type { ModelWeights, WeightLayout } from "./weights.ts";

export interface Family {
  readonly layout: WeightLayout;
  /** Checkpoints of the bare model lack it: `transformer.wte.weight` is also found as `wte.weight`. */
  readonly prefix: string;
  /** What the names of block tensors begin with, after the prefix. */
  readonly blocks: string;
  /** Tensors a checkpoint may hold that say nothing new. */
  readonly ignored: RegExp;
  parameters(config: ModelConfig): Parameter[];
  /** The norm before the unembedding: (..., C) -> (..., C). */
  finalNorm(x: Tensor, weights: ModelWeights, config: ModelConfig): Tensor;
  /** One pass; the result belongs to `scope`. */
  forward(pass: Pass, weights: ModelWeights, scope: TensorScope, rotary: RotaryTables | undefined): Tensor;
}
