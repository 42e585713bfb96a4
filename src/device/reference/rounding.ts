/**
 * What is left of a weight in each format: the living definition. Only the numbers; how they are packed is each device's secret.
 * int8 and int4 are ggml's Q8_0 and Q4_0 (blocks of 32, one fp16 scale), so a GGUF file's numbers come through unchanged.
 */
import { fromFloat32, toFloat32 } from "../../base/dtype.ts";
import type { MatrixFormat } from "../device.ts";
import { blockLength, overflow, overflowsFrom } from "../matrix-format.ts";

/** The numbers that a matrix holds after `numbers`, whole blocks of one output's row, were written. Throws VitrineError for what does not fit. */
export function rounded(format: MatrixFormat, numbers: Float32Array): Float32Array {
  if (format === "f32") return numbers;
  if (!numbers.every((x) => Math.abs(x) < overflowsFrom[format])) throw overflow(format);
  if (format === "f16") return half(numbers);
  const roundBlock = format === "int8" ? roundInt8 : roundInt4;
  const out = new Float32Array(numbers.length);
  for (let at = 0; at < numbers.length; at += blockLength) out.set(roundBlock(numbers.subarray(at, at + blockLength)), at);
  return out;
}

function half(numbers: Float32Array): Float32Array {
  return toFloat32("F16", fromFloat32("F16", numbers));
}

/** Multiples of scale = largest magnitude / 127, to nearest, halves away from 0. The scale is rounded to fp16 after the division, as in ggml. */
function roundInt8(block: Float32Array): Float32Array {
  const scale = Math.fround(block.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127);
  if (scale === 0) return new Float32Array(block.length);
  const inverse = Math.fround(1 / scale);
  const [kept] = half(Float32Array.of(scale));
  return block.map((x) => {
    const multiple = Math.fround(x * inverse);
    return kept * Math.sign(multiple) * Math.floor(Math.abs(multiple) + 0.5) + 0; // + 0: no -0
  });
}

/** -8 to 7 times a scale with a sign: the number of largest magnitude becomes -8, so that all 16 steps are used. */
function roundInt4(block: Float32Array): Float32Array {
  const scale = Math.fround(block.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0) / -8);
  if (scale === 0) return new Float32Array(block.length);
  const inverse = Math.fround(1 / scale);
  const [kept] = half(Float32Array.of(scale));
  return block.map((x) => kept * (Math.min(15, Math.floor(Math.fround(Math.fround(x * inverse) + 8.5))) - 8) + 0);
}
