/**
 * The one test body of all devices for the backward kernels: equality with `reference` on random shapes with odd sizes and tails,
 * what is written and what is added to, and the laws that hold whatever the numbers.
 * That the reference is right is reference/training.test.ts's; the optimiser's step is learning-step.test.ts's.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices, threadPairs } from "./devices.testing.ts";
import type { Device } from "./device.ts";
import type { Bench } from "./kernel-cases.testing.ts";
import { expectClose, integersBelow, numbers, property, rotaryTables, rows, seed, width } from "./kernel-cases.testing.ts";
import {
  activation,
  addedTo,
  attentionGradients,
  computeAll,
  expectSame,
  fromTheStart,
  spreadRows,
  trainingAttentionCase,
  written,
} from "./training-cases.testing.ts";
import type { Weights } from "./training-kernels.ts";
import { openReference } from "./reference/reference.ts";

describe.each(devices)("backward on device $name", ({ open }) => {
  let device: Device;
  let reference: Device;

  beforeAll(async () => {
    device = await open();
    reference = openReference();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  /** Runs the same work here and on the reference. */
  const matches = (work: (bench: Bench) => readonly Weights[], tolerance?: number): Promise<void> => expectSame(device, reference, work, tolerance);

  describe("linear", () => {
    const gradients =
      (c: { readonly rows: number; readonly inputs: number; readonly outputs: number; readonly seed: number }) =>
      (bench: Bench): readonly Weights[] => {
        const { kernels } = bench.device;
        const [dY, x] = [bench.put(numbers(c.seed, c.rows * c.outputs)), bench.put(numbers(c.seed + 1, c.rows * c.inputs))];
        const W = bench.matrix(numbers(c.seed + 2, c.outputs * c.inputs), c.outputs, c.inputs);
        const dX = written(bench, c.rows * c.inputs);
        const dW = bench.matrix(numbers(c.seed + 3, c.outputs * c.inputs), c.outputs, c.inputs);
        const dB = addedTo(bench, c.outputs, c.seed);
        kernels.linearBackwardInput(dX, dY, W, c.rows);
        kernels.linearBackwardWeights(dW, dY, x, c.rows);
        kernels.sumRows(dB, dY, c.rows, c.outputs);
        return [dX, dW, dB];
      };

    test("input's is written, weights' and bias's are added to, as on the reference", () =>
      property(fc.record({ rows, inputs: width, outputs: width, seed }), (c) => matches(gradients(c))));

    test("on sizes beyond every tile and block", async () => {
      for (const [rows, inputs, outputs] of [
        [1, 700, 333],
        [3, 513, 129],
        [101, 300, 65],
        [20, 1, 257],
        [97, 260, 48],
        [530, 33, 18],
        [2, 5, 2050],
      ])
        await matches(gradients({ rows, inputs, outputs, seed: rows }), 3e-5);
    });

    test("a matrix and its gradient keep the same order: dW of a unit dY and a unit x is one number in its place", async () => {
      const [outputs, inputs] = [37, 19];
      for (const [output, input] of [
        [0, 0],
        [36, 18],
        [16, 7],
      ]) {
        const unit = (length: number, at: number): Float32Array => new Float32Array(length).fill(1, at, at + 1);
        const [found] = await computeAll(device, (bench) => {
          const dW = bench.matrix(new Float32Array(outputs * inputs), outputs, inputs);
          device.kernels.linearBackwardWeights(dW, bench.put(unit(outputs, output)), bench.put(unit(inputs, input)), 1);
          return [dW];
        });
        expect(found).toEqual(unit(outputs * inputs, output * inputs + input));
      }
    });

    test("is the transpose of linear: dY.(W x) = (dY W).x", () =>
      property(fc.record({ rows, inputs: width, outputs: width, seed }), async ({ rows, inputs, outputs, seed }) => {
        const [x, dY] = [numbers(seed, rows * inputs), numbers(seed + 1, rows * outputs)];
        const [y, dX] = await computeAll(device, (bench) => {
          const W = bench.matrix(numbers(seed + 2, outputs * inputs), outputs, inputs);
          const [y, dX] = [bench.room(rows * outputs), bench.room(rows * inputs)];
          device.kernels.linear(y, bench.put(x), W, null, null, null, rows);
          device.kernels.linearBackwardInput(dX, bench.put(dY), W, rows);
          return [y, dX];
        });
        expectClose([dot(dX, x)], [dot(dY, y)], 1e-4);
      }));
  });

  test("embed: rows that come often are added up, rows that never come stay", () =>
    property(fc.record({ V: width, C: width, rows, often: fc.boolean(), seed }), ({ V, C, rows, often, seed }) =>
      matches((bench) => {
        const dTable = bench.matrix(numbers(seed, V * C), V, C);
        const ids = bench.put(integersBelow(seed + 1, rows, often ? Math.min(V, 3) : V));
        bench.device.kernels.embedBackward(dTable, bench.put(numbers(seed + 2, rows * C)), ids, rows);
        return [dTable];
      }),
    ));

  describe("norms", () => {
    const normCase = fc.record({
      rows,
      width,
      kind: fc.constantFrom("layer" as const, "rms" as const),
      learned: fc.constantFrom("all" as const, "weight" as const, "bias" as const, "none" as const),
      inPlace: fc.boolean(),
      seed,
    });
    const gradients =
      (c: typeof normCase extends fc.Arbitrary<infer N> ? N : never, values: Float32Array) =>
      (bench: Bench): readonly Weights[] => {
        const { kernels } = bench.device;
        const [x, weight] = [bench.put(values), bench.put(numbers(c.seed + 1, c.width))];
        const dY = bench.put(numbers(c.seed + 2, values.length));
        const dX = c.inPlace ? dY : written(bench, values.length);
        const dWeight = c.learned === "all" || c.learned === "weight" ? addedTo(bench, c.width, c.seed) : null;
        const dBias = c.learned === "all" || c.learned === "bias" ? addedTo(bench, c.width, c.seed + 1) : null;
        if (c.kind === "layer") kernels.layerNormBackward(dX, dWeight, dBias, dY, x, weight, c.rows, c.width, 1e-5);
        else kernels.rmsNormBackward(dX, dWeight, dY, x, weight, c.rows, c.width, 1e-6);
        const bias = c.kind === "layer" ? dBias : null;
        return [dX, dWeight, bias].filter((result) => result !== null);
      };

    test("equal reference, in place or not, whatever is learned", () =>
      property(normCase, (c) => matches(gradients(c, spreadRows(c.seed, c.rows, c.width)), 3e-5)));

    test("on wide and on many rows", async () => {
      for (const [rows, width] of [
        [3, 1030],
        [300, 37],
      ])
        for (const kind of ["layer", "rms"] as const)
          await matches(gradients({ rows, width, kind, learned: "all", inPlace: false, seed: 1 }, spreadRows(1, rows, width)), 1e-4);
    });

    test("rows of zeros give finite gradients", async () => {
      for (const kind of ["layer", "rms"] as const) {
        const c = { rows: 3, width: 21, kind, learned: "all", inPlace: false, seed: 1 } as const;
        const [dX] = await computeAll(device, gradients(c, new Float32Array(63)));
        const [expected] = await computeAll(reference, gradients(c, new Float32Array(63)));
        expect(dX.slice(0, 63).every(Number.isFinite)).toBe(true);
        expectClose(
          dX.map((d) => d / 1000), // 1 / sqrt(epsilon), by which they are steep
          expected.map((d) => d / 1000),
          1e-5,
        );
      }
    });

    test("layer norm's gradient does not move a row's mean; neither moves along its direction", () =>
      property(fc.record({ rows, width: fc.integer({ min: 3, max: 70 }), seed }), async ({ rows, width, seed }) => {
        const x = spreadRows(seed, rows, width);
        for (const kind of ["layer", "rms"] as const) {
          const [dX] = await computeAll(device, gradients({ rows, width, kind, learned: "none", inPlace: false, seed }, x));
          for (let r = 0; r < rows; r++) {
            const [row, d] = [x.slice(r * width, (r + 1) * width), dX.slice(r * width, (r + 1) * width)];
            if (kind === "layer") expect(d.reduce((a, b) => a + b)).toBeCloseTo(0, 4);
            expect(dot(row, d)).toBeCloseTo(0, 2);
          }
        }
      }));
  });

  describe("activations", () => {
    const allMagnitudes = Float32Array.from([
      ...numbers(1, 999, 8),
      0,
      -0,
      1e-8,
      -1e-8,
      5.5,
      -5.5,
      12,
      -12,
      30,
      -30,
      89,
      -89,
      1e4,
      -1e4,
      1e30,
      -1e30,
    ]);

    test("equal reference over all magnitudes, in place or not", async () => {
      for (const kind of ["gelu", "gelu_new", "silu", "relu"] as const)
        for (const inPlace of [false, true])
          await matches((bench) => {
            const dY = bench.put(numbers(2, allMagnitudes.length, 3));
            const dX = inPlace ? dY : written(bench, allMagnitudes.length);
            bench.device.kernels.activateBackward(dX, dY, bench.put(allMagnitudes), kind, allMagnitudes.length);
            return [dX];
          }, 4e-6);
    });

    test("gate equals reference, in place of x or not", () =>
      property(fc.record({ rows, width, activation, inPlace: fc.boolean(), seed }), ({ rows, width, activation, inPlace, seed }) =>
        matches((bench) => {
          const x = bench.put(numbers(seed, 2 * rows * width, 4));
          const dX = inPlace ? x : written(bench, 2 * rows * width);
          bench.device.kernels.gateBackward(dX, bench.put(numbers(seed + 1, rows * width)), x, activation, rows, width);
          return [dX];
        }, 1e-5),
      ));
  });

  describe("placing columns", () => {
    test("puts back what columns cut, written or added to, and touches nothing else", () =>
      property(
        fc.record({ rows, width, before: width, after: fc.integer({ min: 0, max: 9 }), accumulate: fc.boolean(), seed }),
        async ({ rows, width, before, after, accumulate, seed }) => {
          const all = before + width + after;
          const [x, there] = [numbers(seed, rows * width), numbers(seed + 1, rows * all)];
          const expected = there.map((value, i) => {
            const [r, c] = [Math.floor(i / all), (i % all) - before];
            return c < 0 || c >= width ? value : x[r * width + c] + (accumulate ? value : 0);
          });
          const [out] = await computeAll(device, (bench) => {
            const out = bench.put(there);
            device.kernels.placeColumns(out, bench.put(x), rows, all, before, width, accumulate);
            return [out];
          });
          expect(out).toEqual(expected);
        },
      ));

    test("what was there is overwritten, though it was not a number", async () => {
      const [out] = await computeAll(device, (bench) => {
        const out = bench.room(6);
        device.kernels.placeColumns(out, bench.put(Float32Array.of(1, 2, 3, 4)), 2, 3, 1, 2, false);
        return [out];
      });
      expect(out).toEqual(Float32Array.of(NaN, 1, 2, NaN, 3, 4));
    });
  });

  describe("rotary positions", () => {
    const ropeCase = fc.record({
      B: fc.integer({ min: 1, max: 3 }),
      T: fc.integer({ min: 1, max: 6 }),
      heads: fc.integer({ min: 1, max: 4 }),
      half: fc.integer({ min: 1, max: 20 }),
      rest: fc.constantFrom(0, 0, 1, 8),
      inPlace: fc.boolean(),
      past: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 3, maxLength: 3 }),
      seed,
    });
    test("turn back: equal reference, and rope's turn is undone", () =>
      property(ropeCase, async ({ B, T, heads, half, rest, inPlace, past, seed }) => {
        const [rotary, D] = [2 * half, 2 * half + rest];
        const x = numbers(seed, B * T * heads * D);
        const backward =
          (turnFirst: boolean) =>
          (bench: Bench): readonly Weights[] => {
            const { kernels } = bench.device;
            const [dY, tables, start] = [bench.put(x), bench.put(rotaryTables(64, rotary)), bench.put(Int32Array.from(past))];
            if (turnFirst) kernels.rope(dY, dY, tables, start, B, T, heads, D, rotary);
            const dX = inPlace ? dY : written(bench, x.length);
            kernels.ropeBackward(dX, dY, tables, start, B, T, heads, D, rotary);
            return [dX];
          };
        await matches(backward(false), 2e-6);
        const [undone] = await computeAll(device, backward(true));
        expectClose(undone.slice(0, x.length), x, 2e-6);
      }));
  });

  describe("attention", () => {
    test("equals reference, with grouped heads and windows, in caches that are longer", () =>
      property(trainingAttentionCase, (c) => matches((bench) => attentionGradients(bench, c), 3e-5)));

    test("on sequences longer than any block, with and without a window", async () => {
      for (const [T, D, window] of [
        [70, 16, 0],
        [33, 80, 5],
        [130, 24, 0],
        [130, 64, 40],
        [259, 8, 0],
      ]) {
        const c = { B: 2, T, KV: 2, H: 4, D, window, past: [0, 0], S: T, capacity: T + 3, seed: T };
        await matches((bench) => attentionGradients(bench, c), 5e-5);
      }
    });

    test("with scores that leave almost all weight to one key", () => matches((bench) => attentionGradients(bench, fromTheStart(steep), 8), 5e-4));

    test("what a value gets is shared out among those who looked: dV sums to dY", () =>
      property(trainingAttentionCase, async (c) => {
        const [, , dV] = await computeAll(device, (bench) => attentionGradients(bench, c));
        const dY = numbers(c.seed + 3, c.B * c.T * c.H * c.D);
        for (let i = 0; i < c.D; i++) {
          const sumAt = (values: Float32Array, length: number): number =>
            values.slice(0, length).reduce((total, value, at) => total + (at % c.D === i ? value : 0), 0);
          expectClose([sumAt(dV, c.B * c.T * c.KV * c.D)], [sumAt(dY, dY.length)], 1e-4);
        }
      }));
  });

  describe("losses", () => {
    const lossCase = fc.record({ rows, width, scale: fc.constantFrom(1, 20, 1e4), inPlace: fc.boolean(), seed });
    /** From -1, which counts for nothing, to the last. */
    const targetsOf = (seed: number, rows: number, width: number): Int32Array => integersBelow(seed, rows, width + 1).map((id) => id - 1);

    test("cross-entropy equals reference, in place or not; targets of -1 give 0, forward and backward", () =>
      property(lossCase, async ({ rows, width, scale, inPlace, seed }) => {
        const targets = targetsOf(seed + 1, rows, width);
        const work = (bench: Bench): readonly Weights[] => {
          const { kernels } = bench.device;
          const [logits, target] = [bench.put(numbers(seed, rows * width, scale)), bench.put(targets)];
          const losses = written(bench, rows);
          kernels.crossEntropy(losses, logits, target, rows, width);
          const dLogits = inPlace ? logits : written(bench, rows * width);
          kernels.crossEntropyBackward(dLogits, bench.put(numbers(seed + 2, rows, 3)), logits, target, rows, width);
          return [losses, dLogits];
        };
        await matches(work);
        const [losses, dLogits] = await computeAll(device, work);
        for (let r = 0; r < rows; r++) {
          const row = dLogits.slice(r * width, (r + 1) * width);
          if (targets[r] === -1) expect([losses[r], ...row]).toEqual(Array<number>(1 + width).fill(0));
          else expect(row.reduce((a, b) => a + b)).toBeCloseTo(0, 4); // a constant added to all logits changes nothing
        }
      }));

    test("cross-entropy of a vocabulary of logits", () =>
      matches((bench) => {
        const [rows, V] = [3, 50257];
        const dLogits = written(bench, rows * V);
        const [logits, targets] = [bench.put(numbers(3, rows * V, 20)), bench.put(Int32Array.of(50256, -1, 0))];
        bench.device.kernels.crossEntropyBackward(dLogits, bench.put(Float32Array.of(0.5, 9, -1)), logits, targets, rows, V);
        return [dLogits];
      }, 1e-6));

    test("squared error equals reference", () =>
      property(fc.record({ length: fc.integer({ min: 1, max: 300 }), seed }), ({ length, seed }) =>
        matches((bench) => {
          const [x, y] = [bench.put(numbers(seed, length, 3)), bench.put(numbers(seed + 1, length, 3))];
          const [out, dX] = [written(bench, length), written(bench, length)];
          bench.device.kernels.squaredError(out, x, y, length);
          bench.device.kernels.squaredErrorBackward(dX, bench.put(numbers(seed + 2, length)), x, y, length);
          return [out, dX];
        }, 2e-6),
      ));
  });
});

const steep = { B: 1, T: 40, KV: 1, H: 2, D: 12, window: 0, past: [0], S: 40, capacity: 40, seed: 7 };

function dot(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += x[i] * y[i];
  return total;
}

describe.each(threadPairs)("backward, $name", ({ open }) => {
  /** Large enough that every kernel has work to share out, and several threads want to add to the same sums. */
  const works: Record<string, (bench: Bench) => readonly Weights[]> = {
    linear: (bench) => {
      const [rows, inputs, outputs] = [301, 130, 215];
      const [dY, dX] = [bench.put(numbers(1, rows * outputs)), bench.room(rows * inputs)];
      const dW = bench.matrix(numbers(2, outputs * inputs), outputs, inputs);
      const dB = bench.put(numbers(3, outputs));
      bench.device.kernels.linearBackwardInput(dX, dY, bench.matrix(numbers(4, outputs * inputs), outputs, inputs), rows);
      bench.device.kernels.linearBackwardWeights(dW, dY, bench.put(numbers(5, rows * inputs)), rows);
      bench.device.kernels.sumRows(dB, dY, rows, outputs);
      return [dX, dW, dB];
    },
    embed: (bench) => {
      const dTable = bench.matrix(numbers(1, 40 * 300), 40, 300);
      bench.device.kernels.embedBackward(dTable, bench.put(numbers(2, 700 * 300)), bench.put(integersBelow(3, 700, 40)), 700);
      return [dTable];
    },
    norms: (bench) => {
      const [rows, width] = [300, 259];
      const [x, dY, weight] = [bench.put(numbers(1, rows * width, 9)), bench.put(numbers(2, rows * width)), bench.put(numbers(3, width))];
      const [dX, dWeight, dBias, dXRms, dWeightRms] = [rows * width, width, width, rows * width, width].map((n, i) => bench.put(numbers(i, n)));
      bench.device.kernels.layerNormBackward(dX, dWeight, dBias, dY, x, weight, rows, width, 1e-5);
      bench.device.kernels.rmsNormBackward(dXRms, dWeightRms, dY, x, weight, rows, width, 1e-6);
      return [dX, dWeight, dBias, dXRms, dWeightRms];
    },
    attention: (bench) => attentionGradients(bench, { B: 2, T: 133, KV: 3, H: 6, D: 32, window: 0, past: [0, 0], S: 133, capacity: 140, seed: 1 }),
    "gate and activation": (bench) => {
      const [x, dY] = [bench.put(numbers(1, 60 * 2002, 9)), bench.put(numbers(2, 60 * 1001))];
      bench.device.kernels.gateBackward(x, dY, x, "silu", 60, 1001);
      bench.device.kernels.activateBackward(dY, dY, x, "gelu", 60 * 1001);
      return [x, dY];
    },
    "cross-entropy": (bench) => {
      const logits = bench.put(numbers(1, 41 * 5003, 9));
      bench.device.kernels.crossEntropyBackward(logits, bench.put(numbers(2, 41)), logits, bench.put(integersBelow(3, 41, 5003)), 41, 5003);
      return [logits];
    },
  };
  test.each(Object.keys(works))("%s is the same to the last bit", async (name) => {
    const opened = await Promise.all(open.map((one) => one()));
    const [first, ...others] = await Promise.all(opened.map((device) => computeAll(device, works[name])));
    for (const other of others)
      for (const [i, values] of other.entries()) expect(Buffer.compare(Buffer.from(values.buffer), Buffer.from(first[i].buffer))).toBe(0);
    for (const device of opened) device.dispose();
  });
});
