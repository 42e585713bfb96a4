/** Elementwise sum: how every block writes into the residual stream. */
import { expectElements } from "../shapes.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** a + b, both of one size; the result has a's shape. Throws ShapeError when sizes differ. */
export function add(a: Tensor, b: Tensor): Tensor {
  expectElements("add", "the second argument", b, a.shape, "both sides must have the same size");
  const out = empty(a.device, a.shape);
  a.device.kernels.add(out.buffer, a.buffer, b.buffer, out.buffer.length);
  return out;
}
