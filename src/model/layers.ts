/**
 * The layers both families share: projections with their adapters, attention over the cache, writing back into the residual stream,
 * and the last norm with the unembedding. Each takes the fused kernel when nobody listens and separate steps when someone does.
 */
import { VitrineError } from "../base/errors.ts";
import type { Activation } from "../device/device.ts";
import { activate } from "../tensor/ops/activate.ts";
import { add, addColumns } from "../tensor/ops/add.ts";
import { append, attention, attentionMix, attentionScores, selfAttention } from "../tensor/ops/attention.ts";
import { linear } from "../tensor/ops/linear.ts";
import { scale } from "../tensor/ops/scale.ts";
import { gatherRows } from "../tensor/ops/select.ts";
import { softmax } from "../tensor/ops/softmax.ts";
import { recompute } from "../tensor/recompute.ts";
import type { TensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { DeviceCache } from "./kv-cache.ts";
import { lastRows } from "./pass.ts";
import type { DropSite, Pass } from "./pass.ts";
import type { Ear } from "./taps.ts";
import type { BlockWeights, Linear, ModelWeights } from "./weights.ts";

/** The residual stream through all blocks, each stream given back once the next one is there. */
export function throughBlocks(
  pass: Pass,
  weights: ModelWeights,
  scope: TensorScope,
  stream: Tensor,
  block: (layer: number, weights: BlockWeights, stream: Tensor) => Tensor,
): Tensor {
  let x = stream;
  for (const [layer, own] of weights.blocks.entries()) {
    const work = (before: Tensor): Tensor => block(layer, own, before);
    const next = pass.recompute ? recompute(x, work) : work(x);
    if (next !== x) scope.release(x);
    x = next;
  }
  return x;
}

/** activation(W x + b + what adapters say) + residual. x: (..., inputs) -> (..., outputs). All projections of the blocks go through here. */
export function project(x: Tensor, weights: Linear, activation: Activation | null = null, residual: Tensor | null = null): Tensor {
  const { matrix, bias, adapters } = weights;
  if (adapters.length === 0) return linear(x, matrix, bias, activation, residual);
  let y = linear(x, matrix, bias);
  for (const { down, up, scale: factor, at } of adapters) {
    const low = scale(linear(x, down), factor); // scaled where it is narrow
    y = up.outputs === matrix.outputs ? linear(low, up, null, null, y) : addColumns(y, at, linear(low, up));
  }
  if (activation) y = activate(y, activation);
  return residual ? add(y, residual) : y;
}

/** Stores the new keys and values, then lets every query look. q (B, T, H, D), k and v (B, T, KV, D) -> z (B, T, H D). */
export function attend(pass: Pass, tap: Ear, layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor {
  const { sizes, S } = pass;
  const steps = tap.wants("attn.hook_attn_scores") || tap.wants("attn.hook_pattern");
  const z = pass.cache ? cached(pass.cache) : recorded();
  return tap.hear("attn.hook_z", z).view([sizes.B, sizes.T, sizes.H * sizes.D]);

  function cached(cache: DeviceCache): Tensor {
    const [keys, values] = [cache.keys(layer), cache.values(layer)];
    append(keys, k, sizes);
    append(values, v, sizes);
    if (!steps) return attention(q, keys, values, sizes);
    const scores = tap.hear("attn.hook_attn_scores", attentionScores(q, keys, sizes, S)); // (B, H, T, S)
    const pattern = tap.hear("attn.hook_pattern", softmax(scores)); // (B, H, T, S)
    return attentionMix(pattern, values, sizes);
  }

  function recorded(): Tensor {
    if (steps)
      throw new VitrineError(
        "forward: nobody can listen to attn.hook_attn_scores or attn.hook_pattern while a tape records; listen in a pass of its own",
      );
    return selfAttention(q, k, v, sizes);
  }
}

/** stream + W x + b: a block's result, heard under `name`, added to the residual stream. */
export function writeBack(pass: Pass, tap: Ear, name: string, site: DropSite, x: Tensor, weights: Linear, stream: Tensor): Tensor {
  if (!tap.wants(name) && !pass.drops) return project(x, weights, null, stream);
  return add(stream, tap.hear(name, pass.drop(project(x, weights), site)));
}

/** Last norm and logits: of every position, or only of each sequence's last one. (B, T, C) -> (B, T, V) or (B, V). */
export function unembed(pass: Pass, weights: ModelWeights, x: Tensor, norm: (x: Tensor) => Tensor): Tensor {
  const { tap, B, T, config } = pass;
  const onlyLast = (y: Tensor): Tensor => (T === 1 ? y.view([B, config.width]) : gatherRows(y, lastRows(pass)));
  let final: Tensor;
  if (pass.logits === "all") final = tap.hear("ln_final.hook_normalized", norm(x));
  else if (tap.wants("ln_final.hook_normalized")) final = onlyLast(tap.hear("ln_final.hook_normalized", norm(x)));
  else final = norm(onlyLast(x));
  return tap.hear("logits", linear(final, weights.unembedding));
}
