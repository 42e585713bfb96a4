/**
 * The living definition of every kernel but attention's (attention.ts): sums in fp64, rounded to fp32 when stored.
 * Short and obvious on purpose; speed is the business of other devices.
 */
import { internal } from "../../base/errors.ts";
import type { Activation, Kernels } from "../device.ts";
import { floats, integers, rowsOf } from "./memory.ts";

type AttentionKernel = "rope" | "append" | "attention" | "attentionScores" | "attentionMix";

export const kernels: Omit<Kernels, AttentionKernel> = {
  fill(out, value) {
    floats(out).fill(value);
  },

  copy(out, outAt, x, xAt, length) {
    floats(out).set(floats(x).subarray(xAt, xAt + length), outAt);
  },

  embed(out, table, ids, rows) {
    const [o, W, id, width] = [floats(out), rowsOf(table), integers(ids), table.inputs];
    for (let r = 0; r < rows; r++) {
      if (id[r] < 0 || id[r] >= table.outputs) throw internal(`embed: id ${id[r]} of a table of ${table.outputs}`);
      for (let c = 0; c < width; c++) o[r * width + c] = W[id[r] * width + c];
    }
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
    const [o, a, target] = [floats(out), floats(logits), integers(targets)];
    for (let r = 0; r < rows; r++) o[r] = logSumExp(a.subarray(r * width, (r + 1) * width)) - a[r * width + target[r]];
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

const activations: Readonly<Record<Activation, (x: number) => number>> = {
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), // Hendrycks and Gimpel 2016
  gelu_new: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
  relu: (x) => Math.max(x, 0),
};

/** erf(x) = 2/sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (1 3 5 ... (2n+1)), whose terms all have one sign. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // 1 - erf(6) < 1e-16
  let [term, total] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

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
