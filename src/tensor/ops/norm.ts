/** The two normalisations: LayerNorm of GPT-2 and RMSNorm of Llama, over the last axis. */
import { expectElements, lastAxis, rowCount } from "../shapes.ts";
import { overwrite, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** (x - mean) / sqrt(variance + epsilon) * weight + bias (Ba et al. 2016). x: (..., C); weight, bias: (C,); bias may be null. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor | null, epsilon: number): Tensor {
  const [rows, width] = [rowCount(x), lastAxis(x)];
  expectElements("layerNorm", "the weight", weight, [width], "one number per channel");
  if (bias) expectElements("layerNorm", "the bias", bias, [width], "one number per channel");
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.layerNorm(out.buffer, x.buffer, weight.buffer, bias && bias.buffer, rows, width, epsilon);

  // With n = (x - mean) / sqrt(variance + epsilon) and g = dY weight: dX = (g - mean(g) - n mean(g n)) / sqrt(variance + epsilon)
  tapeFor(x, weight, bias)?.note(out, [x, weight], (dY, tape) => {
    const dWeight = tape.addingTo(weight);
    const dBias = bias && tape.addingTo(bias);
    const dX = overwrite(dY);
    kernels.layerNormBackward(dX.buffer, dWeight, dBias, dY.buffer, x.buffer, weight.buffer, rows, width, epsilon);
    tape.give(x, dX);
  });
  return out;
}

/** x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019). x: (..., C); weight: (C,). */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const [rows, width] = [rowCount(x), lastAxis(x)];
  expectElements("rmsNorm", "the weight", weight, [width], "one number per channel");
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.rmsNorm(out.buffer, x.buffer, weight.buffer, rows, width, epsilon);

  // With n = x / sqrt(mean(x^2) + epsilon) and g = dY weight: dX = (g - n mean(g n)) / sqrt(mean(x^2) + epsilon)
  tapeFor(x, weight)?.note(out, [x, weight], (dY, tape) => {
    const dWeight = tape.addingTo(weight);
    const dX = overwrite(dY);
    kernels.rmsNormBackward(dX.buffer, dWeight, dY.buffer, x.buffer, weight.buffer, rows, width, epsilon);
    tape.give(x, dX);
  });
  return out;
}
