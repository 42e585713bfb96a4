/**
 * What if? A pass with some heads and MLPs speaking louder, softer or not at all, and what the model then predicts.
 *
 * An edit scales what a part has computed, before it is written out: a head's mixed values z, an MLP's neurons. So a muted part writes zeros and
 * the biases of the layer stay, as they do in contributions.ts: they belong to no head.
 */
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { taps } from "../model/taps.ts";
import type { TapListener, Taps } from "../model/taps.ts";
import { addColumns } from "../tensor/ops/add.ts";
import { scale } from "../tensor/ops/scale.ts";
import { columns } from "../tensor/ops/select.ts";
import { checkPlace } from "./capture.ts";
import type { Edit } from "./inspection.ts";

/**
 * (V,) logits of what comes after `ids` with all `edits` made; several on one part multiply. No edits: the model's own.
 * Throws VitrineError for parts that the model does not have and scales that are no numbers.
 */
export async function forwardWith(model: LanguageModel, ids: readonly number[], edits: readonly Edit[]): Promise<Float32Array> {
  const logits = model.forward([ids], { taps: editTaps(model, edits) });
  try {
    return await logits.read();
  } finally {
    logits.dispose();
  }
}

/** The same edits for passes of one's own, generation with a cache among them. */
export function editTaps(model: LanguageModel, edits: readonly Edit[]): Taps {
  const listeners = new Map<string, TapListener>();
  for (const [layer, factors] of headFactors(model, edits)) listeners.set(`blocks.${layer}.attn.hook_z`, headScaler(factors));
  for (const [layer, factor] of neuronFactors(edits)) listeners.set(`blocks.${layer}.mlp.hook_post`, (neurons) => scale(neurons, factor));
  return taps(model.config, listeners);
}

/** By layer, the factor of each head. */
function headFactors(model: LanguageModel, edits: readonly Edit[]): Map<number, number[]> {
  const layers = new Map<number, number[]>();
  for (const edit of edits) {
    checkPlace(model, edit.layer, edit.kind === "head" ? edit.head : undefined);
    if (!Number.isFinite(edit.scale)) throw new VitrineError(`forwardWith: a scale of ${edit.scale}; give a number: 0 mutes, 1 changes nothing`);
    if (edit.kind === "mlp") continue;
    const factors = layers.get(edit.layer) ?? Array.from({ length: model.config.heads }, () => 1);
    layers.set(
      edit.layer,
      factors.map((factor, head) => (edit.kind === "attention" || edit.head === head ? factor * edit.scale : factor)),
    );
  }
  return layers;
}

function neuronFactors(edits: readonly Edit[]): Map<number, number> {
  const layers = new Map<number, number>();
  for (const { kind, layer, scale: factor } of edits) if (kind === "mlp") layers.set(layer, (layers.get(layer) ?? 1) * factor);
  return layers;
}

/** z (B, T, H, D) with every head times its factor. Heads with factor 1 keep their bits. */
function headScaler(factors: readonly number[]): TapListener {
  return (z) => {
    const [B, T, H, D] = z.shape;
    const flat = z.view([B * T, H * D]);
    let edited = flat;
    for (const [head, factor] of factors.entries())
      if (factor !== 1) edited = addColumns(edited, head * D, scale(columns(flat, head * D, D, [B * T, D]), factor - 1));
    return edited.view(z.shape);
  };
}
