/**
 * The living definition of the kernels that learning needs, but for attention's (attention.ts, beside their forward):
 * sums in fp64, rounded to fp32 when stored. Each derivative is one line of mathematics.
 */
import { internal } from "../../base/errors.ts";
import type { TrainingKernels } from "../training-kernels.ts";
import { activations, derivatives } from "./activations.ts";
import { floats, indices, learned } from "./memory.ts";

export const trainingKernels: Omit<TrainingKernels, "ropeBackward" | "attentionBackward"> = {
  clear(weights) {
    learned(weights).fill(0);
  },

  linearBackwardInput(dX, dY, weights, rows) {
    const [dx, dy, W] = [floats(dX), floats(dY), learned(weights)];
    const { outputs, inputs } = weights;
    for (let r = 0; r < rows; r++)
      for (let j = 0; j < inputs; j++) {
        let total = 0;
        for (let i = 0; i < outputs; i++) total += dy[r * outputs + i] * W[i * inputs + j];
        dx[r * inputs + j] = total;
      }
  },

  linearBackwardWeights(dW, dY, x, rows) {
    const [dw, dy, a] = [learned(dW), floats(dY), floats(x)];
    const { outputs, inputs } = dW;
    for (let i = 0; i < outputs; i++)
      for (let j = 0; j < inputs; j++) {
        let total = dw[i * inputs + j];
        for (let r = 0; r < rows; r++) total += dy[r * outputs + i] * a[r * inputs + j];
        dw[i * inputs + j] = total;
      }
  },

  sumRows(out, x, rows, width) {
    const [o, a] = [floats(out), floats(x)];
    for (let c = 0; c < width; c++) {
      let total = o[c];
      for (let r = 0; r < rows; r++) total += a[r * width + c];
      o[c] = total;
    }
  },

  embedBackward(dTable, dY, ids, rows) {
    const [dw, dy, id, width] = [learned(dTable), floats(dY), indices("embedBackward: id", ids, rows, 0, dTable.outputs), dTable.inputs];
    const totals = Float64Array.from(dw);
    for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) totals[id[r] * width + c] += dy[r * width + c];
    dw.set(totals);
  },

  layerNormBackward(dX, dWeight, dBias, dY, x, weight, rows, width, epsilon) {
    const [dx, dy, a, w] = [floats(dX), floats(dY), floats(x), floats(weight)];
    const [weightTotals, biasTotals] = [new Float64Array(width), new Float64Array(width)];
    for (let r = 0; r < rows; r++) {
      const [row, dRow] = [a.slice(r * width, (r + 1) * width), dy.slice(r * width, (r + 1) * width)];

      // pass 1: the row as the forward pass normalised it, before the weight
      const mean = sumOver(width, (c) => row[c]) / width;
      const scale = 1 / Math.sqrt(sumOver(width, (c) => (row[c] - mean) ** 2) / width + epsilon);
      const normal = (c: number): number => (row[c] - mean) * scale;

      // pass 2: the part of its gradient that the mean takes, and the part that the variance takes
      const ofMean = sumOver(width, (c) => dRow[c] * w[c]) / width;
      const ofVariance = sumOver(width, (c) => dRow[c] * w[c] * normal(c)) / width;
      for (let c = 0; c < width; c++) {
        dx[r * width + c] = scale * (dRow[c] * w[c] - ofMean - normal(c) * ofVariance);
        weightTotals[c] += dRow[c] * normal(c);
        biasTotals[c] += dRow[c];
      }
    }
    if (dWeight) addTo(floats(dWeight), weightTotals);
    if (dBias) addTo(floats(dBias), biasTotals);
  },

  rmsNormBackward(dX, dWeight, dY, x, weight, rows, width, epsilon) {
    const [dx, dy, a, w] = [floats(dX), floats(dY), floats(x), floats(weight)];
    const weightTotals = new Float64Array(width);
    for (let r = 0; r < rows; r++) {
      const [row, dRow] = [a.slice(r * width, (r + 1) * width), dy.slice(r * width, (r + 1) * width)];
      const scale = 1 / Math.sqrt(sumOver(width, (c) => row[c] * row[c]) / width + epsilon);
      const ofScale = sumOver(width, (c) => dRow[c] * w[c] * row[c] * scale) / width;
      for (let c = 0; c < width; c++) {
        dx[r * width + c] = scale * (dRow[c] * w[c] - row[c] * scale * ofScale);
        weightTotals[c] += dRow[c] * row[c] * scale;
      }
    }
    if (dWeight) addTo(floats(dWeight), weightTotals);
  },

  activateBackward(dX, dY, x, activation, length) {
    const [dx, dy, a, df] = [floats(dX), floats(dY), floats(x), derivatives[activation]];
    for (let i = 0; i < length; i++) dx[i] = dy[i] * df(a[i]);
  },

  gateBackward(dX, dY, x, activation, rows, width) {
    const [dx, dy, a, f, df] = [floats(dX), floats(dY), floats(x), activations[activation], derivatives[activation]];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < width; c++) {
        const [atGate, atUp, d] = [r * 2 * width + c, r * 2 * width + width + c, dy[r * width + c]];
        const [gate, up] = [a[atGate], a[atUp]];
        dx[atGate] = d * up * df(gate);
        dx[atUp] = d * f(gate);
      }
  },

  placeColumns(out, x, rows, outWidth, from, width, accumulate) {
    const [o, a] = [floats(out), floats(x)];
    if (from < 0 || from + width > outWidth) throw internal(`placeColumns: ${from} to ${from + width} of ${outWidth}`);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < width; c++) {
        const at = r * outWidth + from + c;
        o[at] = a[r * width + c] + (accumulate ? o[at] : 0);
      }
  },

  crossEntropyBackward(dLogits, dLosses, logits, targets, rows, width) {
    const [dx, d, a, target] = [floats(dLogits), floats(dLosses), floats(logits), indices("crossEntropyBackward: target", targets, rows, -1, width)];
    for (let r = 0; r < rows; r++) {
      if (target[r] === -1) {
        dx.fill(0, r * width, (r + 1) * width);
        continue;
      }
      const row = a.slice(r * width, (r + 1) * width);
      const max = row.reduce((most, v) => Math.max(most, v), -Infinity);
      const total = sumOver(width, (c) => Math.exp(row[c] - max)); // shifted by the largest, so it cannot overflow
      for (let c = 0; c < width; c++) dx[r * width + c] = (Math.exp(row[c] - max) / total - (c === target[r] ? 1 : 0)) * d[r];
    }
  },

  scale(out, x, factor, length) {
    const [o, a] = [floats(out), floats(x)];
    for (let i = 0; i < length; i++) o[i] = a[i] * factor;
  },

  dropout(out, x, rate, seed, length) {
    const [o, a] = [floats(out), floats(x)];
    for (let i = 0; i < length; i++) {
      const kept = mix32(seed + Math.imul(i, 0x9e3779b9)) >= rate * 2 ** 32;
      o[i] = kept ? a[i] / (1 - rate) : 0;
    }
  },

  squaredError(out, x, y, length) {
    const [o, a, b] = [floats(out), floats(x), floats(y)];
    for (let i = 0; i < length; i++) o[i] = (a[i] - b[i]) ** 2;
  },

  squaredErrorBackward(dX, dOut, x, y, length) {
    const [dx, d, a, b] = [floats(dX), floats(dOut), floats(x), floats(y)];
    for (let i = 0; i < length; i++) dx[i] = 2 * (a[i] - b[i]) * d[i];
  },

  sumOfSquares(out, at, of) {
    const [o, a] = [floats(out), learned(of)];
    o[at] = sumOver(a.length, (i) => a[i] * a[i]);
  },

  adamW(weights, gradient, m, v, step) {
    const [w, dw, first, second] = [learned(weights), learned(gradient), learned(m), learned(v)];
    if (new Set([w, dw, first, second].map((numbers) => numbers.length)).size > 1)
      throw internal("adamW: weights, gradient and memories differ in size");
    const { learningRate, beta1, beta2, epsilon, weightDecay, gradientScale } = step;
    const [correction1, correction2] = [1 - beta1 ** step.step, 1 - beta2 ** step.step]; // the memories begin at 0: they are too small at first
    for (let i = 0; i < w.length; i++) {
      const g = gradientScale * dw[i];
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      const kept = w[i] - learningRate * weightDecay * w[i];
      w[i] = kept - (learningRate * (first[i] / correction1)) / (Math.sqrt(second[i] / correction2) + epsilon);
    }
  },
};

/** The finaliser of MurmurHash3 (Appleby 2011): spreads the bits of a 32-bit integer over another, 0 to 2^32 - 1. */
function mix32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

function addTo(place: Float32Array, totals: Float64Array): void {
  for (let i = 0; i < totals.length; i++) place[i] += totals[i];
}

function sumOver(length: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += term(i);
  return total;
}
