/** The nonlinearity of an MLP: plain (GPT-2) or gated (Llama). */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import type { Activation } from "../../device/device.ts";
import { lastAxis, rowCount, withLast } from "../shapes.ts";
import { overwrite, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** activation(x), elementwise. */
export function activate(x: Tensor, activation: Activation): Tensor {
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.activate(out.buffer, x.buffer, activation, out.buffer.length);

  tapeFor(x)?.note(out, [x], (dY, tape) => {
    const dX = overwrite(dY);
    kernels.activateBackward(dX.buffer, dY.buffer, x.buffer, activation, dX.buffer.length); // dX = dY activation'(x)
    tape.give(x, dX);
  });
  return out;
}

/** activation(gate) * up, where x: (..., 2 N) holds gate then up (Shazeer 2020). -> (..., N). Throws ShapeError for an odd last axis. */
export function gate(x: Tensor, activation: Activation): Tensor {
  const width = lastAxis(x) / 2;
  if (!Number.isInteger(width)) throw new ShapeError(`gate: ${showShape(x.shape)} cannot be halved; the last axis holds gate and up, equally long`);
  const out = empty(x.device, withLast(x.shape, width));
  const { kernels } = x.device;
  kernels.gate(out.buffer, x.buffer, activation, rowCount(x), width);

  tapeFor(x)?.note(out, [x], (dY, tape) => {
    const dX = overwrite(x); // its last use
    kernels.gateBackward(dX.buffer, dY.buffer, x.buffer, activation, rowCount(x), width); // dGate = dY up activation'(gate), dUp = dY activation(gate)
    tape.give(x, dX);
  });
  return out;
}
