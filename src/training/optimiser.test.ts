/** The lecture's first example on the same optimiser: a line through 30 noisy points, against the least-squares answer; and AdamW by hand. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomFrom } from "../base/random.ts";
import { devices } from "../device/devices.testing.ts";
import type { Device, Matrix } from "../device/device.ts";
import { linear } from "../tensor/ops/linear.ts";
import { squaredError } from "../tensor/ops/squared-error.ts";
import { tensorScope } from "../tensor/scope.ts";
import { Tape } from "../tensor/tape.ts";
import { permanent, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { AdamW, readWeights } from "./optimiser.ts";
import { learningRateAt } from "./schedule.ts";

const N = 30;
const random = randomFrom(7);
const xs = Float32Array.from({ length: N }, (_, i) => i / N);
const ys = xs.map((x) => 1.7 * x - 0.4 + (random.next() - 0.5) * 0.3);

function leastSquares(): { slope: number; intercept: number } {
  const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / N;
  const [mx, my] = [mean(xs), mean(ys)];
  const slope = xs.reduce((sum, x, i) => sum + (x - mx) * (ys[i] - my), 0) / xs.reduce((sum, x) => sum + (x - mx) ** 2, 0);
  return { slope, intercept: my - slope * mx };
}

describe.each(devices.filter(({ name }) => /^reference|relaxed SIMD, 1|native.*2 threads/.test(name)))("AdamW on $name", ({ open }) => {
  let device: Device;
  let slope: Matrix;
  let intercept: Tensor;
  beforeAll(async () => {
    device = await open();
    slope = device.matrix(1, 1);
    intercept = permanent(device, [1]);
    device.write(intercept.buffer, Float32Array.of(0));
  });
  afterAll(() => device.dispose());

  const optimiserWith = (weightDecay: number): AdamW => {
    const learnables = [
      { name: "slope", weights: slope, decays: true },
      { name: "intercept", weights: intercept.buffer, decays: false },
    ];
    return new AdamW(device, learnables, { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay });
  };

  /** The gradients of the mean squared error are added up; gives that error. */
  const look = async (optimiser: AdamW): Promise<number> => {
    const tape = new Tape(optimiser.gradients);
    const errors = tape.record(() => {
      using scope = tensorScope();
      return scope.keep(squaredError(linear(tensor(device, xs, [N, 1]), slope, intercept), tensor(device, ys, [N, 1])));
    });
    const weights = tensor(device, new Float32Array(N).fill(1 / N), errors.shape);
    tape.backward(errors, weights);
    const all = await errors.read();
    for (const made of [weights, errors]) made.dispose();
    return all.reduce((sum, error) => sum + error, 0) / N;
  };

  it("fits slope and intercept to the least-squares answer", async () => {
    const before = device.memory();
    const optimiser = optimiserWith(0);
    const schedule = { steps: 400, warmup: 10, learningRate: 0.1, leastLearningRate: 0 };
    for (let step = 1; step <= schedule.steps; step++) {
      optimiser.clearGradients();
      await look(optimiser);
      optimiser.step(learningRateAt(schedule, step), 1);
    }
    const exact = leastSquares();
    expect((await readWeights(device, slope))[0]).toBeCloseTo(exact.slope, 3);
    expect((await intercept.read())[0]).toBeCloseTo(exact.intercept, 3);
    optimiser.clearGradients();
    await look(optimiser);
    expect(await optimiser.gradientNorm()).toBeLessThan(1e-3); // it stands still
    optimiser.dispose();
    expect(device.memory()).toEqual(before);
  });

  it("steps as written: decay for what decays, memories, and their young years", async () => {
    const set = (a: number, b: number): void => {
      device.writeMatrix(slope, Float32Array.of(a), { output: 0, outputs: 1, input: 0, inputs: 1, order: "outputs-first" });
      device.write(intercept.buffer, Float32Array.of(b));
    };
    set(2, 3);
    const optimiser = optimiserWith(0.1);
    const [expected, m, v] = [
      [2, 3],
      [0, 0],
      [0, 0],
    ];
    for (let step = 1; step <= 3; step++) {
      optimiser.clearGradients();
      await look(optimiser);
      const gradients: number[] = [];
      for (const { gradient } of optimiser.trained) gradients.push((await readWeights(device, gradient))[0]);
      expect(await optimiser.gradientNorm()).toBeCloseTo(Math.hypot(...gradients), 4);
      optimiser.step(0.01, 0.5);
      gradients.forEach((gradient, i) => {
        const g = 0.5 * gradient;
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.95 * v[i] + 0.05 * g * g;
        if (i === 0) expected[i] -= 0.01 * 0.1 * expected[i];
        expected[i] -= (0.01 * (m[i] / (1 - 0.9 ** step))) / (Math.sqrt(v[i] / (1 - 0.95 ** step)) + 1e-8);
      });
      expect((await readWeights(device, slope))[0]).toBeCloseTo(expected[0], 5);
      expect((await intercept.read())[0]).toBeCloseTo(expected[1], 5);
    }
    expect(optimiser.steps).toBe(3);
    optimiser.dispose();
  });

  it("adds gradients up until they are cleared", async () => {
    const optimiser = optimiserWith(0);
    await look(optimiser);
    const once = await optimiser.gradientNorm();
    await look(optimiser);
    expect(await optimiser.gradientNorm()).toBeCloseTo(2 * once, 4);
    optimiser.clearGradients();
    expect(await optimiser.gradientNorm()).toBe(0);
    optimiser.dispose();
  });
});
