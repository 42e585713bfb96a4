/** The matrix-vector product of the network, one for every row: y = W x + b, with what follows it fused in. */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import type { Activation, Matrix } from "../../device/device.ts";
import { expectElements, lastAxis, rowCount, withLast } from "../shapes.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/**
 * activation(x W^T + bias) + residual. x: (..., inputs) -> (..., outputs).
 * bias (outputs,), activation and residual (..., outputs) may each be null. Throws ShapeError when the inner sizes differ.
 */
export function linear(
  x: Tensor,
  weights: Matrix,
  bias: Tensor | null = null,
  activation: Activation | null = null,
  residual: Tensor | null = null,
): Tensor {
  if (lastAxis(x) !== weights.inputs)
    throw new ShapeError(
      `linear: inner sizes differ, ${showShape(x.shape)} x weights (${weights.outputs}, ${weights.inputs}); the last axis must be ${weights.inputs}`,
    );
  const out = empty(x.device, withLast(x.shape, weights.outputs));
  if (bias) expectElements("linear", "the bias", bias, [weights.outputs], "one number per output");
  if (residual) expectElements("linear", "the residual", residual, out.shape, "it must have the result's shape");
  x.device.kernels.linear(out.buffer, x.buffer, weights, bias && bias.buffer, activation, residual && residual.buffer, rowCount(x));
  return out;
}
