/**
 * Direct logit attribution (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"): the logit of one token at one position as
 * a sum of pushes, one for each thing that was written into the residual stream. Exact up to rounding, with the last norm's scale frozen
 * (final-norm.ts). What a part does by way of later parts is theirs here; edits.ts shows the effect of both.
 */
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { tensorScope } from "../tensor/scope.ts";
import { tensor } from "../tensor/tensor.ts";
import { checkToken, listen, positionIn, readRow } from "./capture.ts";
import { freezeNorm, logitsOf, readingDirection } from "./final-norm.ts";
import type { Contributions, Push } from "./inspection.ts";
import { weightsOf } from "./matrices.ts";

export interface ContributionOptions {
  /** Negative ones count from the end. Default: the last position. */
  readonly position?: number;
  /** The token whose logit is explained. Default: the model's favourite there. */
  readonly target?: number;
  /**
   * Pushes relative to the average token: minus their mean over the vocabulary. What pushes all tokens alike changes no probability,
   * and this takes it away. Default false.
   */
  readonly relative?: boolean;
}

/**
 * Who pushes the logit of `target` up and down: embedding, positions (GPT-2), each head, the bias of each attention, each MLP (with its bias),
 * and the bias of the last norm. Their sum is the logit. Throws VitrineError for a position or token that is not there.
 */
export async function contributions(model: LanguageModel, ids: readonly number[], options: ContributionOptions = {}): Promise<Contributions> {
  const { config } = model;
  const { relative = false } = options;
  const position = positionIn(ids, options.position);
  if (options.target !== undefined) checkToken(model, options.target);

  const last = `blocks.${config.layers - 1}.hook_resid_post`;
  const start = config.family === "gpt2" ? ["hook_embed", "hook_pos_embed"] : ["hook_embed"];
  const names = [...start, "blocks.*.attn.hook_z", "blocks.*.hook_mlp_out", last];
  // What comes later cannot change this position: the pass ends with it.
  const heard = await listen(model, ids.slice(0, position + 1), names, (_, tensor) => readRow(tensor, position));
  const rowOf = (name: string): Float32Array => heard.get(name)!;

  const logits = await logitsOf(model, rowOf(last));
  if (!logits.every(Number.isFinite))
    throw new VitrineError("contributions: the model's logits are not finite; the checkpoint's weights are damaged or overflow fp32", {
      blame: "work",
    });
  const target = options.target ?? logits.reduce((best, logit, id) => (logit > logits[best] ? id : best), 0);
  const direction = await readingDirection(model, target, relative);
  const norm = await freezeNorm(model, rowOf(last));

  const pushes: Push[] = [{ kind: "embedding", layer: -1, head: -1, amount: norm.push(rowOf("hook_embed"), direction) }];
  if (start.length > 1) pushes.push({ kind: "positions", layer: -1, head: -1, amount: norm.push(rowOf("hook_pos_embed"), direction) });
  const biases = attentionBiases(model);
  for (let layer = 0; layer < config.layers; layer++) {
    for (const [head, written] of (await writtenByHeads(model, layer, rowOf(`blocks.${layer}.attn.hook_z`))).entries())
      pushes.push({ kind: "head", layer, head, amount: norm.push(written, direction) });
    const bias = biases[layer];
    if (bias !== undefined) pushes.push({ kind: "attention-bias", layer, head: -1, amount: norm.push(await model.readParameter(bias), direction) });
    pushes.push({ kind: "mlp", layer, head: -1, amount: norm.push(rowOf(`blocks.${layer}.hook_mlp_out`), direction) });
  }
  if (config.family === "gpt2") pushes.push({ kind: "norm-bias", layer: -1, head: -1, amount: norm.bias(direction) });

  const average = relative ? logits.reduce((sum, logit) => sum + logit, 0) / logits.length : 0;
  return { position, target, logit: logits[target] - average, relative, pushes };
}

/** (C,) for each head: its D mixed values times its rows of the output matrix. z: (H D,) */
async function writtenByHeads(model: LanguageModel, layer: number, z: Float32Array): Promise<Float32Array[]> {
  const { heads: H, headDimension: D, width: C } = model.config;
  const alone = new Float32Array(H * H * D); // row h: only head h speaks
  for (let h = 0; h < H; h++) alone.set(z.subarray(h * D, (h + 1) * D), h * H * D + h * D);
  const written = await writeOut(model, layer, "attention", alone);
  return Array.from({ length: H }, (_, h) => written.subarray(h * C, (h + 1) * C));
}

/** Rows of what a part computed -> rows of what it writes into the stream (LanguageModel.writeOut), as plain numbers. */
export async function writeOut(model: LanguageModel, layer: number, part: "attention" | "mlp", rows: Float32Array): Promise<Float32Array> {
  const { heads, headDimension, mlpWidth } = model.config;
  const width = part === "attention" ? heads * headDimension : mlpWidth;
  const ask = (): Promise<Float32Array> => {
    using _ = tensorScope();
    return model.writeOut(layer, part, tensor(model.device, rows, [rows.length / width, width])).read();
  };
  return ask();
}

/** The checkpoint's name of each layer's attention output bias; empty where there are none. */
function attentionBiases({ config }: LanguageModel): string[] {
  return weightsOf(config, "Biases").map(({ name }) => name).filter((name) => /attn\.(c_proj|o_proj)\.bias$/.test(name)); // prettier-ignore
}
