/**
 * Activation recomputation (Chen et al. 2016, "sublinear memory cost"): a stretch of the forward pass keeps nothing but its input,
 * and is run a second time on the way back. A third more time; memory for one stretch at once instead of all.
 */
import { tensorScope } from "./scope.ts";
import { gradientLike, recording } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * `work(x)`, computed again on the way back. `work` must compute the same each time, from x and from what lives as long as the tape;
 * both runs are recorded, so their numbers agree to the last bit.
 */
export function recompute(x: Tensor, work: (x: Tensor) => Tensor): Tensor {
  const tape = recording();
  if (!tape) return work(x);

  // The first run is recorded only to learn whether anything learned leads to y; its notes, and what they retain, go at once.
  const first = tape.branch(x, tape.wants(x) ? x : undefined);
  let y: Tensor;
  try {
    y = tape.pause(() => first.record(() => work(x)));
    if (!first.wants(y)) return y;
  } finally {
    first.dispose();
  }

  tape.note(y, [x], (dY) => {
    using _scope = tensorScope();
    let dX: Tensor | undefined;
    if (tape.wants(x)) {
      dX = gradientLike(x);
      x.device.kernels.fill(dX.buffer, 0);
    }
    const second = tape.branch(x, dX);
    try {
      second.backward(
        second.record(() => work(x)),
        dY,
      );
      if (dX) tape.give(x, dX.retain());
    } finally {
      second.dispose();
      dX?.dispose();
    }
  });
  return y;
}
