/**
 * Every kernel of device.ts as calls into the C kernels: writes the arguments in the order of the kernel's struct in
 * kernels/*.c, says into how many chunks to cut the work, runs it. Matrix products are products.ts's, attention is attention.ts's,
 * what only learning needs is training.ts's.
 *
 * `work` figures are rough costs in multiply-adds, only compared with the threshold for waking threads.
 */
import { internal } from "../../base/errors.ts";
import type { Kernels } from "../device.ts";
import { attentionKernels } from "./attention.ts";
import type { Core } from "./core.ts";
import { floatsAt, indicesAt, integersAt, matrixAt } from "./memory.ts";
import { activationNumbers, productKernels } from "./products.ts";
import { unpackSmallRows } from "./small-weights.ts";
import { trainingKernels } from "./training.ts";

const exponential = 8; // an exp costs about as much as so many multiply-adds

export function cpuKernels(core: Core): Kernels {
  const { heap, index, slot } = core;

  return {
    ...productKernels(core),
    ...attentionKernels(core),
    ...trainingKernels(core),

    fill(out, value) {
      const at = out.dtype === "f32" ? floatsAt(out, 0) : integersAt(out, 0);
      heap.i32[slot] = at;
      heap.i32[slot + 1] = out.length;
      if (out.dtype === "f32") heap.f32[slot + 2] = value;
      else heap.i32[slot + 2] = value;
      core.run(index.fill, core.chunks(out.length / 4, out.length >>> 12));
    },

    copy(out, outAt, x, xAt, length) {
      const [to, from] =
        out.dtype === "i32"
          ? [integersAt(out, outAt + length), integersAt(x, xAt + length)]
          : [floatsAt(out, outAt + length), floatsAt(x, xAt + length)];
      if (outAt < 0 || xAt < 0 || length < 0) throw internal(`copy of ${length} numbers from ${xAt} to ${outAt}`);
      const { i32 } = heap;
      i32[slot] = to + 4 * outAt;
      i32[slot + 1] = from + 4 * xAt;
      i32[slot + 2] = length;
      core.run(index.copy, out === x ? 1 : core.chunks(length / 4, length >>> 12));
    },

    embed(out, table, ids, rows) {
      const outAt = floatsAt(out, rows * table.inputs);
      const idsAt = indicesAt(heap, "embed: id", ids, rows, 0, table.outputs);
      if (table.format !== "f32") {
        unpackSmallRows(core, outAt, matrixAt(table), table.format, table.inputs, idsAt, 0, rows);
        return;
      }
      const { i32 } = heap;
      i32[slot] = outAt;
      i32[slot + 1] = matrixAt(table);
      i32[slot + 2] = idsAt;
      i32[slot + 3] = table.inputs;
      i32[slot + 4] = rows;
      core.run(index.embed, core.chunks(8 * rows * table.inputs, rows));
    },

    gatherRows(out, x, indices, rows, width) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * width);
      i32[slot + 1] = floatsAt(x, 0);
      i32[slot + 2] = indicesAt(heap, "gatherRows: row", indices, rows, 0, Math.floor(x.length / width));
      i32[slot + 3] = rows;
      i32[slot + 4] = width;
      core.run(index.gather_rows, core.chunks(rows * width, rows));
    },

    add(out, a, b, length) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, length);
      i32[slot + 1] = floatsAt(a, length);
      i32[slot + 2] = floatsAt(b, length);
      i32[slot + 3] = length;
      core.run(index.add, core.chunks(length, length >>> 12));
    },

    layerNorm(out, x, weight, bias, rows, width, epsilon) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * width);
      i32[slot + 1] = floatsAt(x, rows * width);
      i32[slot + 2] = floatsAt(weight, width);
      i32[slot + 3] = bias === null ? 0 : floatsAt(bias, width);
      i32[slot + 4] = rows;
      i32[slot + 5] = width;
      heap.f32[slot + 6] = epsilon;
      core.run(index.layer_norm, core.chunks(3 * rows * width, rows));
    },

    rmsNorm(out, x, weight, rows, width, epsilon) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * width);
      i32[slot + 1] = floatsAt(x, rows * width);
      i32[slot + 2] = floatsAt(weight, width);
      i32[slot + 3] = 0;
      i32[slot + 4] = rows;
      i32[slot + 5] = width;
      heap.f32[slot + 6] = epsilon;
      core.run(index.rms_norm, core.chunks(2 * rows * width, rows));
    },

    activate(out, x, activation, length) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, length);
      i32[slot + 1] = floatsAt(x, length);
      i32[slot + 2] = length;
      i32[slot + 3] = activationNumbers[activation];
      core.run(index.activate, core.chunks(exponential * length, length >>> 9));
    },

    gate(out, x, activation, rows, width) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * width);
      i32[slot + 1] = floatsAt(x, 2 * rows * width);
      i32[slot + 2] = activationNumbers[activation];
      i32[slot + 3] = rows;
      i32[slot + 4] = width;
      core.run(index.gate, core.chunks(exponential * rows * width, rows));
    },

    columns(out, x, rows, xWidth, from, width) {
      if (from < 0 || from + width > xWidth) throw internal(`columns ${from} to ${from + width} of ${xWidth}`);
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * width);
      i32[slot + 1] = floatsAt(x, rows * xWidth);
      i32[slot + 2] = rows;
      i32[slot + 3] = xWidth;
      i32[slot + 4] = from;
      i32[slot + 5] = width;
      core.run(index.columns, core.chunks(rows * width, rows));
    },

    softmax(out, x, rows, width) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows * width);
      i32[slot + 1] = floatsAt(x, rows * width);
      i32[slot + 2] = rows;
      i32[slot + 3] = width;
      core.run(index.softmax, core.chunks(exponential * rows * width, rows));
    },

    crossEntropy(out, logits, targets, rows, width) {
      const { i32 } = heap;
      i32[slot] = floatsAt(out, rows);
      i32[slot + 1] = floatsAt(logits, rows * width);
      i32[slot + 2] = indicesAt(heap, "crossEntropy: target", targets, rows, -1, width);
      i32[slot + 3] = rows;
      i32[slot + 4] = width;
      core.run(index.cross_entropy, core.chunks(exponential * rows * width, rows));
    },

    top(ids, values, logSumExp, x, rows, width, count) {
      if (count > width || count < 0) throw internal(`top: ${count} of ${width}`);
      const { i32 } = heap;
      i32[slot] = integersAt(ids, rows * count);
      i32[slot + 1] = floatsAt(values, rows * count);
      i32[slot + 2] = floatsAt(logSumExp, rows);
      i32[slot + 3] = floatsAt(x, rows * width);
      i32[slot + 4] = rows;
      i32[slot + 5] = width;
      i32[slot + 6] = count;
      core.run(index.top, core.chunks(exponential * rows * width, rows));
    },
  };
}
