/**
 * GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each layer, one GELU MLP.
 * The forward pass in the order of the tour; below it the table of its checkpoint.
 */
import { activate } from "../tensor/ops/activate.ts";
import { add } from "../tensor/ops/add.ts";
import { layerNorm } from "../tensor/ops/norm.ts";
import { columns, embed } from "../tensor/ops/select.ts";
import { tensorScope } from "../tensor/scope.ts";
import type { TensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Matrix } from "../device/device.ts";
import type { ModelConfig } from "./config.ts";
import type { Family } from "./family.ts";
import { attend, project, throughBlocks, unembed, writeBack } from "./layers.ts";
import { inputsFirst, outputsFirst, vector } from "./parameters.ts";
import type { Parameter } from "./parameters.ts";
import { positionIds } from "./pass.ts";
import type { Pass } from "./pass.ts";
import type { BlockWeights, ModelWeights } from "./weights.ts";

function forward(pass: Pass, weights: ModelWeights, scope: TensorScope): Tensor {
  const { tap, config } = pass;

  // Embedding, and positions: what each token is, plus where it stands. (B, T, C)
  const what = tap.hear("hook_embed", embed(weights.embedding, pass.ids));
  const where = tap.hear("hook_pos_embed", embed(weights.positions as Matrix, positionIds(pass)));
  const start = pass.drop(add(what, where), "embedding");

  const x = throughBlocks(pass, weights, scope, start, (layer, own, stream) => block(pass, layer, own, stream));

  // Unembedding: what could come next. (B, T, V) or (B, V)
  return unembed(pass, weights, x, (y) => finalNorm(y, weights, config));
}

function finalNorm(x: Tensor, { finalNorm: { weight, bias } }: ModelWeights, config: ModelConfig): Tensor {
  return layerNorm(x, weight, bias, config.normEpsilon);
}

function block(pass: Pass, layer: number, weights: BlockWeights, stream: Tensor): Tensor {
  using scope = tensorScope();
  const { B, T, config } = pass;
  const { heads: H, headDimension: D, normEpsilon } = config;
  const { norm1, qkv, norm2, up } = weights;
  const C = H * D;
  const tap = pass.block(layer);

  // Norm
  let x = tap.hear("hook_resid_pre", stream);
  const calm = tap.hear("ln1.hook_normalized", layerNorm(x, norm1.weight, norm1.bias, normEpsilon));

  // Attention: each position asks (q), offers (k), and tells (v)
  const asked = project(calm, qkv); // (B, T, 3 C)
  const q = tap.hear("attn.hook_q", columns(asked, 0, C, [B, T, H, D]));
  const k = tap.hear("attn.hook_k", columns(asked, C, C, [B, T, H, D]));
  const v = tap.hear("attn.hook_v", columns(asked, 2 * C, C, [B, T, H, D]));
  const z = attend(pass, tap, layer, q, k, v);
  x = tap.hear("hook_resid_mid", writeBack(pass, tap, "hook_attn_out", { layer, part: "attention" }, z, weights.output, x));

  // MLP: N neurons, each a question to the vector
  const calmer = tap.hear("ln2.hook_normalized", layerNorm(x, norm2.weight, norm2.bias, normEpsilon));
  const neurons = tap.wants("mlp.hook_pre")
    ? activate(tap.hear("mlp.hook_pre", project(calmer, up)), config.activation)
    : project(calmer, up, config.activation);
  x = writeBack(pass, tap, "hook_mlp_out", { layer, part: "mlp" }, tap.hear("mlp.hook_post", neurons), weights.down, x);

  return scope.keep(tap.hear("hook_resid_post", x));
}

/** Every tensor of a GPT2LMHeadModel checkpoint. Matrices of the blocks are Conv1D: (inputs, outputs). */
function parameters(config: ModelConfig): Parameter[] {
  const { width: C, mlpWidth: N, vocabularySize: V, contextLength, layers } = config;
  const list: Parameter[] = [
    outputsFirst("transformer.wte.weight", [V, C], "Embedding", (w) => w.embedding),
    outputsFirst("transformer.wpe.weight", [contextLength, C], "Positions", (w) => w.positions as Matrix),
  ];
  for (let layer = 0; layer < layers; layer++) {
    const name = `transformer.h.${layer}.`;
    const of = (w: ModelWeights): BlockWeights => w.blocks[layer];
    const thirds = [["Query", C * C] as const, ["Key", C * C] as const, ["Value", C * C] as const];
    list.push(
      vector(`${name}ln_1.weight`, C, "Norms", (w) => of(w).norm1.weight),
      vector(`${name}ln_1.bias`, C, "Norms", (w) => of(w).norm1.bias),
      inputsFirst(`${name}attn.c_attn.weight`, [C, 3 * C], thirds, (w) => of(w).qkv.matrix),
      vector(`${name}attn.c_attn.bias`, 3 * C, "Biases", (w) => of(w).qkv.bias),
      inputsFirst(`${name}attn.c_proj.weight`, [C, C], [["Output", C * C]], (w) => of(w).output.matrix),
      vector(`${name}attn.c_proj.bias`, C, "Biases", (w) => of(w).output.bias),
      vector(`${name}ln_2.weight`, C, "Norms", (w) => of(w).norm2.weight),
      vector(`${name}ln_2.bias`, C, "Norms", (w) => of(w).norm2.bias),
      inputsFirst(`${name}mlp.c_fc.weight`, [C, N], [["Up-projection", C * N]], (w) => of(w).up.matrix),
      vector(`${name}mlp.c_fc.bias`, N, "Biases", (w) => of(w).up.bias),
      inputsFirst(`${name}mlp.c_proj.weight`, [N, C], [["Down-projection", N * C]], (w) => of(w).down.matrix),
      vector(`${name}mlp.c_proj.bias`, C, "Biases", (w) => of(w).down.bias),
    );
  }
  list.push(
    vector("transformer.ln_f.weight", C, "Norms", (w) => w.finalNorm.weight),
    vector("transformer.ln_f.bias", C, "Norms", (w) => w.finalNorm.bias),
  );
  if (!config.tied) list.push(outputsFirst("lm_head.weight", [V, C], "Unembedding", (w) => w.unembedding));
  return list;
}

export const gpt2: Family = {
  layout: { positions: true, normBias: true, gated: false },
  prefix: "transformer.",
  blocks: "h.",
  ignored: /^(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)$|^lm_head\.weight$/, // causal masks saved by old versions; a tied head
  parameters,
  finalNorm,
  forward,
};
