/**
 * Buffers and matrices of the reference device: typed arrays that know whether they are still alive.
 */
import { internal, VitrineError } from "../../base/errors.ts";
import type { DeviceBuffer, Matrix, MatrixFormat } from "../device.ts";
import type { Weights } from "../training-kernels.ts";

export class ReferenceBuffer implements DeviceBuffer {
  readonly dtype: "f32" | "i32";
  readonly length: number;
  data: Float32Array | Int32Array | undefined;
  readonly #alive: Set<ReferenceBuffer>;

  constructor(dtype: "f32" | "i32", length: number, alive: Set<ReferenceBuffer>) {
    this.dtype = dtype;
    this.length = length;
    this.#alive = alive;
    this.data = allocated(() => (dtype === "f32" ? new Float32Array(length) : new Int32Array(length)), length);
  }

  free(): void {
    this.data = undefined;
    this.#alive.delete(this);
  }
}

export class ReferenceMatrix implements Matrix {
  readonly outputs: number;
  readonly inputs: number;
  readonly format: MatrixFormat;
  /** It holds the rounded numbers as fp32, whatever the format. */
  readonly byteLength: number;
  rows: Float32Array | undefined;
  readonly #alive: Set<ReferenceMatrix>;

  constructor(outputs: number, inputs: number, format: MatrixFormat, alive: Set<ReferenceMatrix>) {
    this.outputs = outputs;
    this.inputs = inputs;
    this.format = format;
    this.#alive = alive;
    this.byteLength = 4 * outputs * inputs;
    this.rows = allocated(() => new Float32Array(outputs * inputs), outputs * inputs);
  }

  free(): void {
    this.rows = undefined;
    this.#alive.delete(this);
  }
}

function allocated<A>(make: () => A, length: number): A {
  try {
    return make();
  } catch (cause) {
    throw new VitrineError(`reference device: ${length} numbers do not fit in memory; use a smaller model or context`, { blame: "work", cause });
  }
}

/** The numbers of an f32 buffer. */
export function floats(buffer: DeviceBuffer): Float32Array {
  if (!(buffer instanceof ReferenceBuffer)) throw internal("a buffer of another device");
  if (buffer.data === undefined) throw internal("a freed buffer was used");
  if (!(buffer.data instanceof Float32Array)) throw internal("an f32 buffer was expected, an i32 one came");
  return buffer.data;
}

/** The numbers of an i32 buffer. */
export function integers(buffer: DeviceBuffer): Int32Array {
  if (!(buffer instanceof ReferenceBuffer)) throw internal("a buffer of another device");
  if (buffer.data === undefined) throw internal("a freed buffer was used");
  if (!(buffer.data instanceof Int32Array)) throw internal("an i32 buffer was expected, an f32 one came");
  return buffer.data;
}

/** The first `count` numbers of an i32 buffer, which must all lie from `least` to below `limit`. */
export function indices(what: string, buffer: DeviceBuffer, count: number, least: number, limit: number): Int32Array {
  const found = integers(buffer).subarray(0, count);
  for (const index of found) if (index < least || index >= limit) throw internal(`${what} ${index} is not among the ${limit} there are`);
  return found;
}

/** The rows of a matrix, (outputs, inputs). */
export function rowsOf(matrix: Matrix): Float32Array {
  if (!(matrix instanceof ReferenceMatrix)) throw internal("a matrix of another device");
  if (matrix.rows === undefined) throw internal("a freed matrix was used");
  return matrix.rows;
}

/** The numbers of something that is learned, or of its gradient: a buffer, or a matrix of f32. */
export function learned(weights: Weights): Float32Array {
  if (!(weights instanceof ReferenceMatrix)) return floats(weights as DeviceBuffer);
  if (weights.format !== "f32") throw internal(`learning needs weights of f32, ${weights.format} came`);
  return rowsOf(weights);
}
