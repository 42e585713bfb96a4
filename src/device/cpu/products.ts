/**
 * Matrix products on the C kernels of kernels/linear.c, forward and backward: pack the left side into tiles, use or make the right
 * side's panels, multiply. Also fills matrices and reads them back, since panels are theirs alone.
 */
import type { Activation, Kernels, Matrix, MatrixBlock, MatrixFormat } from "../device.ts";
import { blockLength } from "../matrix-format.ts";
import type { Core } from "./core.ts";
import { floatsAt, learnedAt, matrixAt, panelBytes } from "./memory.ts";
import { quantisedRowBytes, quantiseRows, unpackSmallRows, writeSmallBlock } from "./small-weights.ts";

/** As kernels/functions.h numbers them; 0 is none. */
export const activationNumbers: Readonly<Record<Activation, number>> = { gelu: 1, gelu_new: 2, silu: 3, relu: 4 };

const panel = 16;
/** Rows of a tile at most, on any target: scratch is sized for it. */
const rowsOfTile = 16;
/** A chunk of a product should not be smaller, or packing and starting it shows: rows, panels. */
const leastRows = 48;
const leastPanels = 2;
/**
 * Products of many rows go in slabs, so that what is packed is still in the caches when it is multiplied, and takes little memory.
 * Backward sums run over the slabs in order, so their depth is the same for any number of threads. Rows and outputs at a time, per thread.
 */
const slabDepth = 512;
const slabRows = 256;
const slabOutputs = 1024;
/** Numbers moved through the heap at a time while a matrix is written or read. */
const stagingNumbers = 1 << 20;

export function productKernels(core: Core): Pick<Kernels, "linear" | "matmul" | "linearBackwardInput" | "linearBackwardWeights"> {
  const { heap, index, slot } = core;
  const rowsAtOnce = slabRows * Math.max(2, core.threads);
  const outputsAtOnce = slabOutputs * Math.max(2, core.threads);

  /** Packs x, (rows, depth) or with `turned` (depth, rows), into tiles at `to`. Its rows lie `stride` numbers apart. */
  const packRows = (to: number, x: number, rows: number, depth: number, stride: number, turned: boolean): void => {
    const { i32 } = heap;
    i32[slot] = to;
    i32[slot + 1] = x;
    i32[slot + 2] = rows;
    i32[slot + 3] = depth;
    i32[slot + 4] = stride;
    core.run(turned ? index.pack_columns : index.pack_rows, core.chunks(rows * depth * 2, rows >>> 3));
  };

  const gemmOf: Readonly<Record<MatrixFormat, number>> = { f32: index.gemm, f16: index.gemm_half, int8: index.gemm_int8, int4: index.gemm_int4 };

  /** Where `out` lies in panels its rows are `rowStride` numbers apart and its panels `panelStride`. */
  const multiply = (
    kernel: number,
    out: number,
    tiles: number,
    panels: number,
    bias: number,
    residual: number,
    activation: Activation | null,
    rows: number,
    outputs: number,
    inputs: number,
    rowStride = outputs,
    panelStride = panel,
  ): void => {
    let rowParts = 1;
    let panelParts = 1;
    if (core.threads > 1) {
      const wanted = core.chunks(rows * outputs * inputs, Infinity);
      if (wanted > 1) {
        // Rows first: chunks of rows share all panels and read the tiles once; then panels, until there are enough chunks.
        rowParts = Math.min(wanted, Math.max(1, Math.floor(rows / leastRows)));
        panelParts = Math.min(Math.ceil(wanted / rowParts), Math.max(1, Math.floor(Math.ceil(outputs / panel) / leastPanels)));
      }
    }
    const { i32 } = heap;
    i32[slot] = out;
    i32[slot + 1] = tiles;
    i32[slot + 2] = panels;
    i32[slot + 3] = bias;
    i32[slot + 4] = residual;
    i32[slot + 5] = activation === null ? 0 : activationNumbers[activation];
    i32[slot + 6] = rows;
    i32[slot + 7] = outputs;
    i32[slot + 8] = inputs;
    i32[slot + 9] = rowParts;
    i32[slot + 10] = panelParts;
    i32[slot + 11] = rowStride;
    i32[slot + 12] = panelStride;
    core.run(kernel, rowParts * panelParts);
  };

  return {
    linear(out, x, weights, bias, activation, residual, rows) {
      const { outputs, inputs, format } = weights;
      const panels = matrixAt(weights);
      const outAt = floatsAt(out, rows * outputs);
      const xAt = floatsAt(x, rows * inputs);
      const biasAt = bias === null ? 0 : floatsAt(bias, outputs);
      const residualAt = residual === null ? 0 : floatsAt(residual, rows * outputs);
      const gemm = gemmOf[format];
      if (format === "int8" || format === "int4") {
        const tiles = core.scratch(quantisedRowBytes(rows, inputs));
        quantiseRows(core, tiles, xAt, rows, inputs, format);
        multiply(gemm, outAt, tiles, panels, biasAt, residualAt, activation, rows, outputs, inputs);
      } else if (rows === 1) {
        multiply(gemm, outAt, xAt, panels, biasAt, residualAt, activation, rows, outputs, inputs); // one row is its own tile
      } else {
        const tiles = core.scratch((Math.min(rowsAtOnce, rows) + rowsOfTile) * inputs * 4);
        for (let row = 0; row < rows; row += rowsAtOnce) {
          const count = Math.min(rowsAtOnce, rows - row);
          const at = 4 * row * outputs;
          packRows(tiles, xAt + 4 * row * inputs, count, inputs, inputs, false);
          multiply(gemm, outAt + at, tiles, panels, biasAt, residual === null ? 0 : residualAt + at, activation, count, outputs, inputs);
        }
      }
    },

    matmul(out, a, b, M, N, K, transposeA, transposeB, accumulate) {
      const outAt = floatsAt(out, M * N);
      const aAt = floatsAt(a, M * K);
      const bAt = floatsAt(b, K * N);
      const tileBytes = (M + rowsOfTile) * K * 4;
      const scratch = core.scratch(tileBytes + panelBytes(N, K) + 64);
      const panels = Math.ceil((scratch + tileBytes) / 64) * 64;
      packRows(scratch, aAt, M, K, transposeA ? M : K, transposeA);
      writeBlock(core, panels, K, bAt, transposeB ? K : N, {
        output: 0,
        outputs: N,
        input: 0,
        inputs: K,
        order: transposeB ? "outputs-first" : "inputs-first",
      });
      multiply(index.gemm, outAt, scratch, panels, 0, accumulate ? outAt : 0, null, M, N, K);
    },

    linearBackwardInput(dX, dY, weights, rows) {
      const { outputs, inputs } = weights;
      const W = learnedAt(weights);
      const dXAt = floatsAt(dX, rows * inputs);
      const dYAt = floatsAt(dY, rows * outputs);
      const deepest = Math.min(slabDepth, outputs);
      const panels = core.scratch(panelBytes(inputs, deepest) + (Math.min(rowsAtOnce, rows) + rowsOfTile) * deepest * 4);
      const tiles = panels + panelBytes(inputs, deepest);
      for (let output = 0; output < outputs; output += slabDepth) {
        const depth = Math.min(slabDepth, outputs - output);
        turnPanels(core, panels, W, inputs, output, depth);
        for (let row = 0; row < rows; row += rowsAtOnce) {
          const count = Math.min(rowsAtOnce, rows - row);
          const out = dXAt + 4 * row * inputs;
          packRows(tiles, dYAt + 4 * (row * outputs + output), count, depth, outputs, false);
          multiply(index.gemm, out, tiles, panels, 0, output > 0 ? out : 0, null, count, inputs, depth);
        }
      }
    },

    linearBackwardWeights(dW, dY, x, rows) {
      const { outputs, inputs } = dW;
      const dWAt = learnedAt(dW);
      const dYAt = floatsAt(dY, rows * outputs);
      const xAt = floatsAt(x, rows * inputs);
      const deepest = Math.min(slabDepth, rows);
      const panels = core.scratch(panelBytes(Math.min(outputsAtOnce, outputs), deepest) + (inputs + rowsOfTile) * deepest * 4);
      const tiles = panels + panelBytes(Math.min(outputsAtOnce, outputs), deepest);
      for (let row = 0; row < rows; row += slabDepth) {
        const depth = Math.min(slabDepth, rows - row);
        packRows(tiles, xAt + 4 * row * inputs, inputs, depth, inputs, true);
        for (let output = 0; output < outputs; output += outputsAtOnce) {
          const count = Math.min(outputsAtOnce, outputs - output);
          const out = dWAt + 4 * output * inputs;
          const block = { output: 0, outputs: count, input: 0, inputs: depth, order: "inputs-first" } as const;
          writeBlock(core, panels, depth, dYAt + 4 * (row * outputs + output), outputs, block);
          multiply(index.gemm, out, tiles, panels, 0, out, null, inputs, count, depth, panel, panel * inputs);
        }
      }
    },
  };
}

/** Panels of W^T at `to`, of the rows `output` to `output + outputs` of the W at `matrix`. */
function turnPanels(core: Core, to: number, matrix: number, inputs: number, output: number, outputs: number): void {
  const { heap, index, slot } = core;
  const { i32 } = heap;
  i32[slot] = to;
  i32[slot + 1] = matrix;
  i32[slot + 2] = inputs;
  i32[slot + 3] = output;
  i32[slot + 4] = outputs;
  core.run(index.turn_panels, core.chunks(2 * inputs * outputs, Math.ceil(inputs / panel)));
}

/** Packs a block that lies at `from`, its rows `stride` numbers apart, into the panels at `matrix`. */
function writeBlock(core: Core, matrix: number, matrixInputs: number, from: number, stride: number, block: MatrixBlock): void {
  const { heap, index, slot } = core;
  const { i32 } = heap;
  i32[slot] = matrix;
  i32[slot + 1] = matrixInputs;
  i32[slot + 2] = from;
  i32[slot + 3] = stride;
  i32[slot + 4] = block.output;
  i32[slot + 5] = block.outputs;
  i32[slot + 6] = block.input;
  i32[slot + 7] = block.inputs;
  core.run(
    block.order === "outputs-first" ? index.pack_outputs_first : index.pack_inputs_first,
    core.chunks(block.outputs * block.inputs, Math.ceil(block.outputs / panel)),
  );
}

/** `Device.writeMatrix` for a block that was checked: through a small staging area, some rows of the block at a time. */
export function writeMatrix(core: Core, matrix: Matrix, values: Float32Array, block: MatrixBlock): void {
  const at = matrixAt(matrix);
  const outputsFirst = block.order === "outputs-first";
  const width = outputsFirst ? block.inputs : block.outputs;
  const height = outputsFirst ? block.outputs : block.inputs;
  const step = outputsFirst ? stepOf(width) : Math.max(blockLength, stepOf(width)); // whole blocks of inputs
  if (width === 0) return;
  for (let row = 0; row < height; row += step) {
    const rows = Math.min(step, height - row);
    const staging = core.scratch(4 * rows * width);
    core.heap.f32.set(values.subarray(row * width, (row + rows) * width), staging / 4);
    const part = outputsFirst ? { ...block, output: block.output + row, outputs: rows } : { ...block, input: block.input + row, inputs: rows };
    if (matrix.format === "f32") writeBlock(core, at, matrix.inputs, staging, width, part);
    else writeSmallBlock(core, at, matrix.inputs, matrix.format, staging, width, part);
  }
}

/** `Device.readMatrix` for rows that were checked. */
export function readMatrix(core: Core, matrix: Matrix, output: number, outputs: number): Float32Array {
  const { heap, index, slot } = core;
  const { inputs } = matrix;
  const result = new Float32Array(outputs * inputs);
  const at = matrixAt(matrix);
  const step = stepOf(inputs);
  for (let row = 0; row < outputs; row += step) {
    const rows = Math.min(step, outputs - row);
    const staging = core.scratch(4 * rows * inputs);
    if (matrix.format !== "f32") unpackSmallRows(core, staging, at, matrix.format, inputs, 0, output + row, rows);
    else {
      const { i32 } = heap;
      i32[slot] = staging;
      i32[slot + 1] = at;
      i32[slot + 2] = inputs;
      i32[slot + 3] = output + row;
      i32[slot + 4] = rows;
      core.run(index.unpack, core.chunks(rows * inputs, rows));
    }
    result.set(heap.f32.subarray(staging / 4, staging / 4 + rows * inputs), row * inputs);
  }
  return result;
}

/** Rows of `width` numbers to stage at a time: whole panels, or blocks of 32, where there are several. */
function stepOf(width: number): number {
  const rows = Math.max(1, Math.floor(stagingNumbers / Math.max(1, width)));
  return rows < blockLength ? rows : rows - (rows % blockLength);
}
