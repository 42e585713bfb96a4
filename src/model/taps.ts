/**
 * Listening to activations, and replacing them, under TransformerLens names
 * (`blocks.3.attn.hook_pattern`, `blocks.3.hook_resid_mid`, ...).
 */
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Called with the activation in the middle of the pass. The tensor lives until the pass ends: read it now (`tensor.read()` copies at once).
 * Returning a tensor of the same shape puts it in the activation's place.
 */
export type TapListener = (activation: Tensor, name: string) => Tensor | void;

export interface Taps {
  /** Undefined when nobody listens to this name; the model then skips whatever only the tap would need. */
  listener(name: string): TapListener | undefined;
}
