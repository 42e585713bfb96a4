/** The product of two plain tensors, as training and inspection need it; weights go through linear.ts. */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import { tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

export interface Transposes {
  /** a is (K, M). */
  readonly a?: boolean;
  /** b is (N, K). */
  readonly b?: boolean;
}

/** a (M, K) times b (K, N) -> (M, N). Throws ShapeError when the inner sizes differ. */
export function matmul(a: Tensor, b: Tensor, transpose: Transposes = {}): Tensor {
  if (a.shape.length !== 2 || b.shape.length !== 2)
    throw new ShapeError(`matmul: ${showShape(a.shape)} x ${showShape(b.shape)}; both must be matrices`);
  const { a: turnA = false, b: turnB = false } = transpose;
  const [M, K] = turnA ? [a.shape[1], a.shape[0]] : a.shape;
  const [inner, N] = turnB ? [b.shape[1], b.shape[0]] : b.shape;
  if (inner !== K) throw new ShapeError(`matmul: inner sizes differ, ${showShape(a.shape)} x ${showShape(b.shape)}; transpose one of them?`);
  const out = empty(a.device, [M, N]);
  const { kernels } = a.device;
  kernels.matmul(out.buffer, a.buffer, b.buffer, M, N, K, turnA, turnB, false);

  tapeFor(a, b)?.note(out, [a, b], ({ buffer: dY }, tape) => {
    const dA = tape.addingTo(a);
    if (dA && turnA)
      kernels.matmul(dA, b.buffer, dY, K, M, N, turnB, true, true); // dA^T = B dY^T
    else if (dA) kernels.matmul(dA, dY, b.buffer, M, K, N, false, !turnB, true); // dA = dY B^T
    const dB = tape.addingTo(b);
    if (dB && turnB)
      kernels.matmul(dB, dY, a.buffer, N, K, M, true, turnA, true); // dB^T = dY^T A
    else if (dB) kernels.matmul(dB, a.buffer, dY, K, N, M, !turnA, false, true); // dB = A^T dY
  });
  return out;
}
