/**
 * Buffers and matrices of the CPU device: places in the heap that know whether they are still alive.
 * How a matrix lies in panels is the business of kernels/linear.c and, for small numbers, of kernels/quantised.c.
 */
import { internal } from "../../base/errors.ts";
import type { DeviceBuffer, Matrix, MatrixFormat } from "../device.ts";
import type { Weights } from "../training-kernels.ts";
import type { Heap } from "./heap.ts";
import { smallBytes } from "./small-weights.ts";

export interface Live {
  buffers: number;
  matrices: number;
  bytes: number;
}

export class CpuBuffer implements DeviceBuffer {
  readonly dtype: "f32" | "i32";
  readonly length: number;
  /** Address in the heap; 0 once freed. */
  at: number;
  readonly #heap: Heap;
  readonly #live: Live;

  constructor(heap: Heap, live: Live, dtype: "f32" | "i32", length: number) {
    this.dtype = dtype;
    this.length = length;
    this.at = heap.allocate(4 * length);
    this.#heap = heap;
    this.#live = live;
    live.buffers++;
    live.bytes += 4 * length;
  }

  free(): void {
    if (this.at === 0) return;
    this.#heap.free(this.at, 4 * this.length);
    this.at = 0;
    this.#live.buffers--;
    this.#live.bytes -= 4 * this.length;
  }
}

/** Panels of 16 outputs. */
export class CpuMatrix implements Matrix {
  readonly outputs: number;
  readonly inputs: number;
  readonly format: MatrixFormat;
  readonly byteLength: number;
  at: number;
  readonly #heap: Heap;
  readonly #live: Live;

  constructor(heap: Heap, live: Live, outputs: number, inputs: number, format: MatrixFormat) {
    this.outputs = outputs;
    this.inputs = inputs;
    this.format = format;
    this.byteLength = format === "f32" ? panelBytes(outputs, inputs) : smallBytes(format, outputs, inputs);
    this.at = heap.allocateZeroed(this.byteLength);
    this.#heap = heap;
    this.#live = live;
    live.matrices++;
    live.bytes += this.byteLength;
  }

  free(): void {
    if (this.at === 0) return;
    this.#heap.free(this.at, this.byteLength);
    this.at = 0;
    this.#live.matrices--;
    this.#live.bytes -= this.byteLength;
  }
}

/** Of fp32 numbers: [ceil(outputs / 16)][inputs][16]. */
export function panelBytes(outputs: number, inputs: number): number {
  return Math.ceil(outputs / 16) * 16 * inputs * 4;
}

/** The address of an f32 buffer with at least `length` numbers. */
export function floatsAt(buffer: DeviceBuffer, length: number): number {
  return address(buffer, "f32", length);
}

export function integersAt(buffer: DeviceBuffer, length: number): number {
  return address(buffer, "i32", length);
}

/** The address of an i32 buffer whose first `count` numbers must all be from `least` up to, not including, `limit`: they become addresses. */
export function indicesAt(heap: Heap, what: string, buffer: DeviceBuffer, count: number, least: number, limit: number): number {
  const at = integersAt(buffer, count);
  const { i32 } = heap;
  for (let i = 0, word = at / 4; i < count; i++, word++)
    if (i32[word] < least || i32[word] >= limit) throw internal(`${what} ${i32[word]} is not among the ${limit} there are`);
  return at;
}

function address(buffer: DeviceBuffer, dtype: "f32" | "i32", length: number): number {
  if (buffer instanceof CpuBuffer && buffer.at !== 0 && buffer.dtype === dtype && length <= buffer.length && length >= 0) return buffer.at;
  throw internal(misuse(buffer, dtype, length));
}

function misuse(buffer: DeviceBuffer, dtype: "f32" | "i32", length: number): string {
  if (!(buffer instanceof CpuBuffer)) return "a buffer of another device";
  if (buffer.at === 0) return "a freed buffer was used";
  if (buffer.dtype !== dtype) return `an ${dtype} buffer was expected, an ${buffer.dtype} one came`;
  return `${length} numbers were expected, in a buffer of ${buffer.length}`;
}

export function matrixAt(matrix: Matrix): number {
  if (!(matrix instanceof CpuMatrix)) throw internal("a matrix of another device");
  if (matrix.at === 0) throw internal("a freed matrix was used");
  return matrix.at;
}

/** Numbers of something learned, as they lie in the heap: of an f32 matrix with the padding of its panels, which is 0. */
export function numbersOf(weights: Weights): number {
  return "dtype" in weights ? weights.length : weights.byteLength / 4;
}

/** The address of something learned: an f32 buffer or matrix. */
export function learnedAt(weights: Weights): number {
  if ("dtype" in weights) return floatsAt(weights, 0);
  if (weights.format !== "f32") throw internal(`a matrix of ${weights.format} where one that learns was expected`);
  return matrixAt(weights);
}
