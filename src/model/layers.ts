/**
 * The layers both families share, after their projections: attention over the cache, writing back into the residual stream,
 * and the last norm with the unembedding. Each takes the fused kernel when nobody listens and separate steps when someone does.
 */
import { append, attention, attentionMix, attentionScores } from "../tensor/ops/attention.ts";
import { add } from "../tensor/ops/add.ts";
import { linear } from "../tensor/ops/linear.ts";
import { gatherRows } from "../tensor/ops/select.ts";
import { softmax } from "../tensor/ops/softmax.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { lastRows } from "./pass.ts";
import type { Pass } from "./pass.ts";
import type { Ear } from "./taps.ts";
import type { Linear, ModelWeights } from "./weights.ts";

/** Stores the new keys and values, then lets every query look. q (B, T, H, D), k and v (B, T, KV, D) -> z (B, T, H D). */
export function attend(pass: Pass, tap: Ear, layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor {
  const { sizes, S } = pass;
  const keys = pass.cache.keys(layer);
  const values = pass.cache.values(layer);
  append(keys, k, sizes);
  append(values, v, sizes);
  const z = tap.wants("attn.hook_attn_scores") || tap.wants("attn.hook_pattern") ? inSteps() : attention(q, keys, values, sizes);
  return tap.hear("attn.hook_z", z).view([sizes.B, sizes.T, sizes.H * sizes.D]);

  function inSteps(): Tensor {
    const scores = tap.hear("attn.hook_attn_scores", attentionScores(q, keys, sizes, S)); // (B, H, T, S)
    const pattern = tap.hear("attn.hook_pattern", softmax(scores)); // (B, H, T, S)
    return attentionMix(pattern, values, sizes);
  }
}

/** stream + W x + b: a block's result, heard under `name`, added to the residual stream. */
export function writeBack(tap: Ear, name: string, x: Tensor, weights: Linear, stream: Tensor): Tensor {
  if (!tap.wants(name)) return linear(x, weights.matrix, weights.bias, null, stream);
  return add(stream, tap.hear(name, linear(x, weights.matrix, weights.bias)));
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
