/** The loss of a language model: how surprised it is by what came, in nats. */
import { expectElements, lastAxis, rowCount } from "../shapes.ts";
import { overwrite, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/**
 * -log softmax(logits)[target], in nats. logits: (..., V), targets: (...) i32 -> (...). A target of -1 counts nothing: its loss is 0.
 * The gradient takes the logits' memory when their owner has disposed them by then: they are the largest tensor there is.
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const [rows, width] = [rowCount(logits), lastAxis(logits)];
  expectElements("crossEntropy", "targets", targets, [rows], "one target per row of logits");
  const out = empty(logits.device, logits.shape.slice(0, -1));
  const { kernels } = logits.device;
  kernels.crossEntropy(out.buffer, logits.buffer, targets.buffer, rows, width);

  tapeFor(logits)?.note(out, [logits, targets], (dY, tape) => {
    const dLogits = overwrite(logits); // dLogits = (softmax(logits) - one at the target) dY
    kernels.crossEntropyBackward(dLogits.buffer, dY.buffer, logits.buffer, targets.buffer, rows, width);
    tape.give(logits, dLogits);
  });
  return out;
}
