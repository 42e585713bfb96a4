/** Numbers made larger or smaller: by one factor, or by chance (dropout). */
import { VitrineError } from "../../base/errors.ts";
import { overwrite, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** x * factor. */
export function scale(x: Tensor, factor: number): Tensor {
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.scale(out.buffer, x.buffer, factor, out.buffer.length);

  tapeFor(x)?.note(out, [], (dY, tape) => {
    const dX = overwrite(dY);
    kernels.scale(dX.buffer, dY.buffer, factor, dX.buffer.length); // dX = dY factor
    tape.give(x, dX);
  });
  return out;
}

/**
 * Each number becomes 0 with probability `rate` and is else divided by 1 - rate, so that the mean stays (Srivastava et al. 2014).
 * `seed`, a 32-bit integer, decides which: the same ones on every device and in every run. Throws VitrineError for a rate outside [0, 1).
 */
export function dropout(x: Tensor, rate: number, seed: number): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new VitrineError(`dropout: a rate of ${rate}; give the share of numbers to drop, from 0 to below 1`);
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.dropout(out.buffer, x.buffer, rate, seed, out.buffer.length);

  tapeFor(x)?.note(out, [], (dY, tape) => {
    const dX = overwrite(dY);
    kernels.dropout(dX.buffer, dY.buffer, rate, seed, dX.buffer.length); // the same numbers are dropped
    tape.give(x, dX);
  });
  return out;
}
