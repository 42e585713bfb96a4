/**
 * A tensor: numbers on a device, with a shape. What one may do with it lives in ops/, one op a file; who frees it in scope.ts;
 * what makes gradients in tape.ts.
 */
import { internal, ShapeError } from "../base/errors.ts";
import { elements, showShape } from "../base/shape.ts";
import type { Shape } from "../base/shape.ts";
import type { Device, DeviceBuffer } from "../device/device.ts";
import { adopt } from "./scope.ts";

/** The numbers themselves, and how many handles hold them. */
interface Storage {
  readonly buffer: DeviceBuffer;
  handles: number;
}

/** A handle on numbers. The memory goes back when the last handle that holds it is disposed. */
export class Tensor {
  readonly device: Device;
  readonly buffer: DeviceBuffer;
  /** Row-major, last axis contiguous. */
  readonly shape: Shape;
  readonly #storage: Storage;
  #holds: boolean;

  /** Use `tensor`, `empty` or an op. A handle that holds has been counted in `storage`; others borrow. */
  constructor(device: Device, storage: Storage, shape: Shape, holds: boolean) {
    this.device = device;
    this.buffer = storage.buffer;
    this.shape = shape;
    this.#storage = storage;
    this.#holds = holds;
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
    return new Tensor(this.device, this.#storage, shape, false);
  }

  /** A second handle on the same numbers, of a view too: they live until it is disposed as well. Belongs to no scope. */
  retain(): Tensor {
    if (this.#storage.handles === 0) throw internal("a freed tensor was retained");
    this.#storage.handles++;
    return new Tensor(this.device, this.#storage, this.shape, true);
  }

  /** Whether more than one handle holds the numbers; then nobody may overwrite them. */
  get shared(): boolean {
    return this.#storage.handles > 1;
  }

  /** Gives this handle up, and the memory back if it was the last. Twice is harmless. */
  dispose(): void {
    if (!this.#holds) return;
    this.#holds = false;
    if (--this.#storage.handles === 0) this.buffer.free();
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
  return new Tensor(device, { buffer: device.allocate(dtype, length), handles: 1 }, shape, true);
}
