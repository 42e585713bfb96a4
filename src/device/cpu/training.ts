/**
 * The kernels of training-kernels.ts as calls into the C kernels, each beside its forward in kernels/*.c; the optimiser is optimiser.c.
 * Backward products are products.ts's, the backward of attention is attention.ts's.
 *
 * Sums over rows are shared out by columns, and all others by what they belong to, so that none depends on the number of threads.
 */
import { internal } from "../../base/errors.ts";
import type { TrainingKernels } from "../training-kernels.ts";
import type { Core } from "./core.ts";
import { floatsAt, indicesAt, learnedAt, numbersOf } from "./memory.ts";
import { activationNumbers } from "./products.ts";

/** Rough costs in multiply-adds, as in kernels.ts. */
const exponential = 8;
/** Columns of a chunk at least, where sums go down columns: whole runs of memory. */
const leastColumns = 64;
/** NORM_BLOCK of rows.c and SQUARES_BLOCK of optimiser.c. */
const normBlock = 32;
const squaresBlock = 4096;

type Elsewhere = "linearBackwardInput" | "linearBackwardWeights" | "attentionBackward";

export function trainingKernels(core: Core): Omit<TrainingKernels, Elsewhere> {
  const { heap, index, slot } = core;

  /** Chunks of `width` columns for sums down `rows` rows. */
  const columnChunks = (rows: number, width: number): number => core.chunks(2 * rows * width, Math.ceil(width / leastColumns));

  /** out (width,) += the sum over rows of x (rows, width), whose rows lie `stride` numbers apart. */
  const sumRows = (out: number, x: number, rows: number, width: number, stride: number): void => {
    const { i32 } = heap;
    i32[slot] = out;
    i32[slot + 1] = x;
    i32[slot + 2] = rows;
    i32[slot + 3] = width;
    i32[slot + 4] = stride;
    core.run(index.sum_rows, columnChunks(rows, width));
  };

  const normBackward = (
    dX: number,
    dWeight: number,
    dBias: number,
    dY: number,
    x: number,
    weight: number,
    rows: number,
    width: number,
    epsilon: number,
    centred: boolean,
  ): void => {
    const blocks = Math.ceil(rows / normBlock);
    const shares = dWeight === 0 && dBias === 0 ? 0 : core.scratch(8 * blocks * width);
    const { i32 } = heap;
    i32[slot] = dX;
    i32[slot + 1] = dY;
    i32[slot + 2] = x;
    i32[slot + 3] = weight;
    i32[slot + 4] = shares;
    i32[slot + 5] = rows;
    i32[slot + 6] = width;
    heap.f32[slot + 7] = epsilon;
    i32[slot + 8] = centred ? 1 : 0;
    core.run(index.norm_backward, core.chunks(6 * rows * width, blocks));
    if (dWeight !== 0) sumRows(dWeight, shares, blocks, width, 2 * width);
    if (dBias !== 0) sumRows(dBias, shares + 4 * width, blocks, width, 2 * width);
  };

  return {
    clear(weights) {
      const length = numbersOf(weights);
      const { i32 } = heap;
      i32[slot] = learnedAt(weights);
      i32[slot + 1] = length;
      i32[slot + 2] = 0;
      core.run(index.fill, core.chunks(length / 4, length >>> 12));
    },

    sumRows(out, x, rows, width) {
      sumRows(floatsAt(out, width), floatsAt(x, rows * width), rows, width, width);
    },

    embedBackward(dTable, dY, ids, rows) {
      const { inputs, outputs } = dTable;
      const { i32 } = heap;
      i32[slot] = learnedAt(dTable);
      i32[slot + 1] = floatsAt(dY, rows * inputs);
      i32[slot + 2] = indicesAt(heap, "embedBackward: id", ids, rows, 0, outputs);
      i32[slot + 3] = inputs;
      i32[slot + 4] = rows;
      core.run(index.embed_backward, columnChunks(8 * rows, inputs));
    },

    layerNormBackward(dX, dWeight, dBias, dY, x, weight, rows, width, epsilon) {
      const length = rows * width;
      const [dWeightAt, dBiasAt] = [dWeight === null ? 0 : floatsAt(dWeight, width), dBias === null ? 0 : floatsAt(dBias, width)];
      const [dXAt, dYAt, xAt] = [floatsAt(dX, length), floatsAt(dY, length), floatsAt(x, length)];
      normBackward(dXAt, dWeightAt, dBiasAt, dYAt, xAt, floatsAt(weight, width), rows, width, epsilon, true);
    },

    rmsNormBackward(dX, dWeight, dY, x, weight, rows, width, epsilon) {
      const length = rows * width;
      const dWeightAt = dWeight === null ? 0 : floatsAt(dWeight, width);
      const [dXAt, dYAt, xAt] = [floatsAt(dX, length), floatsAt(dY, length), floatsAt(x, length)];
      normBackward(dXAt, dWeightAt, 0, dYAt, xAt, floatsAt(weight, width), rows, width, epsilon, false);
    },

    activateBackward(dX, dY, x, activation, length) {
      const { i32 } = heap;
      i32[slot] = floatsAt(dX, length);
      i32[slot + 1] = floatsAt(dY, length);
      i32[slot + 2] = floatsAt(x, length);
      i32[slot + 3] = length;
      i32[slot + 4] = activationNumbers[activation];
      core.run(index.activate_backward, core.chunks(exponential * length, length >>> 9));
    },

    gateBackward(dX, dY, x, activation, rows, width) {
      const { i32 } = heap;
      i32[slot] = floatsAt(dX, 2 * rows * width);
      i32[slot + 1] = floatsAt(dY, rows * width);
      i32[slot + 2] = floatsAt(x, 2 * rows * width);
      i32[slot + 3] = activationNumbers[activation];
      i32[slot + 4] = rows;
      i32[slot + 5] = width;
      core.run(index.gate_backward, core.chunks(exponential * rows * width, rows));
    },

    placeColumns(out, x, rows, outWidth, from, width, accumulate) {
      if (from < 0 || from + width > outWidth) throw internal(`placeColumns: ${from} to ${from + width} of ${outWidth}`);
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * outWidth);
      i32[slot + 1] = floatsAt(x, rows * width);
      i32[slot + 2] = rows;
      i32[slot + 3] = outWidth;
      i32[slot + 4] = from;
      i32[slot + 5] = width;
      i32[slot + 6] = accumulate ? 1 : 0;
      core.run(index.place_columns, core.chunks(rows * width, rows));
    },

    ropeBackward(dX, dY, tables, past, B, T, heads, D, rotary) {
      if (rotary % 2 !== 0 || rotary > D) throw internal(`ropeBackward: ${rotary} of ${D} numbers turn`);
      const positions = rotary > 0 ? Math.floor(tables.length / rotary) : Infinity;
      const { i32 } = heap;
      i32[slot] = floatsAt(dX, B * T * heads * D);
      i32[slot + 1] = floatsAt(dY, B * T * heads * D);
      i32[slot + 2] = floatsAt(tables, 0);
      i32[slot + 3] = indicesAt(heap, `ropeBackward: ${T} positions after`, past, B, 0, positions - T + 1);
      i32[slot + 4] = B;
      i32[slot + 5] = T;
      i32[slot + 6] = heads;
      i32[slot + 7] = D;
      i32[slot + 8] = rotary;
      core.run(index.rope_backward, core.chunks(2 * B * T * heads * D, B * T));
    },

    crossEntropyBackward(dLogits, dLosses, logits, targets, rows, width) {
      const { i32 } = heap;
      i32[slot] = floatsAt(dLogits, rows * width);
      i32[slot + 1] = floatsAt(dLosses, rows);
      i32[slot + 2] = floatsAt(logits, rows * width);
      i32[slot + 3] = indicesAt(heap, "crossEntropyBackward: target", targets, rows, -1, width);
      i32[slot + 4] = rows;
      i32[slot + 5] = width;
      core.run(index.cross_entropy_backward, core.chunks(exponential * rows * width, rows));
    },

    scale(out, x, factor, length) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, length);
      i32[slot + 1] = floatsAt(x, length);
      i32[slot + 2] = length;
      heap.f32[slot + 3] = factor;
      core.run(index.scale, core.chunks(length, length >>> 12));
    },

    dropout(out, x, rate, seed, length) {
      const droppedBelow = Math.ceil(rate * 2 ** 32);
      if (!(rate >= 0 && droppedBelow < 2 ** 32)) throw internal(`dropout: a rate of ${rate}, expected 0 or more and less than 1`);
      const { i32 } = heap;
      i32[slot] = floatsAt(out, length);
      i32[slot + 1] = floatsAt(x, length);
      i32[slot + 2] = length;
      i32[slot + 3] = seed | 0;
      i32[slot + 4] = droppedBelow;
      heap.f32[slot + 5] = 1 / (1 - rate);
      core.run(index.dropout, core.chunks(2 * length, length >>> 12));
    },

    squaredError(out, x, y, length) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, length);
      i32[slot + 1] = 0;
      i32[slot + 2] = floatsAt(x, length);
      i32[slot + 3] = floatsAt(y, length);
      i32[slot + 4] = length;
      core.run(index.squared_error, core.chunks(length, length >>> 12));
    },

    squaredErrorBackward(dX, dOut, x, y, length) {
      const { i32 } = heap;
      i32[slot] = floatsAt(dX, length);
      i32[slot + 1] = floatsAt(dOut, length);
      i32[slot + 2] = floatsAt(x, length);
      i32[slot + 3] = floatsAt(y, length);
      i32[slot + 4] = length;
      core.run(index.squared_error_backward, core.chunks(length, length >>> 12));
    },

    sumOfSquares(out, at, of) {
      const outAt = floatsAt(out, at + 1) + 4 * at;
      const from = learnedAt(of);
      const length = numbersOf(of);
      const blocks = Math.ceil(length / squaresBlock);
      const sums = core.scratch(8 * blocks);
      const { i32 } = heap;
      i32[slot] = sums;
      i32[slot + 1] = from;
      i32[slot + 2] = length;
      core.run(index.square_sums, core.chunks(length, blocks));
      i32[slot] = outAt;
      i32[slot + 1] = sums;
      i32[slot + 2] = blocks;
      core.run(index.add_sums, 1);
    },

    adamW(weights, gradient, m, v, { learningRate, beta1, beta2, epsilon, weightDecay, step, gradientScale }) {
      const length = numbersOf(weights);
      if ([gradient, m, v].some((other) => numbersOf(other) !== length || "dtype" in other !== "dtype" in weights))
        throw internal("adamW: weights, gradient and memories differ in kind or size");
      if (!(epsilon > 0)) throw internal(`adamW: epsilon ${epsilon}, expected more than 0`); // the padding of panels would become 0 / 0
      const { i32, f32 } = heap;
      i32[slot] = learnedAt(weights);
      i32[slot + 1] = learnedAt(gradient);
      i32[slot + 2] = learnedAt(m);
      i32[slot + 3] = learnedAt(v);
      i32[slot + 4] = length;
      f32[slot + 5] = 1 - learningRate * weightDecay;
      f32[slot + 6] = gradientScale;
      f32[slot + 7] = beta1;
      f32[slot + 8] = 1 - beta1;
      f32[slot + 9] = beta2;
      f32[slot + 10] = 1 - beta2;
      f32[slot + 11] = learningRate / (1 - beta1 ** step);
      f32[slot + 12] = 1 / Math.sqrt(1 - beta2 ** step);
      f32[slot + 13] = epsilon;
      core.run(index.adam_w, core.chunks(4 * length, length >>> 12));
    },
  };
}
