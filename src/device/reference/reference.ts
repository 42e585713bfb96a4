/**
 * The reference device: plain TypeScript over plain arrays, in this thread. Never optimised, because it is read:
 * the kernels (kernels.ts, attention.ts, training.ts) are the living definition of what every other device computes.
 */
import { internal } from "../../base/errors.ts";
import type { Device } from "../device.ts";
import { checkBlock } from "../matrix-format.ts";
import { attentionKernels } from "./attention.ts";
import { kernels } from "./kernels.ts";
import { floats, integers, ReferenceBuffer, ReferenceMatrix, rowsOf } from "./memory.ts";
import { rounded } from "./rounding.ts";
import { trainingKernels } from "./training.ts";

/** A device that computes in fp64 and stores fp32: slow, obvious, right. */
export function openReference(): Device {
  const buffers = new Set<ReferenceBuffer>();
  const matrices = new Set<ReferenceMatrix>();

  return {
    name: "reference",
    summary: "reference, plain TypeScript, 1 thread",
    threads: 1,
    kernels: { ...kernels, ...attentionKernels, ...trainingKernels },

    allocate(dtype, length) {
      const buffer = new ReferenceBuffer(dtype, length, buffers);
      buffers.add(buffer);
      return buffer;
    },
    write(buffer, values, at = 0) {
      const data = buffer.dtype === "f32" ? floats(buffer) : integers(buffer);
      if (at < 0 || at + values.length > data.length) throw internal(`write of ${values.length} numbers at ${at} into a buffer of ${data.length}`);
      data.set(values, at);
    },
    async read(buffer, at = 0, length = buffer.length - at) {
      const data = buffer.dtype === "f32" ? floats(buffer) : integers(buffer);
      if (at < 0 || length < 0 || at + length > data.length) throw internal(`read of ${length} numbers at ${at} from a buffer of ${data.length}`);
      return data.slice(at, at + length);
    },

    matrix(outputs, inputs, format = "f32") {
      const matrix = new ReferenceMatrix(outputs, inputs, format, matrices);
      matrices.add(matrix);
      return matrix;
    },
    writeMatrix(matrix, values, block) {
      checkBlock(matrix, values.length, block);
      const W = rowsOf(matrix);
      const { output, outputs, input, inputs, order } = block;
      for (let i = 0; i < outputs; i++) {
        const row = Float32Array.from({ length: inputs }, (_, j) => (order === "outputs-first" ? values[i * inputs + j] : values[j * outputs + i]));
        W.set(rounded(matrix.format, row), (output + i) * matrix.inputs + input);
      }
    },
    async readMatrix(matrix, output = 0, outputs = matrix.outputs - output) {
      if (output < 0 || outputs < 0 || output + outputs > matrix.outputs)
        throw internal(`readMatrix of rows ${output} to ${output + outputs} of ${matrix.outputs}`);
      return rowsOf(matrix).slice(output * matrix.inputs, (output + outputs) * matrix.inputs);
    },

    memory() {
      let bytes = 0;
      for (const buffer of buffers) bytes += 4 * buffer.length;
      for (const matrix of matrices) bytes += matrix.byteLength;
      return { buffers: buffers.size, matrices: matrices.size, bytes };
    },
    dispose() {
      for (const buffer of buffers) buffer.free();
      for (const matrix of matrices) matrix.free();
    },
  };
}
