/**
 * Listening to activations, and replacing them, under TransformerLens names
 * (`blocks.3.attn.hook_pattern`, `blocks.3.hook_resid_mid`, ...).
 *
 * Shapes: residual stream, norms and outputs (B, T, C); q, k, v, rot_q, rot_k and z (B, T, heads, D); scores and pattern (B, H, T, S);
 * MLP (B, T, N). `hook_normalized` is the norm's output after weight and bias; `ln1.output`, `ln2.output` and `ln_final.output`
 * are other names for it.
 */
import { nearest, ShapeError, VitrineError } from "../base/errors.ts";
import { sameShape, showShape } from "../base/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";

/**
 * Called with the activation in the middle of the pass. The tensor lives until the listener returns: read it now (`tensor.read()` copies at once).
 * Returning a tensor of the same shape puts it in the activation's place; tensors a listener makes are freed by the pass.
 */
export type TapListener = (activation: Tensor, name: string) => Tensor | void;

export interface Taps {
  /** Undefined when nobody listens to this name; the model then skips whatever only the tap would need. */
  listener(name: string): TapListener | undefined;
}

const BLOCK_TAPS: readonly string[] = [
  "hook_resid_pre",
  "ln1.hook_normalized",
  "attn.hook_q",
  "attn.hook_k",
  "attn.hook_v",
  "attn.hook_attn_scores",
  "attn.hook_pattern",
  "attn.hook_z",
  "hook_attn_out",
  "hook_resid_mid",
  "ln2.hook_normalized",
  "mlp.hook_pre",
  "mlp.hook_post",
  "hook_mlp_out",
  "hook_resid_post",
];

/** Taps that only one family's blocks have, and the tap each follows. */
const FAMILY_TAPS: Readonly<Record<ModelConfig["family"], Readonly<Record<string, readonly string[]>>>> = {
  gpt2: {},
  llama: { "attn.hook_v": ["attn.hook_rot_q", "attn.hook_rot_k"], "mlp.hook_pre": ["mlp.hook_pre_linear"] },
};

/** Every name a model of this config can be tapped under, in the order of the forward pass. */
export function tapNames(config: ModelConfig): string[] {
  const block = BLOCK_TAPS.flatMap((name) => [name, ...(FAMILY_TAPS[config.family][name] ?? [])]);
  const names = config.family === "gpt2" ? ["hook_embed", "hook_pos_embed"] : ["hook_embed"];
  for (let layer = 0; layer < config.layers; layer++) for (const name of block) names.push(`blocks.${layer}.${name}`);
  return [...names, "ln_final.hook_normalized", "logits"];
}

/**
 * Listeners by name; `*` in a name stands for any layer (any run of characters without a dot).
 * Throws VitrineError for a name that no activation of this model has, with the nearest that one has.
 */
export function taps(config: ModelConfig, listeners: Readonly<Record<string, TapListener>> | ReadonlyMap<string, TapListener>): Taps {
  const names = tapNames(config);
  const heard = new Map<string, TapListener[]>();
  for (const [asked, listener] of listeners instanceof Map ? listeners : Object.entries(listeners)) {
    const wanted = asked.replace(/^(.*\b(?:ln1|ln2|ln_final))\.output$/, "$1.hook_normalized");
    const matching = names.filter(matcher(wanted));
    if (matching.length === 0) {
      const suggestion = nearest(wanted, names) ?? "hook_embed";
      throw new VitrineError(`taps: no activation is called ${asked} (${config.layers} layers, from 0); did you mean ${suggestion}?`);
    }
    for (const name of matching) heard.set(name, [...(heard.get(name) ?? []), listener]);
  }
  const combined = new Map<string, TapListener>();
  for (const [name, list] of heard) combined.set(name, list.length === 1 ? list[0] : inTurn(list));
  return { listener: (name) => combined.get(name) };
}

function matcher(pattern: string): (name: string) => boolean {
  if (!pattern.includes("*")) return (name) => name === pattern;
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const expression = new RegExp(`^${parts.join("[^.]*")}$`);
  return (name) => expression.test(name);
}

/** Several listeners on one name: each hears what the one before it left. */
function inTurn(listeners: readonly TapListener[]): TapListener {
  return (activation, name) => {
    let current = activation;
    for (const listener of listeners) current = listener(current, name) ?? current;
    return current;
  };
}

/** How the forward pass speaks of taps: one word beside the value. */
export interface Ear {
  wants(name: string): boolean;
  /** The activation, or what the listener put in its place. */
  hear(name: string, activation: Tensor): Tensor;
}

/** Nobody listens: costs nothing. */
export const silence: Ear = { wants: () => false, hear: (_, activation) => activation };

/** Listens under `prefix`, for example `blocks.3.`. */
export function ear(taps: Taps, prefix: string): Ear {
  return {
    wants: (name) => taps.listener(prefix + name) !== undefined,
    hear(name, activation) {
      const listener = taps.listener(prefix + name);
      const replacement = listener?.(activation, prefix + name);
      if (!replacement) return activation;
      if (!sameShape(replacement.shape, activation.shape) || replacement.dtype !== "f32" || replacement.device !== activation.device)
        throw new ShapeError(
          `taps: the listener on ${prefix + name} returned ${replacement.dtype} ${showShape(replacement.shape)}, ` +
            `expected f32 ${showShape(activation.shape)} on the same device; return nothing to leave the activation as it is`,
        );
      return replacement;
    },
  };
}
