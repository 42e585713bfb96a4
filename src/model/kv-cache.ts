/**
 * Keys and values of the positions already read, so that each new token costs one position, not all of them again.
 */
import { ShapeError } from "../base/errors.ts";
import type { Device, DeviceBuffer } from "../device/device.ts";

export interface KeyValueCache {
  readonly B: number;
  /** Positions held per sequence. */
  readonly lengths: readonly number[];
  /** The most positions it may hold per sequence. */
  readonly capacity: number;
  /** Forgets everything from position `length` on, in all sequences (or one). What stays keeps its place. */
  truncate(length: number, sequence?: number): void;
  dispose(): void;
}

/** What one position costs. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDimension: number;
}

/** Positions a fresh cache has room for before it grows for the first time. */
const FIRST_ROOM = 64;

/** The cache over device buffers: per layer one of keys and one of values, each (B, KV, room, D). Room doubles as it fills. */
export class DeviceCache implements KeyValueCache {
  readonly B: number;
  readonly capacity: number;
  readonly #device: Device;
  readonly #shape: CacheShape;
  readonly #lengths: number[];
  #room = 0;
  #keys: DeviceBuffer[] = [];
  #values: DeviceBuffer[] = [];

  constructor(device: Device, shape: CacheShape, B: number, capacity: number) {
    this.B = B;
    this.capacity = capacity;
    this.#device = device;
    this.#shape = shape;
    this.#lengths = Array.from({ length: B }, () => 0);
  }

  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** Positions there is room for now; the `capacity` the attention kernels are told. */
  get room(): number {
    return this.#room;
  }

  keys(layer: number): DeviceBuffer {
    return this.#keys[layer];
  }

  values(layer: number): DeviceBuffer {
    return this.#values[layer];
  }

  /** Whether it was made for such a model on this device. */
  fits(device: Device, shape: CacheShape): boolean {
    const mine = this.#shape;
    return device === this.#device && shape.layers === mine.layers && shape.kvHeads === mine.kvHeads && shape.headDimension === mine.headDimension;
  }

  /** Makes room for `positions` per sequence. Padding may ask for a few more than `capacity`. */
  reserve(positions: number): void {
    if (positions <= this.#room) return;
    const room = Math.max(positions, Math.min(this.capacity, Math.max(FIRST_ROOM, 2 * this.#room)));
    this.#keys = this.#grown(this.#keys, room);
    this.#values = this.#grown(this.#values, room);
    this.#room = room;
  }

  /** Counts the positions a pass has written. */
  advance(counts: readonly number[]): void {
    for (let b = 0; b < this.B; b++) this.#lengths[b] += counts[b];
  }

  truncate(length: number, sequence?: number): void {
    if (!Number.isInteger(length) || length < 0) throw new ShapeError(`truncate: ${length} positions; give a whole number from 0`);
    if (sequence !== undefined && !(sequence in this.#lengths)) throw new ShapeError(`truncate: sequence ${sequence} of a cache for ${this.B}`);
    for (let b = 0; b < this.B; b++) if (sequence === undefined || sequence === b) this.#lengths[b] = Math.min(this.#lengths[b], length);
  }

  dispose(): void {
    for (const buffer of this.#keys) buffer.free();
    for (const buffer of this.#values) buffer.free();
    this.#keys = [];
    this.#values = [];
    this.#room = 0;
    this.#lengths.fill(0);
  }

  /** Larger buffers, with what was held copied head by head. */
  #grown(buffers: readonly DeviceBuffer[], room: number): DeviceBuffer[] {
    const { layers, kvHeads, headDimension: D } = this.#shape;
    const grown: DeviceBuffer[] = [];
    for (let layer = 0; layer < layers; layer++) {
      const larger = this.#device.allocate("f32", this.B * kvHeads * room * D);
      this.#device.kernels.fill(larger, 0); // so that no kernel ever meets a NaN of somebody else's past
      const old = buffers[layer];
      if (old) {
        for (let b = 0; b < this.B; b++)
          for (let h = 0; h < kvHeads && this.#lengths[b] > 0; h++)
            this.#device.kernels.copy(larger, (b * kvHeads + h) * room * D, old, (b * kvHeads + h) * this.#room * D, this.#lengths[b] * D);
        old.free();
      }
      grown.push(larger);
    }
    return grown;
  }
}
