/** The nonlinearity of an MLP: plain (GPT-2) or gated (Llama). */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import type { Activation } from "../../device/device.ts";
import { lastAxis, rowCount, withLast } from "../shapes.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** activation(x), elementwise. */
export function activate(x: Tensor, activation: Activation): Tensor {
  const out = empty(x.device, x.shape);
  x.device.kernels.activate(out.buffer, x.buffer, activation, out.buffer.length);
  return out;
}

/** activation(gate) * up, where x: (..., 2 N) holds gate then up (Shazeer 2020). -> (..., N). Throws ShapeError for an odd last axis. */
export function gate(x: Tensor, activation: Activation): Tensor {
  const width = lastAxis(x) / 2;
  if (!Number.isInteger(width)) throw new ShapeError(`gate: ${showShape(x.shape)} cannot be halved; the last axis holds gate and up, equally long`);
  const out = empty(x.device, withLast(x.shape, width));
  x.device.kernels.gate(out.buffer, x.buffer, activation, rowCount(x), width);
  return out;
}
