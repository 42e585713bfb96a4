/**
 * What the device tests compute with: seeded numbers, a bench of buffers on one device, and the cases of attention.
 */
import * as fc from "fast-check";
import { expect } from "vitest";
import { randomFrom } from "../base/random.ts";
import type { AttentionSizes, Device, DeviceBuffer, Matrix, MatrixFormat } from "./device.ts";

/** `length` numbers in (-scale, scale), the same for the same seed. */
export function numbers(seed: number, length: number, scale = 1): Float32Array {
  const random = randomFrom(seed);
  return Float32Array.from({ length }, () => scale * (2 * random.next() - 1));
}

export function integersBelow(seed: number, length: number, below: number): Int32Array {
  const random = randomFrom(seed);
  return Int32Array.from({ length }, () => Math.floor(random.next() * below));
}

/** A device with buffers that are all freed by `clear`. */
export class Bench {
  readonly device: Device;
  readonly #made: { free(): void }[] = [];

  constructor(device: Device) {
    this.device = device;
  }

  put(values: Float32Array | Int32Array): DeviceBuffer {
    const buffer = this.room(values.length, values instanceof Int32Array ? "i32" : "f32");
    this.device.write(buffer, values);
    return buffer;
  }

  /** Full of NaN (or -1), so a number that a kernel forgets to write shows. */
  room(length: number, dtype: "f32" | "i32" = "f32"): DeviceBuffer {
    const buffer = this.device.allocate(dtype, length);
    this.device.write(buffer, dtype === "f32" ? new Float32Array(length).fill(NaN) : new Int32Array(length).fill(-1));
    this.#made.push(buffer);
    return buffer;
  }

  matrix(values: Float32Array, outputs: number, inputs: number, format?: MatrixFormat): Matrix {
    const matrix = this.device.matrix(outputs, inputs, format);
    this.device.writeMatrix(matrix, values, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
    this.#made.push(matrix);
    return matrix;
  }

  sizes(sizes: Omit<AttentionSizes, "past" | "scale">, past: readonly number[]): AttentionSizes {
    return { ...sizes, past: this.put(Int32Array.from(past)), scale: 1 / Math.sqrt(sizes.D) };
  }

  clear(): void {
    for (const made of this.#made.splice(0)) made.free();
  }
}

/** Runs `work` on a fresh bench and gives what it wrote. */
export async function compute(device: Device, work: (bench: Bench) => DeviceBuffer): Promise<Float32Array> {
  const bench = new Bench(device);
  const values = await device.read(work(bench));
  bench.clear();
  return values as Float32Array;
}

/** Checks a property on random cases. */
export async function property<C>(cases: fc.Arbitrary<C>, check: (c: C) => Promise<void>): Promise<void> {
  await fc.assert(fc.asyncProperty(cases, check), { numRuns: 25 });
}

/** Equal up to `tolerance` of 1 + |expected|; infinities exactly. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) continue;
    const error = Math.abs(actual[i] - expected[i]) / (1 + Math.abs(expected[i]));
    if (!(error <= tolerance)) expect.fail(`number ${i} of ${expected.length} is ${actual[i]}, expected ${expected[i]} within ${tolerance}`);
  }
}

export const rows: fc.Arbitrary<number> = fc.integer({ min: 1, max: 20 });
export const width: fc.Arbitrary<number> = fc.integer({ min: 1, max: 70 });
export const seed: fc.Arbitrary<number> = fc.integer({ min: 0, max: 1e6 });

export interface AttentionCase extends Omit<AttentionSizes, "past" | "scale"> {
  readonly past: readonly number[];
  readonly S: number;
  readonly seed: number;
}

/** Attention sizes with several sequences, grouped heads, windows and pasts of every kind. */
export const attentionCase: fc.Arbitrary<AttentionCase> = fc
  .record({
    B: fc.integer({ min: 1, max: 3 }),
    T: fc.integer({ min: 1, max: 9 }),
    KV: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 3 }),
    D: fc.integer({ min: 1, max: 40 }),
    window: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 })),
    spare: fc.integer({ min: 0, max: 5 }),
    past: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 3, maxLength: 3 }),
    seed,
  })
  .map(({ group, past, spare, ...rest }) => {
    const pasts = past.slice(0, rest.B);
    const S = Math.max(...pasts) + rest.T;
    return { ...rest, H: rest.KV * group, past: pasts, S, capacity: S + spare };
  });

/** q and caches of a case; what no query may see is NaN, as memory never written may be. */
export function attentionInputs(
  bench: Bench,
  c: AttentionCase,
): { q: DeviceBuffer; keys: DeviceBuffer; values: DeviceBuffer; sizes: AttentionSizes } {
  const cached = (shift: number): Float32Array => {
    const cache = numbers(c.seed + shift, c.B * c.KV * c.capacity * c.D, 2);
    for (let b = 0; b < c.B; b++)
      for (let kv = 0; kv < c.KV; kv++) {
        const from = (b * c.KV + kv) * c.capacity;
        cache.fill(NaN, (from + c.past[b] + c.T) * c.D, (from + c.capacity) * c.D);
      }
    return cache;
  };
  const q = bench.put(numbers(c.seed, c.B * c.T * c.H * c.D, 2));
  return { q, keys: bench.put(cached(1)), values: bench.put(cached(2)), sizes: bench.sizes(c, c.past) };
}

export function fusedAttention(bench: Bench, c: AttentionCase): DeviceBuffer {
  const { q, keys, values, sizes } = attentionInputs(bench, c);
  const out = bench.room(c.B * c.T * c.H * c.D);
  bench.device.kernels.attention(out, q, keys, values, sizes);
  return out;
}

export function attentionInSteps(bench: Bench, c: AttentionCase): DeviceBuffer {
  const { q, keys, values, sizes } = attentionInputs(bench, c);
  const scores = bench.room(c.B * c.H * c.T * c.S);
  bench.device.kernels.attentionScores(scores, q, keys, sizes, c.S);
  bench.device.kernels.softmax(scores, scores, c.B * c.H * c.T, c.S);
  const out = bench.room(c.B * c.T * c.H * c.D);
  bench.device.kernels.attentionMix(out, scores, values, sizes, c.S);
  return out;
}

/** Cosines then sines of the rotary/2 pairs for each position. */
export function rotaryTables(positions: number, rotary: number): Float32Array {
  const half = rotary / 2;
  return Float32Array.from({ length: positions * rotary }, (_, at) => {
    const [position, i] = [Math.floor(at / rotary), at % rotary];
    const angle = position * 100 ** (-(i % half) / half);
    return i < half ? Math.cos(angle) : Math.sin(angle);
  });
}
