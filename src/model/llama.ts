/**
 * The Llama family (Touvron et al. 2023, and Mistral, Qwen 2 and 3): rotary positions, RMSNorm, gated MLP, grouped-query attention.
 * Biases, q/k norms and windows are rows of the config. The forward pass in the order of the tour; below it the table of its checkpoint.
 */
import { gate } from "../tensor/ops/activate.ts";
import { rope } from "../tensor/ops/attention.ts";
import { rmsNorm } from "../tensor/ops/norm.ts";
import { beside, columns, embed } from "../tensor/ops/select.ts";
import { tensorScope } from "../tensor/scope.ts";
import { recording } from "../tensor/tape.ts";
import type { TensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import type { Family } from "./family.ts";
import { attend, project, throughBlocks, unembed, writeBack } from "./layers.ts";
import { outputsFirst, vector } from "./parameters.ts";
import type { Parameter } from "./parameters.ts";
import type { Pass } from "./pass.ts";
import type { RotaryTables } from "./rotary.ts";
import type { Ear } from "./taps.ts";
import type { BlockWeights, ModelWeights } from "./weights.ts";

function forward(pass: Pass, weights: ModelWeights, scope: TensorScope, rotary: RotaryTables | undefined): Tensor {
  const { tap, config } = pass;

  // Embedding: what each token is. Where it stands is told inside attention. (B, T, C)
  const start = pass.drop(tap.hear("hook_embed", embed(weights.embedding, pass.ids)), "embedding");
  const tables = (rotary as RotaryTables).upTo(pass.S);
  recording()?.hold(tables.retain()); // a longer pass may replace them before the way back

  const x = throughBlocks(pass, weights, scope, start, (layer, own, stream) => block(pass, layer, own, stream, tables));

  // Unembedding: what could come next. (B, T, V) or (B, V)
  return unembed(pass, weights, x, (y) => finalNorm(y, weights, config));
}

function finalNorm(x: Tensor, weights: ModelWeights, config: ModelConfig): Tensor {
  return rmsNorm(x, weights.finalNorm.weight, config.normEpsilon);
}

function block(pass: Pass, layer: number, weights: BlockWeights, stream: Tensor, tables: Tensor): Tensor {
  using scope = tensorScope();
  const { B, T, config } = pass;
  const { heads: H, kvHeads: KV, headDimension: D, normEpsilon } = config;
  const { norm1, qkv, queryNorm, keyNorm, norm2 } = weights;
  const tap = pass.block(layer);

  // Norm
  let x = tap.hear("hook_resid_pre", stream);
  const calm = tap.hear("ln1.hook_normalized", rmsNorm(x, norm1.weight, normEpsilon));

  // Attention: each position asks (q), offers (k), and tells (v); H / KV queries share a key
  const asked = project(calm, qkv); // (B, T, (H + 2 KV) D)
  let q = tap.hear("attn.hook_q", columns(asked, 0, H * D, [B, T, H, D]));
  let k = tap.hear("attn.hook_k", columns(asked, H * D, KV * D, [B, T, KV, D]));
  const v = tap.hear("attn.hook_v", columns(asked, (H + KV) * D, KV * D, [B, T, KV, D]));
  if (queryNorm) q = rmsNorm(q, queryNorm.weight, normEpsilon);
  if (keyNorm) k = rmsNorm(k, keyNorm.weight, normEpsilon);

  // Positions: queries and keys turn by where they stand
  q = tap.hear("attn.hook_rot_q", rope(q, tables, pass.sizes.past));
  k = tap.hear("attn.hook_rot_k", rope(k, tables, pass.sizes.past));
  const z = attend(pass, tap, layer, q, k, v);
  x = tap.hear("hook_resid_mid", writeBack(pass, tap, "hook_attn_out", { layer, part: "attention" }, z, weights.output, x));

  // MLP: N gated neurons
  const calmer = tap.hear("ln2.hook_normalized", rmsNorm(x, norm2.weight, normEpsilon));
  const neurons = gatedNeurons(tap, config, weights, calmer);
  x = writeBack(pass, tap, "hook_mlp_out", { layer, part: "mlp" }, tap.hear("mlp.hook_post", neurons), weights.down, x);

  return scope.keep(tap.hear("hook_resid_post", x));
}

/** activation(W_gate x) * (W_up x). (B, T, C) -> (B, T, N) */
function gatedNeurons(tap: Ear, config: ModelConfig, { up }: BlockWeights, x: Tensor): Tensor {
  let both = project(x, up); // (B, T, 2 N)
  if (tap.wants("mlp.hook_pre") || tap.wants("mlp.hook_pre_linear")) {
    const N = config.mlpWidth;
    const shape = [x.shape[0], x.shape[1], N];
    const pre = tap.hear("mlp.hook_pre", columns(both, 0, N, shape));
    const linearPart = tap.hear("mlp.hook_pre_linear", columns(both, N, N, shape));
    both = beside(pre, linearPart);
  }
  return gate(both, config.activation);
}

/** Every tensor of a LlamaForCausalLM checkpoint, and of its kin. q, k, v share one matrix on the device, and so do gate and up. */
function parameters(config: ModelConfig): Parameter[] {
  const { width: C, mlpWidth: N, vocabularySize: V, heads, kvHeads, headDimension: D, biases, qkNorm, layers } = config;
  const [Q, K] = [heads * D, kvHeads * D];
  const list: Parameter[] = [outputsFirst("model.embed_tokens.weight", [V, C], "Embedding", (w) => w.embedding)];
  for (let layer = 0; layer < layers; layer++) {
    const name = `model.layers.${layer}.`;
    const of = (w: ModelWeights): BlockWeights => w.blocks[layer];
    list.push(
      vector(`${name}input_layernorm.weight`, C, "Norms", (w) => of(w).norm1.weight),
      outputsFirst(`${name}self_attn.q_proj.weight`, [Q, C], "Query", (w) => of(w).qkv.matrix, 0),
      outputsFirst(`${name}self_attn.k_proj.weight`, [K, C], "Key", (w) => of(w).qkv.matrix, Q),
      outputsFirst(`${name}self_attn.v_proj.weight`, [K, C], "Value", (w) => of(w).qkv.matrix, Q + K),
      outputsFirst(`${name}self_attn.o_proj.weight`, [C, Q], "Output", (w) => of(w).output.matrix),
      vector(`${name}post_attention_layernorm.weight`, C, "Norms", (w) => of(w).norm2.weight),
      outputsFirst(`${name}mlp.gate_proj.weight`, [N, C], "Gate-projection", (w) => of(w).up.matrix, 0),
      outputsFirst(`${name}mlp.up_proj.weight`, [N, C], "Up-projection", (w) => of(w).up.matrix, N),
      outputsFirst(`${name}mlp.down_proj.weight`, [C, N], "Down-projection", (w) => of(w).down.matrix),
    );
    if (biases.qkv)
      list.push(
        vector(`${name}self_attn.q_proj.bias`, Q, "Biases", (w) => of(w).qkv.bias, 0),
        vector(`${name}self_attn.k_proj.bias`, K, "Biases", (w) => of(w).qkv.bias, Q),
        vector(`${name}self_attn.v_proj.bias`, K, "Biases", (w) => of(w).qkv.bias, Q + K),
      );
    if (biases.output) list.push(vector(`${name}self_attn.o_proj.bias`, C, "Biases", (w) => of(w).output.bias));
    if (biases.mlp)
      list.push(
        vector(`${name}mlp.gate_proj.bias`, N, "Biases", (w) => of(w).up.bias, 0),
        vector(`${name}mlp.up_proj.bias`, N, "Biases", (w) => of(w).up.bias, N),
        vector(`${name}mlp.down_proj.bias`, C, "Biases", (w) => of(w).down.bias),
      );
    if (qkNorm)
      list.push(
        vector(`${name}self_attn.q_norm.weight`, D, "Norms", (w) => of(w).queryNorm?.weight ?? null),
        vector(`${name}self_attn.k_norm.weight`, D, "Norms", (w) => of(w).keyNorm?.weight ?? null),
      );
  }
  list.push(vector("model.norm.weight", C, "Norms", (w) => w.finalNorm.weight));
  if (!config.tied) list.push(outputsFirst("lm_head.weight", [V, C], "Unembedding", (w) => w.unembedding));
  return list;
}

export const llama: Family = {
  layout: { positions: false, normBias: false, gated: true },
  prefix: "model.",
  blocks: "layers.",
  ignored: /rotary_emb\.inv_freq$|^lm_head\.weight$/, // tables saved by old versions; a tied head
  parameters,
  finalNorm,
  forward,
};
