/** The matrix-vector product of the network, one for every row: y = W x + b, with what follows it fused in. */
import { ShapeError, VitrineError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import type { Activation, Matrix } from "../../device/device.ts";
import { tensorScope } from "../scope.ts";
import { expectElements, lastAxis, rowCount, withLast } from "../shapes.ts";
import { gradientLike, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";
import { activate } from "./activate.ts";
import { add } from "./add.ts";

/**
 * activation(x W^T + bias) + residual. x: (..., inputs) -> (..., outputs).
 * bias (outputs,), activation and residual (..., outputs) may each be null. Throws ShapeError when the inner sizes differ,
 * and VitrineError when a gradient has to go through weights that are not f32.
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
  const tape = tapeFor(x, weights, bias, residual);
  if (tape && activation) {
    using scope = tensorScope(); // the way back needs what came before the activation
    const y = activate(linear(x, weights, bias), activation);
    return scope.keep(residual ? add(y, residual) : y);
  }
  const out = empty(x.device, withLast(x.shape, weights.outputs));
  if (bias) expectElements("linear", "the bias", bias, [weights.outputs], "one number per output");
  if (residual) expectElements("linear", "the residual", residual, out.shape, "it must have the result's shape");
  const { kernels } = x.device;
  const rows = rowCount(x);
  kernels.linear(out.buffer, x.buffer, weights, bias && bias.buffer, activation, residual && residual.buffer, rows);

  if (!tape) return out;
  const learned = tape.gradientOf(weights);
  if (weights.format !== "f32" && (learned || tape.wants(x)))
    throw new VitrineError(`linear: gradients go through f32 weights only, these are ${weights.format}; load the model with --weights f32`);
  tape.note(out, learned ? [x] : [], (dY) => {
    if (learned) kernels.linearBackwardWeights(learned, dY.buffer, x.buffer, rows); // dW += dY^T x
    const dBias = bias && tape.addingTo(bias);
    if (dBias) kernels.sumRows(dBias, dY.buffer, rows, weights.outputs); // db += the sum of dY over rows
    if (tape.wants(x)) {
      const dX = gradientLike(x);
      kernels.linearBackwardInput(dX.buffer, dY.buffer, weights, rows); // dX = dY W
      tape.give(x, dX);
    }
    if (residual) tape.give(residual, dY.retain());
  });
  return out;
}
