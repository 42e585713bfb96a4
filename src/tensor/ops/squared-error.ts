/** The loss of a regression. A language model's is crossEntropy (softmax.ts). */
import { expectElements } from "../shapes.ts";
import { gradientLike, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** (x - y)^2, elementwise; the result has x's shape. Throws ShapeError when sizes differ. */
export function squaredError(x: Tensor, y: Tensor): Tensor {
  expectElements("squaredError", "the second argument", y, x.shape, "both sides must have the same size");
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.squaredError(out.buffer, x.buffer, y.buffer, out.buffer.length);

  tapeFor(x, y)?.note(out, [x, y], (dY, tape) => {
    for (const [of, other] of [
      [x, y],
      [y, x],
    ] as const) {
      if (!tape.wants(of)) continue;
      const gradient = gradientLike(of);
      kernels.squaredErrorBackward(gradient.buffer, dY.buffer, of.buffer, other.buffer, gradient.buffer.length); // 2 (x - y) dY
      tape.give(of, gradient);
    }
  });
  return out;
}
