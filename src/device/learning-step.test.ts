/**
 * The one test body of all devices for what happens around the backward pass: dropout, clearing and measuring gradients, AdamW.
 * Dropout's mask is compared with arithmetic on big integers, AdamW with PyTorch's documented formulas in fp64.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices, threadPairs } from "./devices.testing.ts";
import type { Device } from "./device.ts";
import { Bench, compute, expectClose, integersBelow, numbers, property, seed, width } from "./kernel-cases.testing.ts";
import { computeAll, readWeights, written } from "./training-cases.testing.ts";
import type { AdamStep, Weights } from "./training-kernels.ts";

describe.each(devices)("learning step on device $name", ({ open }) => {
  let device: Device;

  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  describe("dropout", () => {
    const dropped = (x: Float32Array, rate: number, seed: number, inPlace = false): Promise<Float32Array> =>
      compute(device, (bench) => {
        const input = bench.put(x);
        const out = inPlace ? input : written(bench, x.length);
        device.kernels.dropout(out, input, rate, seed, x.length);
        return out;
      });

    test("keeps the numbers that the hash of their place keeps, and scales them", () =>
      property(
        fc.record({
          length: fc.integer({ min: 1, max: 300 }),
          rate: fc.constantFrom(0, 0.1, 0.25, 0.5, 0.9),
          seed: fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }),
          inPlace: fc.boolean(),
        }),
        async ({ length, rate, seed, inPlace }) => {
          const x = numbers(length, length).map((v) => v + 2);
          const out = await dropped(x, rate, seed, inPlace);
          const expected = x.map((v, i) => (BigInt(Math.ceil(rate * 2 ** 32)) <= hashAt(seed, i) ? v / (1 - rate) : 0));
          expect(Array.from(out.slice(0, length), (v) => v === 0)).toEqual(Array.from(expected, (v) => v === 0));
          expectClose(out.slice(0, length), expected, 2e-7);
          expect(out.slice(length).every(Number.isNaN)).toBe(true);
        },
      ));

    test("at the edge: the first number is dropped just below rate * 2^32, and kept from there on", async () => {
      for (const rate of [0.1, 0.2, 0.3, 0.5, 0.7]) {
        const least = Math.ceil(rate * 2 ** 32);
        const one = Float32Array.of(1);
        expect(hashAt(seedOf(least), 0)).toBe(BigInt(least));
        expect((await dropped(one, rate, seedOf(least)))[0]).toBeCloseTo(1 / (1 - rate), 5);
        expect((await dropped(one, rate, seedOf(least - 1)))[0]).toBe(0);
      }
    });

    test("keeps the share that it should, and other numbers for another seed", async () => {
      const length = 60_001;
      const ones = new Float32Array(length).fill(1);
      for (const rate of [0.1, 0.5]) {
        const [out, other] = [await dropped(ones, rate, 12345), await dropped(ones, rate, 12346)];
        const kept = out.slice(0, length).filter((v) => v !== 0).length;
        expect(Math.abs(kept / length - (1 - rate))).toBeLessThan(4 * Math.sqrt((rate * (1 - rate)) / length)); // four standard deviations
        const differ = out.slice(0, length).filter((v, i) => v !== other[i]).length;
        expect(Math.abs(differ / length - 2 * rate * (1 - rate))).toBeLessThan(0.01);
      }
    });

    test("what is dropped is 0 even when it is not a number; at rate 0 nothing changes", async () => {
      const out = await dropped(new Float32Array(200).fill(NaN), 0.5, 1);
      expect(Array.from(out.slice(0, 200), (v) => (v === 0 ? 0 : 1))).toEqual(
        Array.from({ length: 200 }, (_, i) => (hashAt(1, i) < 2n ** 31n ? 0 : 1)),
      );
      expect((await dropped(numbers(1, 77), 0, 3)).slice(0, 77)).toEqual(numbers(1, 77));
    });
  });

  test("scale multiplies, in place or not", () =>
    property(fc.record({ length: fc.integer({ min: 1, max: 300 }), inPlace: fc.boolean(), seed }), async ({ length, inPlace, seed }) => {
      const [x, factor] = [numbers(seed, length), Math.fround(numbers(seed + 1, 1, 9)[0])];
      const out = await compute(device, (bench) => {
        const input = bench.put(x);
        const out = inPlace ? input : written(bench, length);
        device.kernels.scale(out, input, factor, length);
        return out;
      });
      expect(out.slice(0, length)).toEqual(x.map((v) => v * factor));
      expect(out.slice(length).every(Number.isNaN)).toBe(true);
    }));

  /** The same numbers as a matrix and as a vector. */
  const both = (bench: Bench, values: Float32Array, outputs: number, inputs: number): readonly [Weights, Weights] => [
    bench.matrix(values, outputs, inputs),
    bench.put(values),
  ];

  test("clear leaves zeros, of NaN too", () =>
    property(fc.record({ outputs: width, inputs: width, seed }), async ({ outputs, inputs, seed }) => {
      const values = numbers(seed, outputs * inputs).fill(NaN, 0, 1);
      const found = await computeAll(device, (bench) => {
        const all = both(bench, values, outputs, inputs);
        for (const weights of all) device.kernels.clear(weights);
        return all;
      });
      for (const zeros of found) expect(zeros.every((v) => v === 0)).toBe(true);
    }));

  describe("sum of squares", () => {
    const sumsOf = (values: Float32Array, outputs: number): Promise<Float32Array> =>
      compute(device, (bench) => {
        const out = bench.room(4);
        for (const [i, weights] of both(bench, values, outputs, values.length / outputs).entries()) device.kernels.sumOfSquares(out, 1 + i, weights);
        return out;
      });

    test("is that of all numbers, at its place", () =>
      property(fc.record({ outputs: width, inputs: width, seed }), async ({ outputs, inputs, seed }) => {
        const values = numbers(seed, outputs * inputs, 5);
        const expected = values.reduce((total, v) => total + v * v, 0);
        const [before, ofMatrix, ofVector, after] = await sumsOf(values, outputs);
        expect([before, after]).toEqual([NaN, NaN]);
        expectRelative([ofMatrix, ofVector], [expected, expected], 1e-5);
      }));

    test("keeps its digits over many numbers", async () => {
      const values = numbers(1, 500 * 601);
      const expected = values.reduce((total, v) => total + v * v, 0);
      expectRelative((await sumsOf(values, 500)).slice(1, 3), [expected, expected], 1e-5);
    });

    test("one NaN or infinity is noticed, wherever it is", () =>
      property(
        fc.record({ outputs: width, inputs: width, at: fc.nat(), bad: fc.constantFrom(NaN, Infinity, -Infinity), seed }),
        async ({ outputs, inputs, at, bad, seed }) => {
          const values = numbers(seed, outputs * inputs);
          values[at % values.length] = bad;
          const [, ofMatrix, ofVector] = await sumsOf(values, outputs);
          for (const sum of [ofMatrix, ofVector]) expect(Number.isNaN(bad) ? Number.isNaN(sum) : !Number.isFinite(sum)).toBe(true);
        },
      ));

    test("sees a gradient that was added up in a matrix as it reads back: padding counts nothing", () =>
      property(fc.record({ outputs: width, inputs: width, rows: width, seed }), async ({ outputs, inputs, rows, seed }) => {
        const [sum, read] = await computeAll(device, (bench) => {
          const [out, dW] = [bench.room(1), bench.matrix(new Float32Array(outputs * inputs), outputs, inputs)];
          const [dY, x] = [bench.put(numbers(seed, rows * outputs)), bench.put(numbers(seed + 1, rows * inputs))];
          device.kernels.linearBackwardWeights(dW, dY, x, rows);
          device.kernels.embedBackward(dW, x, bench.put(integersBelow(seed, rows, outputs)), rows);
          device.kernels.sumOfSquares(out, 0, dW);
          return [out, dW];
        });
        expectRelative(sum, [read.reduce((total, v) => total + v * v, 0)], 1e-5);
      }));
  });

  describe("AdamW", () => {
    const adamCase = fc.record({
      outputs: fc.integer({ min: 1, max: 40 }),
      inputs: fc.integer({ min: 1, max: 40 }),
      asMatrix: fc.boolean(),
      weightDecay: fc.constantFrom(0, 0.1),
      gradientScale: fc.constantFrom(1, 0.03),
      learningRate: fc.constantFrom(1e-2, 3e-4),
      firstStep: fc.constantFrom(1, 2, 1000),
      betas: fc.constantFrom([0.9, 0.95], [0.9, 0.999], [0.5, 0.99]),
      seed,
    });

    test("five steps follow PyTorch's formulas: weights, both memories, gradients untouched", () =>
      property(adamCase, async ({ outputs, inputs, asMatrix, firstStep, betas: [beta1, beta2], seed, ...rest }) => {
        const length = outputs * inputs;
        const bench = new Bench(device);
        const place = (values: Float32Array): Weights => (asMatrix ? bench.matrix(values, outputs, inputs) : bench.put(values));
        const start = numbers(seed, length, 0.5);
        const [w, m, v] = [place(start), place(new Float32Array(length)), place(new Float32Array(length))];
        const expected = { w: Float64Array.from(start), m: new Float64Array(length), v: new Float64Array(length) };
        for (let i = 0; i < 5; i++) {
          const step = { ...rest, beta1, beta2, epsilon: 1e-8, step: firstStep + i };
          const gradient = numbers(seed + 1 + i, length, 2);
          gradient[0] = 0; // as a token that never came
          const given = place(gradient);
          device.kernels.adamW(w, given, m, v, step);
          adamAsPyTorch(expected, gradient, step);
          expect(await readWeights(device, given)).toEqual(gradient);
        }
        const found = await Promise.all([w, m, v].map((weights) => readWeights(device, weights)));
        bench.clear();
        const moved = found[0].map((value, i) => (value - start[i]) / rest.learningRate);
        expectClose(found[0], expected.w, 5e-7);
        expectClose(
          moved,
          expected.w.map((value, i) => (value - start[i]) / rest.learningRate),
          rest.learningRate > 1e-3 ? 5e-5 : 2e-3, // what fp32 leaves of a small change
        );
        expectClose(
          found[1].map((value) => value / rest.gradientScale),
          expected.m.map((value) => value / rest.gradientScale),
          1e-6,
        );
        expectRelative(found[2], expected.v, 5e-6); // 1 - 0.999 in fp32 would be off by 1e-5
      }));

    test("the first step moves every weight by the learning rate against its gradient's sign, however small the gradient", async () => {
      const gradient = Float32Array.of(3, -3, 1e-3, -1e-3, 1e4, -1e4, 0);
      const found = await compute(device, (bench) => {
        const [w, m, v] = [bench.put(new Float32Array(7)), bench.put(new Float32Array(7)), bench.put(new Float32Array(7))];
        const step = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, step: 1, gradientScale: 1 };
        device.kernels.adamW(w, bench.put(gradient), m, v, step);
        return w;
      });
      expectRelative(
        found,
        Array.from(gradient, (g) => -0.01 * Math.sign(g)),
        3e-5,
      );
    });

    test("a matrix learns what a vector of the same numbers learns", () =>
      property(fc.record({ outputs: width, inputs: width, seed }), async ({ outputs, inputs, seed }) => {
        const length = outputs * inputs;
        const [matrix, vector] = await computeAll(device, (bench) => {
          const [w, g, m, v] = [0, 1, 2, 3].map((i) => both(bench, numbers(seed + i, length).map(i === 3 ? Math.abs : (x) => x), outputs, inputs));
          const step = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, step: 3, gradientScale: 0.5 };
          for (const kind of [0, 1]) device.kernels.adamW(w[kind], g[kind], m[kind], v[kind], step);
          return w;
        });
        expectClose(matrix, vector, 1e-7);
      }));
  });
});

/** mix32(seed + i * 0x9e3779b9), the finaliser of MurmurHash3, in integers of any size. */
function hashAt(seed: number, i: number): bigint {
  const word = (x: bigint): bigint => BigInt.asUintN(32, x);
  let h = word(BigInt(seed) + BigInt(i) * 0x9e3779b9n);
  h = word((h ^ (h >> 16n)) * 0x85ebca6bn);
  h = word((h ^ (h >> 13n)) * 0xc2b2ae35n);
  return h ^ (h >> 16n);
}

/** The seed whose number 0 has that hash: each line of the finaliser can be undone. */
function seedOf(hash: number): number {
  const word = (x: bigint): bigint => BigInt.asUintN(32, x);
  let h = BigInt(hash);
  h ^= h >> 16n;
  h = word(h * 0x7ed1b41dn); // 1 / 0xc2b2ae35 modulo 2^32
  h ^= (h >> 13n) ^ (h >> 26n);
  h = word(h * 0xa5cb9243n); // 1 / 0x85ebca6b
  h ^= h >> 16n;
  return Number(BigInt.asIntN(32, h));
}

/** torch.optim.AdamW's documentation, line by line. */
function adamAsPyTorch({ w, m, v }: Record<"w" | "m" | "v", Float64Array>, gradient: Float32Array, step: AdamStep): void {
  for (let i = 0; i < w.length; i++) {
    const g = step.gradientScale * gradient[i];
    w[i] *= 1 - step.learningRate * step.weightDecay;
    m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1 - step.beta2) * g ** 2;
    const [mHat, vHat] = [m[i] / (1 - step.beta1 ** step.step), v[i] / (1 - step.beta2 ** step.step)];
    w[i] -= (step.learningRate * mHat) / (Math.sqrt(vHat) + step.epsilon);
  }
}

/** Equal up to `tolerance` of the expected number itself. */
function expectRelative(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expectClose(
    Array.from(actual, (value, i) => (expected[i] === 0 ? value : value / expected[i])),
    Array.from(expected, (value) => (value === 0 ? 0 : 1)),
    tolerance,
  );
}

describe.each(threadPairs)("learning step, $name", ({ open }) => {
  test("is the same to the last bit", async () => {
    const opened = await Promise.all(open.map((one) => one()));
    const length = 201 * 333;
    const [first, ...others] = await Promise.all(
      opened.map((device) =>
        computeAll(device, (bench) => {
          const [w, g, m, v] = [1, 2, 3, 4].map((i) => bench.matrix(numbers(i, length).map(Math.abs), 201, 333));
          const [sums, x] = [bench.room(1), bench.put(numbers(5, length))];
          device.kernels.sumOfSquares(sums, 0, g);
          device.kernels.adamW(w, g, m, v, {
            learningRate: 0.01,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weightDecay: 0.1,
            step: 3,
            gradientScale: 0.5,
          });
          device.kernels.dropout(x, x, 0.1, 77, length);
          return [w, m, v, sums, x];
        }),
      ),
    );
    for (const other of others)
      for (const [i, values] of other.entries()) expect(Buffer.compare(Buffer.from(values.buffer), Buffer.from(first[i].buffer))).toBe(0);
    for (const device of opened) device.dispose();
  });
});
