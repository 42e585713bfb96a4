/** The two normalisations: LayerNorm of GPT-2 and RMSNorm of Llama, over the last axis. */
import { expectElements, lastAxis, rowCount } from "../shapes.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** (x - mean) / sqrt(variance + epsilon) * weight + bias (Ba et al. 2016). x: (..., C); weight, bias: (C,); bias may be null. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor | null, epsilon: number): Tensor {
  const width = lastAxis(x);
  expectElements("layerNorm", "the weight", weight, [width], "one number per channel");
  if (bias) expectElements("layerNorm", "the bias", bias, [width], "one number per channel");
  const out = empty(x.device, x.shape);
  x.device.kernels.layerNorm(out.buffer, x.buffer, weight.buffer, bias && bias.buffer, rowCount(x), width, epsilon);
  return out;
}

/** x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019). x: (..., C); weight: (C,). */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const width = lastAxis(x);
  expectElements("rmsNorm", "the weight", weight, [width], "one number per channel");
  const out = empty(x.device, x.shape);
  x.device.kernels.rmsNorm(out.buffer, x.buffer, weight.buffer, rowCount(x), width, epsilon);
  return out;
}
