/** The product of two plain tensors, as training and inspection need it; weights go through linear.ts. */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
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
  const [M, K] = transpose.a ? [a.shape[1], a.shape[0]] : a.shape;
  const [inner, N] = transpose.b ? [b.shape[1], b.shape[0]] : b.shape;
  if (inner !== K) throw new ShapeError(`matmul: inner sizes differ, ${showShape(a.shape)} x ${showShape(b.shape)}; transpose one of them?`);
  const out = empty(a.device, [M, N]);
  a.device.kernels.matmul(out.buffer, a.buffer, b.buffer, M, N, K, transpose.a ?? false, transpose.b ?? false, false);
  return out;
}
