/**
 * Matrices of small numbers (f16, int8, int4) on the C kernels of kernels/quantised.c: written from fp32, read back,
 * and rows made ready for products with them. The products themselves are products.ts's.
 */
import type { MatrixBlock, MatrixFormat } from "../device.ts";
import { overflow, overflowsFrom } from "../matrix-format.ts";
import type { Core } from "./core.ts";

export type SmallFormat = Exclude<MatrixFormat, "f32">;

export const bitsOf: Readonly<Record<SmallFormat, number>> = { f16: 16, int8: 8, int4: 4 };

const panel = 16;
const block = 32;

/** Bytes of a matrix: f16 as panels [inputs][16]; int8 and int4 as panels of fp16 scales, up to a whole line, and then numbers. */
export function smallBytes(format: SmallFormat, outputs: number, inputs: number): number {
  const panels = Math.ceil(outputs / panel);
  if (format === "f16") return panels * panel * inputs * 2;
  const blocks = Math.ceil(inputs / block);
  return panels * (Math.ceil((blocks * panel * 2) / 64) * 64 + (blocks * block * panel * bitsOf[format]) / 8);
}

/** Bytes that `quantiseRows` writes at most, on any target: 18 words for a block of a row. */
export function quantisedRowBytes(rows: number, inputs: number): number {
  return 72 * rows * Math.ceil(inputs / block);
}

/** Rows (rows, inputs) at `x` as blocks of bytes at `to`, for products with int8 or int4. */
export function quantiseRows(core: Core, to: number, x: number, rows: number, inputs: number, format: SmallFormat): void {
  const { heap, index, slot } = core;
  const { i32 } = heap;
  i32[slot] = to;
  i32[slot + 1] = x;
  i32[slot + 2] = rows;
  i32[slot + 3] = inputs;
  i32[slot + 4] = bitsOf[format];
  core.run(index.quantise_rows, core.chunks(rows * inputs * 4, rows >>> 3));
}

/** Packs a block that lies at `from`, its rows `stride` numbers apart. Throws VitrineError for numbers that the format cannot hold. */
export function writeSmallBlock(
  core: Core,
  matrix: number,
  matrixInputs: number,
  format: SmallFormat,
  from: number,
  stride: number,
  { output, outputs, input, inputs, order }: MatrixBlock,
): void {
  const { heap, index, slot } = core;
  const { i32 } = heap;
  const refused = slot + 12;
  i32[slot] = matrix;
  i32[slot + 1] = matrixInputs;
  i32[slot + 2] = from;
  i32[slot + 3] = stride;
  i32[slot + 4] = output;
  i32[slot + 5] = outputs;
  i32[slot + 6] = input;
  i32[slot + 7] = inputs;
  i32[slot + 8] = order === "inputs-first" ? 1 : 0;
  i32[slot + 9] = bitsOf[format];
  heap.f32[slot + 10] = overflowsFrom[format];
  i32[slot + 11] = 4 * refused;
  i32[refused] = 0;
  core.run(index.pack_small, core.chunks(4 * outputs * inputs, Math.ceil(outputs / panel)));
  if (i32[refused] !== 0) throw overflow(format);
}

/** Rows of a matrix as fp32 at `out`: those of `ids`, an i32 address, or when it is 0 those from `output` on. */
export function unpackSmallRows(
  core: Core,
  out: number,
  matrix: number,
  format: SmallFormat,
  inputs: number,
  ids: number,
  output: number,
  rows: number,
): void {
  const { heap, index, slot } = core;
  const { i32 } = heap;
  i32[slot] = out;
  i32[slot + 1] = matrix;
  i32[slot + 2] = ids;
  i32[slot + 3] = inputs;
  i32[slot + 4] = output;
  i32[slot + 5] = rows;
  i32[slot + 6] = bitsOf[format];
  core.run(index.unpack_small, core.chunks(8 * rows * inputs, rows));
}
