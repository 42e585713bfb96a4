/**
 * What the tests of the training kernels share: several results of one piece of work, with room behind each that must stay untouched,
 * and slopes by finite differences.
 */
import * as fc from "fast-check";
import type { AttentionCase } from "./kernel-cases.testing.ts";
import { attentionCase, attentionInputs, Bench, expectClose, numbers } from "./kernel-cases.testing.ts";
import type { Activation, Device, DeviceBuffer } from "./device.ts";
import type { Weights } from "./training-kernels.ts";

export const activation: fc.Arbitrary<Activation> = fc.constantFrom("gelu", "gelu_new", "silu", "relu");

/** Runs `work` on a fresh bench and gives all it wrote. */
export async function computeAll(device: Device, work: (bench: Bench) => readonly Weights[]): Promise<Float32Array[]> {
  const bench = new Bench(device);
  const found = await Promise.all(work(bench).map((weights) => readWeights(device, weights)));
  bench.clear();
  return found;
}

export async function readWeights(device: Device, weights: Weights): Promise<Float32Array> {
  return ("outputs" in weights ? device.readMatrix(weights) : device.read(weights)) as Promise<Float32Array>;
}

/** The same work gives the same numbers on both devices. */
export async function expectSame(device: Device, reference: Device, work: (bench: Bench) => readonly Weights[], tolerance?: number): Promise<void> {
  const [found, expected] = [await computeAll(device, work), await computeAll(reference, work)];
  for (const [i, values] of found.entries()) expectClose(values, expected[i], tolerance);
}

/** Behind what a kernel may touch: a tail that it writes to by whole vectors shows. */
const behind = 5;

/** For a result that is written: NaN everywhere, some of it behind. */
export function written(bench: Bench, length: number): DeviceBuffer {
  return bench.room(length + behind);
}

/** For a result that is added to: something is there already, some of it behind. */
export function addedTo(bench: Bench, length: number, seed: number): DeviceBuffer {
  return bench.put(numbers(seed + 1000, length + behind));
}

/**
 * Rows of numbers that keep their digits when they are normalised: a row of nearly equal numbers has lost them
 * before any device sees it, so one of each row lies apart.
 */
export function spreadRows(seed: number, rows: number, width: number): Float32Array {
  const values = numbers(seed, rows * width, 3);
  for (let r = 0; r < rows; r++) values[r * width] += 7;
  return values;
}

/** Attention as training has it: every sequence begins at position 0. */
export const trainingAttentionCase: fc.Arbitrary<AttentionCase> = attentionCase.map(fromTheStart);

export function fromTheStart(c: AttentionCase): AttentionCase {
  return { ...c, past: c.past.map(() => 0), S: c.T, capacity: c.T + (c.capacity - c.S) };
}

/** dQ, dK and dV after a forward pass on the same device. */
export function attentionGradients(bench: Bench, c: AttentionCase, scale?: number): DeviceBuffer[] {
  const { q, keys, values, sizes: usual } = attentionInputs(bench, c);
  const sizes = scale === undefined ? usual : { ...usual, scale };
  const [queries, cached] = [c.B * c.T * c.H * c.D, c.B * c.T * c.KV * c.D];
  const y = bench.room(queries);
  bench.device.kernels.attention(y, q, keys, values, sizes);
  const [dQ, dK, dV] = [written(bench, queries), written(bench, cached), written(bench, cached)];
  bench.device.kernels.attentionBackward(dQ, dK, dV, bench.put(numbers(c.seed + 3, queries)), q, keys, values, y, sizes);
  return [dQ, dK, dV];
}

/** Numbers whose steps are exact in fp32: multiples of 1/4096. */
export function coarse(seed: number, length: number, scale = 1): Float32Array {
  return numbers(seed, length, scale).map((x) => Math.round(4096 * x) / 4096);
}

const step = 1 / 32;

/**
 * The slope of `of` along each number of x, by the central difference of five points (error step^4 / 30 of the fifth derivative;
 * a result rounded to fp32 adds about 6e-8 / step).
 */
export async function slopes(x: Float32Array, of: (x: Float32Array) => Promise<number>): Promise<Float64Array> {
  const found = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const at = (steps: number): Promise<number> => of(x.with(i, x[i] + steps * step));
    found[i] = (8 * ((await at(1)) - (await at(-1))) - ((await at(2)) - (await at(-2)))) / (12 * step);
  }
  return found;
}
