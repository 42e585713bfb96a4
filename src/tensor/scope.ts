/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Who frees what. The ownership rule, all of it:
 *
 * - Every op returns a fresh tensor. It belongs to the innermost open scope, or to the caller when none is open.
 * - A scope ends with its block (`using scope = tensorScope()`) and disposes all that belongs to it, except what was `keep`-ed:
 *   that moves one scope out, or to the caller.
 * - A view (`tensor.view(shape)`) borrows: it is good while the tensor it was made from lives, and frees nothing.
 * - Whoever needs numbers for longer than their owner (the tape, on the way back) retains them: `tensor.retain()` is a second handle,
 *   of a view too, and disposed by who asked for it. The memory goes back with the last handle.
 * - Weights and caches are made outside any scope (`permanent`) and die with the model or cache that made them.
 *
 * A scope belongs to one synchronous stretch of work: never hold one open across an `await`.
 */
import { internal } from "../base/errors.ts";

/** What a scope holds: anything with memory to give back. */
export interface Disposable {
  dispose(): void;
}

// Older browsers lack the symbol that `using` is built on; it must exist before the class below names it.
(Symbol as { dispose?: symbol }).dispose ??= Symbol.for("Symbol.dispose");

let innermost: TensorScope | undefined;

export class TensorScope {
  readonly #outer: TensorScope | undefined;
  readonly #held: Disposable[] = [];
  #open = true;

  /** Use `tensorScope()`. */
  constructor(outer: TensorScope | undefined) {
    this.#outer = outer;
  }

  /** Lets a tensor outlive this scope: the next scope out owns it, or the caller. */
  keep<D extends Disposable>(tensor: D): D {
    const at = this.#held.lastIndexOf(tensor);
    if (at >= 0) {
      this.#held[at] = this.#held[this.#held.length - 1];
      this.#held.pop();
      this.#outer?.hold(tensor);
    }
    return tensor;
  }

  /** Disposes a tensor now, before the scope ends, if it belongs to this scope; a borrowed or foreign one is left alone. */
  release(tensor: Disposable): void {
    const at = this.#held.lastIndexOf(tensor);
    if (at < 0) return;
    this.#held[at] = this.#held[this.#held.length - 1];
    this.#held.pop();
    tensor.dispose();
  }

  /** Takes a tensor in. Ops do this through `adopt`. */
  hold(tensor: Disposable): void {
    this.#held.push(tensor);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    if (innermost !== this) throw internal("tensor scopes ended out of order; was one held open across an await?");
    innermost = this.#outer;
    for (const tensor of this.#held) tensor.dispose();
  }
}

/** Opens a scope: `using scope = tensorScope();`. Tensors made until the end of the block die with it. */
export function tensorScope(): TensorScope {
  innermost = new TensorScope(innermost);
  return innermost;
}

/** Gives a fresh tensor to the innermost open scope, if there is one. */
export function adopt<D extends Disposable>(tensor: D): D {
  innermost?.hold(tensor);
  return tensor;
}
