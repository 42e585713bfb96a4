/**
 * The living definition of every forward kernel but attention's (attention.ts): sums in fp64, rounded to fp32 when stored.
 * What learning needs is in training.ts. Short and obvious on purpose; speed is the business of other devices.
 */
import type { Kernels } from "../device.ts";
import type { TrainingKernels } from "../training-kernels.ts";
import { activations } from "./activations.ts";
import type { AttentionKernel } from "./attention.ts";
import { floats, indices, integers, rowsOf } from "./memory.ts";

export const kernels: Omit<Kernels, AttentionKernel | keyof TrainingKernels> = {
  fill(out, value) {
    floats(out).fill(value);
  },

  copy(out, outAt, x, xAt, length) {
    floats(out).set(floats(x).subarray(xAt, xAt + length), outAt);
  },

  embed(out, table, ids, rows) {
    const [o, W, id, width] = [floats(out), rowsOf(table), indices("embed: id", ids, rows, 0, table.outputs), table.inputs];
    for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) o[r * width + c] = W[id[r] * width + c];
  },

  gatherRows(out, x, indices, rows, width) {
    const [o, a, index] = [floats(out), floats(x), integers(indices)];
    for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) o[r * width + c] = a[index[r] * width + c];
  },

  add(out, a, b, length) {
    const [o, x, y] = [floats(out), floats(a), floats(b)];
    for (let i = 0; i < length; i++) o[i] = x[i] + y[i];
  },

  layerNorm(out, x, weight, bias, rows, width, epsilon) {
    const [o, a, w, b] = [floats(out), floats(x), floats(weight), bias && floats(bias)];
    for (let r = 0; r < rows; r++) {
      const row = a.slice(r * width, (r + 1) * width);
      const mean = sum(row, (v) => v) / width;
      const variance = sum(row, (v) => (v - mean) ** 2) / width;
      const scale = 1 / Math.sqrt(variance + epsilon);
      for (let c = 0; c < width; c++) o[r * width + c] = (row[c] - mean) * scale * w[c] + (b ? b[c] : 0);
    }
  },

  rmsNorm(out, x, weight, rows, width, epsilon) {
    const [o, a, w] = [floats(out), floats(x), floats(weight)];
    for (let r = 0; r < rows; r++) {
      const row = a.slice(r * width, (r + 1) * width);
      const scale = 1 / Math.sqrt(sum(row, (v) => v * v) / width + epsilon);
      for (let c = 0; c < width; c++) o[r * width + c] = row[c] * scale * w[c];
    }
  },

  linear(out, x, weights, bias, activation, residual, rows) {
    const [o, a, W] = [floats(out), floats(x), rowsOf(weights)];
    const [b, res] = [bias && floats(bias), residual && floats(residual)];
    const { outputs, inputs } = weights;
    for (let r = 0; r < rows; r++)
      for (let i = 0; i < outputs; i++) {
        let y = b ? b[i] : 0;
        for (let j = 0; j < inputs; j++) y += W[i * inputs + j] * a[r * inputs + j];
        if (activation) y = activations[activation](y);
        o[r * outputs + i] = y + (res ? res[r * outputs + i] : 0);
      }
  },

  matmul(out, a, b, M, N, K, transposeA, transposeB, accumulate) {
    const [o, A, B] = [floats(out), floats(a), floats(b)];
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let y = accumulate ? o[m * N + n] : 0;
        for (let k = 0; k < K; k++) y += (transposeA ? A[k * M + m] : A[m * K + k]) * (transposeB ? B[n * K + k] : B[k * N + n]);
        o[m * N + n] = y;
      }
  },

  activate(out, x, activation, length) {
    const [o, a, f] = [floats(out), floats(x), activations[activation]];
    for (let i = 0; i < length; i++) o[i] = f(a[i]);
  },

  gate(out, x, activation, rows, width) {
    const [o, a, f] = [floats(out), floats(x), activations[activation]];
    for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) o[r * width + c] = f(a[r * 2 * width + c]) * a[r * 2 * width + width + c];
  },

  columns(out, x, rows, xWidth, from, width) {
    const [o, a] = [floats(out), floats(x)];
    for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) o[r * width + c] = a[r * xWidth + from + c];
  },

  softmax(out, x, rows, width) {
    const [o, a] = [floats(out), floats(x)];
    for (let r = 0; r < rows; r++) {
      const row = a.slice(r * width, (r + 1) * width);
      const max = greatest(row);
      const total = sum(row, (v) => Math.exp(v - max)); // shifted by the largest, so it cannot overflow
      for (let c = 0; c < width; c++) o[r * width + c] = Math.exp(row[c] - max) / total;
    }
  },

  crossEntropy(out, logits, targets, rows, width) {
    const [o, a, target] = [floats(out), floats(logits), indices("crossEntropy: target", targets, rows, -1, width)];
    for (let r = 0; r < rows; r++) o[r] = target[r] === -1 ? 0 : logSumExp(a.subarray(r * width, (r + 1) * width)) - a[r * width + target[r]];
  },

  top(ids, values, logSumExps, x, rows, width, count) {
    const [id, value, lse, a] = [integers(ids), floats(values), floats(logSumExps), floats(x)];
    for (let r = 0; r < rows; r++) {
      const row = a.subarray(r * width, (r + 1) * width);
      const order = Array.from(row.keys()).sort((i, j) => row[j] - row[i] || i - j); // equal, or both -Infinity (NaN): by index
      for (let n = 0; n < count; n++) {
        id[r * count + n] = order[n];
        value[r * count + n] = row[order[n]];
      }
      lse[r] = logSumExp(row);
    }
  },
};

function logSumExp(row: Float32Array): number {
  const max = greatest(row);
  return max + Math.log(sum(row, (v) => Math.exp(v - max)));
}

function greatest(row: Float32Array): number {
  return row.reduce((max, v) => Math.max(max, v), -Infinity);
}

function sum(row: Float32Array, term: (v: number) => number): number {
  let total = 0;
  for (const v of row) total += term(v);
  return total;
}
