/**
 * Gradients against central finite differences: what every op and every model is checked with.
 * The loss is a weighted sum of all outputs, computed here in fp64, so that nothing but the op rounds to fp32.
 */
import { expect } from "vitest";
import type { Random } from "../base/random.ts";
import { randomFrom } from "../base/random.ts";
import { elements } from "../base/shape.ts";
import type { Shape } from "../base/shape.ts";
import type { Device, DeviceBuffer, Matrix } from "../device/device.ts";
import type { Weights } from "../device/training-kernels.ts";
import { tensorScope } from "./scope.ts";
import { Tape } from "./tape.ts";
import { permanent, tensor } from "./tensor.ts";
import type { Tensor } from "./tensor.ts";

export function isMatrix(weights: Weights): weights is Matrix {
  return "outputs" in weights;
}

/** Something of the same kind and size, all 0: a gradient, or a memory of the optimiser. */
export function zerosLike(device: Device, weights: Weights): Weights {
  const made = isMatrix(weights) ? device.matrix(weights.outputs, weights.inputs) : device.allocate("f32", weights.length);
  device.kernels.clear(made);
  return made;
}

export async function readWeights(device: Device, weights: Weights): Promise<Float32Array> {
  return isMatrix(weights) ? device.readMatrix(weights) : ((await device.read(weights)) as Float32Array);
}

export function writeWeights(device: Device, weights: Weights, values: Float32Array): void {
  if (!isMatrix(weights)) device.write(weights, values);
  else device.writeMatrix(weights, values, { output: 0, outputs: weights.outputs, input: 0, inputs: weights.inputs, order: "outputs-first" });
}

/** Places for the gradients of all of these, all 0. */
export function places(device: Device, learned: readonly Weights[]): Map<Weights, Weights> {
  return new Map(learned.map((weights) => [weights, zerosLike(device, weights)]));
}

/** N(0, 1), by the sum of twelve. */
export function normals(random: Random, length: number): Float32Array {
  return Float32Array.from({ length }, () => Array.from({ length: 12 }, () => random.next()).reduce((a, b) => a + b) - 6);
}

/** A tensor outside any scope with numbers from N(0, 1), none so near to 0 that a step would cross a kink there. */
export function randomTensor(device: Device, random: Random, shape: Shape): Tensor {
  const made = permanent(device, shape);
  device.write(
    made.buffer,
    normals(random, elements(shape)).map((v) => (Math.abs(v) < 0.05 ? 0.05 : v)),
  );
  return made;
}

export function randomMatrix(device: Device, random: Random, outputs: number, inputs: number): Matrix {
  const made = device.matrix(outputs, inputs);
  writeWeights(device, made, normals(random, outputs * inputs));
  return made;
}

/** What the gradients of `learned` are for a loss in which output i of `forward` counts `count[i]`. */
export async function gradientsOf(
  device: Device,
  learned: readonly Weights[],
  forward: () => Tensor,
  count: Float32Array,
): Promise<Map<Weights, Float32Array>> {
  const at = places(device, learned);
  const tape = new Tape(at);
  try {
    const y = tape.record(() => {
      using scope = tensorScope();
      return scope.keep(forward());
    });
    const seed = tensor(device, count, y.shape);
    tape.backward(y, seed);
    for (const made of [y, seed]) made.dispose();
    const found = new Map<Weights, Float32Array>();
    for (const [weights, place] of at) found.set(weights, await readWeights(device, place));
    return found;
  } finally {
    tape.dispose();
    for (const place of at.values()) place.free();
  }
}

/**
 * Checks the gradient of each of `learned` by moving its numbers one by one (when they are at most `single`), or all at once along
 * random directions. The forward pass is run without a tape then, so it also checks that both give one result.
 */
export async function checkGradients(
  device: Device,
  learned: ReadonlyMap<string, Weights | DeviceBuffer>,
  forward: () => Tensor,
  { single = 40, seed = 1, step = 1 / 256, slack = 2e-3 }: { single?: number; seed?: number; step?: number; slack?: number } = {},
): Promise<void> {
  const random = randomFrom(seed);
  const before = device.memory();
  const outputs = await run();
  const count = normals(random, outputs.length);
  const found = await gradientsOf(device, [...learned.values()], forward, count);
  const loss = async (): Promise<number> => (await run()).reduce((sum, v, i) => sum + v * count[i], 0);

  for (const [name, weights] of learned) {
    const values = await readWeights(device, weights);
    const gradient = found.get(weights)!;
    const directions =
      values.length <= single
        ? Array.from(values, (_, i) => Float32Array.from(values, (__, j) => (i === j ? 1 : 0)))
        : Array.from({ length: 3 }, () => normals(random, values.length).map((v) => v / Math.sqrt(values.length)));
    for (const [i, direction] of directions.entries()) {
      const [up, down] = [1, -1].map((sign) => values.map((v, j) => v + sign * step * direction[j]));
      writeWeights(device, weights, up);
      const higher = await loss();
      writeWeights(device, weights, down);
      const lower = await loss();
      writeWeights(device, weights, values);
      const difference = (higher - lower) / (2 * step);
      const slope = gradient.reduce((sum, v, j) => sum + v * direction[j], 0);
      const scale = Math.max(Math.abs(difference), Math.abs(slope));
      expect(Math.abs(difference - slope), `${name}, ${i}: ${slope}, by differences ${difference}`).toBeLessThan(0.01 * scale + slack);
    }
  }
  expect(device.memory()).toEqual(before);

  async function run(): Promise<Float32Array> {
    using _scope = tensorScope();
    return forward().read();
  }
}
