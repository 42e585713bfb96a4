/**
 * A tensor: numbers on a device, with a shape. What one may do with it lives in ops/, one op a file; who frees it in scope.ts.
 */
import { ShapeError } from "../base/errors.ts";
import { elements, showShape } from "../base/shape.ts";
import type { Shape } from "../base/shape.ts";
import type { Device, DeviceBuffer } from "../device/device.ts";
import { adopt } from "./scope.ts";

export class Tensor {
  readonly device: Device;
  readonly buffer: DeviceBuffer;
  /** Row-major, last axis contiguous. */
  readonly shape: Shape;
  readonly #borrowed: boolean;

  /** Wraps a buffer; `borrowed` ones are freed by someone else. Most code calls `tensor`, `empty` or an op instead. */
  constructor(device: Device, buffer: DeviceBuffer, shape: Shape, borrowed: boolean) {
    this.device = device;
    this.buffer = buffer;
    this.shape = shape;
    this.#borrowed = borrowed;
  }

  get dtype(): "f32" | "i32" {
    return this.buffer.dtype;
  }

  /** A copy of the numbers as they are now; work asked for later does not change it. Integers come as floats (exact below 2^24). */
  async read(): Promise<Float32Array> {
    const numbers = await this.device.read(this.buffer, 0, elements(this.shape));
    return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
  }

  /** The same for an i32 tensor. Throws ShapeError for floats. */
  async readIntegers(): Promise<Int32Array> {
    const numbers = await this.device.read(this.buffer, 0, elements(this.shape));
    if (numbers instanceof Int32Array) return numbers;
    throw new ShapeError(`readIntegers: the tensor ${showShape(this.shape)} holds floats; use read()`);
  }

  /** The same numbers under another shape of as many elements. Borrows: frees nothing. */
  view(shape: Shape): Tensor {
    if (elements(shape) !== elements(this.shape))
      throw new ShapeError(`view: ${showShape(this.shape)} has ${elements(this.shape)} elements, ${showShape(shape)} has ${elements(shape)}`);
    return new Tensor(this.device, this.buffer, shape, true);
  }

  /** Gives the memory back. Twice is harmless. */
  dispose(): void {
    if (!this.#borrowed) this.buffer.free();
  }
}

/** A tensor of given numbers, copied to the device; Int32Array makes an i32 tensor. Throws ShapeError when the count is not the shape's. */
export function tensor(device: Device, values: Float32Array | Int32Array, shape: Shape = [values.length]): Tensor {
  if (values.length !== elements(shape)) throw new ShapeError(`tensor: ${values.length} numbers for the shape ${showShape(shape)}`);
  const made = empty(device, shape, values instanceof Int32Array ? "i32" : "f32");
  device.write(made.buffer, values);
  return made;
}

/** A tensor whose numbers are undefined until written; belongs to the innermost scope. */
export function empty(device: Device, shape: Shape, dtype: "f32" | "i32" = "f32"): Tensor {
  return adopt(permanent(device, shape, dtype));
}

/** The same outside any scope, for weights: its maker disposes it. */
export function permanent(device: Device, shape: Shape, dtype: "f32" | "i32" = "f32"): Tensor {
  let length = 1;
  for (let axis = 0; axis < shape.length; axis++) length *= shape[axis];
  return new Tensor(device, device.allocate(dtype, length), shape, false);
}
