/** From logits to probabilities and the best candidates, over the last axis. The loss is cross-entropy.ts's. */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import { lastAxis, rowCount, withLast } from "../shapes.ts";
import { refuse } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** exp(x) / sum(exp(x)) per row, shifted so it cannot overflow; -Infinity gives exactly 0. No way back: losses use crossEntropy. */
export function softmax(x: Tensor): Tensor {
  refuse("softmax", x);
  const out = empty(x.device, x.shape);
  x.device.kernels.softmax(out.buffer, x.buffer, rowCount(x), lastAxis(x));
  return out;
}

/**
 * The `count` largest of each row, best first, ties to the lowest index. x: (..., V) ->
 * ids (..., count) i32, values (..., count), and logSumExp (...), so that value - logSumExp is a log-probability. No way back.
 */
export function top(x: Tensor, count: number): { readonly ids: Tensor; readonly values: Tensor; readonly logSumExp: Tensor } {
  refuse("top", x);
  const width = lastAxis(x);
  if (!Number.isInteger(count) || count < 1 || count > width)
    throw new ShapeError(`top: ${count} of rows of ${width} in ${showShape(x.shape)}; ask for 1 to ${width}`);
  const ids = empty(x.device, withLast(x.shape, count), "i32");
  const values = empty(x.device, withLast(x.shape, count));
  const logSumExp = empty(x.device, x.shape.slice(0, -1));
  x.device.kernels.top(ids.buffer, values.buffer, logSumExp.buffer, x.buffer, rowCount(x), width, count);
  return { ids, values, logSumExp };
}
