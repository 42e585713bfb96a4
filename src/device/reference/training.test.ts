/**
 * The reference's backward kernels are the slopes of its forward kernels: each against finite differences, which know nothing of them.
 * That other devices agree with the reference is ../training.test.ts's.
 */
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { DeviceBuffer } from "../device.ts";
import type { Bench } from "../kernel-cases.testing.ts";
import { compute, expectClose, integersBelow, numbers, rotaryTables, seed } from "../kernel-cases.testing.ts";
import { activation, coarse, computeAll, slopes } from "../training-cases.testing.ts";
import type { Weights } from "../training-kernels.ts";
import { openReference } from "./reference.ts";

const reference = openReference();
const { kernels } = reference;

type Values = readonly Float32Array[];

interface Differentiable {
  readonly inputs: Values;
  /** The result, from its inputs. */
  readonly forward: (bench: Bench, inputs: Values) => DeviceBuffer;
  /** The gradients of all inputs, in their order, from that of the result. */
  readonly backward: (bench: Bench, dY: DeviceBuffer) => readonly Weights[];
}

/** The loss is a fixed random mix of the results, so its gradient with respect to them is that mix. */
async function expectSlopes({ inputs, forward, backward }: Differentiable): Promise<void> {
  const length = (await compute(reference, (bench) => forward(bench, inputs))).length;
  const mix = numbers(99, length);
  const loss = async (changed: Values): Promise<number> => {
    const y = await compute(reference, (bench) => forward(bench, changed));
    return y.reduce((total, value, i) => total + mix[i] * value, 0);
  };
  const gradients = await computeAll(reference, (bench) => backward(bench, bench.put(mix)));
  expect(gradients.length).toBe(inputs.length);
  for (const [n, input] of inputs.entries()) expectClose(gradients[n], await slopes(input, (x) => loss(inputs.with(n, x))), 1e-4);
}

const size = fc.integer({ min: 1, max: 5 });

function property<C>(cases: fc.Arbitrary<C>, differentiable: (c: C) => Differentiable): Promise<void> {
  return fc.assert(
    fc.asyncProperty(cases, (c) => expectSlopes(differentiable(c))),
    { numRuns: 12 },
  );
}

const zeros = (bench: Bench, length: number): DeviceBuffer => bench.put(new Float32Array(length));

describe("the reference's gradients are slopes:", () => {
  afterAll(() => expect(reference.memory()).toMatchObject({ buffers: 0, matrices: 0 }));

  test("linear: input, weights and bias", () =>
    property(fc.record({ rows: size, inputs: size, outputs: size, seed }), ({ rows, inputs, outputs, seed }) => {
      const [x, W, b] = [coarse(seed, rows * inputs), coarse(seed + 1, outputs * inputs), coarse(seed + 2, outputs)];
      return {
        inputs: [x, W, b],
        forward: (bench, [x, W, b]) => {
          const out = bench.room(rows * outputs);
          kernels.linear(out, bench.put(x), bench.matrix(W, outputs, inputs), bench.put(b), null, null, rows);
          return out;
        },
        backward: (bench, dY) => {
          const [dX, dW, dB] = [bench.room(x.length), bench.matrix(new Float32Array(W.length), outputs, inputs), zeros(bench, outputs)];
          kernels.linearBackwardInput(dX, dY, bench.matrix(W, outputs, inputs), rows);
          kernels.linearBackwardWeights(dW, dY, bench.put(x), rows);
          kernels.sumRows(dB, dY, rows, outputs);
          return [dX, dW, dB];
        },
      };
    }));

  test("embed, ids coming more than once", () =>
    property(fc.record({ V: size, C: size, rows: size, seed }), ({ V, C, rows, seed }) => {
      const ids = integersBelow(seed, rows, V);
      return {
        inputs: [coarse(seed, V * C)],
        forward: (bench, [table]) => {
          const out = bench.room(rows * C);
          kernels.embed(out, bench.matrix(table, V, C), bench.put(ids), rows);
          return out;
        },
        backward: (bench, dY) => {
          const dTable = bench.matrix(new Float32Array(V * C), V, C);
          kernels.embedBackward(dTable, dY, bench.put(ids), rows);
          return [dTable];
        },
      };
    }));

  const normCase = fc.record({ rows: size, width: fc.integer({ min: 1, max: 7 }), epsilon: fc.constantFrom(0.5, 1e-5), seed });
  /** Far from the place where all numbers of a row are equal (or 0): there a norm is too bent for differences. */
  const apart = (seed: number, rows: number, width: number): Float32Array => coarse(seed, rows * width).map((x, i) => x + (i % width === 0 ? 3 : 0));

  test("layer norm: input, weight and bias", () =>
    property(normCase, ({ rows, width, epsilon, seed }) => {
      const [x, weight] = [apart(seed, rows, width), coarse(seed + 1, width)];
      return {
        inputs: [x, weight, coarse(seed + 2, width)],
        forward: (bench, [x, weight, bias]) => {
          const out = bench.room(x.length);
          kernels.layerNorm(out, bench.put(x), bench.put(weight), bench.put(bias), rows, width, epsilon);
          return out;
        },
        backward: (bench, dY) => {
          const [dX, dWeight, dBias] = [bench.room(x.length), zeros(bench, width), zeros(bench, width)];
          kernels.layerNormBackward(dX, dWeight, dBias, dY, bench.put(x), bench.put(weight), rows, width, epsilon);
          return [dX, dWeight, dBias];
        },
      };
    }));

  test("rms norm: input and weight", () =>
    property(normCase, ({ rows, width, epsilon, seed }) => {
      const [x, weight] = [apart(seed, rows, width), coarse(seed + 1, width)];
      return {
        inputs: [x, weight],
        forward: (bench, [x, weight]) => {
          const out = bench.room(x.length);
          kernels.rmsNorm(out, bench.put(x), bench.put(weight), rows, width, epsilon);
          return out;
        },
        backward: (bench, dY) => {
          const [dX, dWeight] = [bench.room(x.length), zeros(bench, width)];
          kernels.rmsNormBackward(dX, dWeight, dY, bench.put(x), bench.put(weight), rows, width, epsilon);
          return [dX, dWeight];
        },
      };
    }));

  /** No number nearer to relu's kink than the widest step. */
  const besideTheKink = (seed: number, length: number): Float32Array => coarse(seed, length, 4).map((x) => x + (x < 0 ? -0.1 : 0.1));

  test("activations", () =>
    property(fc.record({ activation, seed }), ({ activation, seed }) => {
      const x = besideTheKink(seed, 30);
      return {
        inputs: [x],
        forward: (bench, [x]) => {
          const out = bench.room(x.length);
          kernels.activate(out, bench.put(x), activation, x.length);
          return out;
        },
        backward: (bench, dY) => {
          kernels.activateBackward(dY, dY, bench.put(x), activation, x.length); // in place
          return [dY];
        },
      };
    }));

  test("gate", () =>
    property(fc.record({ rows: size, width: size, activation, seed }), ({ rows, width, activation, seed }) => {
      const x = besideTheKink(seed, 2 * rows * width);
      return {
        inputs: [x],
        forward: (bench, [x]) => {
          const out = bench.room(rows * width);
          kernels.gate(out, bench.put(x), activation, rows, width);
          return out;
        },
        backward: (bench, dY) => {
          const dX = bench.put(x);
          kernels.gateBackward(dX, dY, dX, activation, rows, width); // in place
          return [dX];
        },
      };
    }));

  test("columns", () =>
    property(fc.record({ rows: size, width: size, before: size, after: size, seed }), ({ rows, width, before, after, seed }) => {
      const all = before + width + after;
      return {
        inputs: [coarse(seed, rows * all)],
        forward: (bench, [x]) => {
          const out = bench.room(rows * width);
          kernels.columns(out, bench.put(x), rows, all, before, width);
          return out;
        },
        backward: (bench, dY) => {
          const dX = zeros(bench, rows * all);
          kernels.placeColumns(dX, dY, rows, all, before, width, false);
          return [dX];
        },
      };
    }));

  const B = fc.integer({ min: 1, max: 2 });
  const T = fc.integer({ min: 1, max: 4 });

  test("rotary positions", () =>
    property(fc.record({ B, T, heads: B, half: B, rest: fc.constantFrom(0, 1), seed }), ({ B, T, heads, half, rest, seed }) => {
      const [rotary, D] = [2 * half, 2 * half + rest];
      const others = (bench: Bench): [DeviceBuffer, DeviceBuffer] => [bench.put(rotaryTables(16, rotary)), bench.put(Int32Array.of(0, 7))];
      return {
        inputs: [coarse(seed, B * T * heads * D)],
        forward: (bench, [x]) => {
          const out = bench.room(x.length);
          kernels.rope(out, bench.put(x), ...others(bench), B, T, heads, D, rotary);
          return out;
        },
        backward: (bench, dY) => {
          const dX = bench.room(dY.length);
          kernels.ropeBackward(dX, dY, ...others(bench), B, T, heads, D, rotary);
          return [dX];
        },
      };
    }));

  test("append and attention: queries, new keys and new values", () =>
    property(
      fc.record({ B, T, KV: B, group: B, D: T, window: fc.constantFrom(0, 0, 1, 2, 3), spare: fc.constantFrom(0, 2), seed }),
      ({ B, T, KV, group, D, window, spare, seed }) => {
        const [H, capacity] = [KV * group, T + spare];
        const [q, k, v] = [coarse(seed, B * T * H * D), coarse(seed + 1, B * T * KV * D), coarse(seed + 2, B * T * KV * D)];
        const pass = (bench: Bench, [q, k, v]: Values) => {
          const sizes = bench.sizes({ B, T, H, KV, D, capacity, window }, Array<number>(B).fill(0));
          const [queries, keys, values] = [bench.put(q), bench.room(B * KV * capacity * D), bench.room(B * KV * capacity * D)];
          kernels.append(keys, bench.put(k), sizes.past, B, T, KV, D, capacity);
          kernels.append(values, bench.put(v), sizes.past, B, T, KV, D, capacity);
          const y = bench.room(q.length);
          kernels.attention(y, queries, keys, values, sizes);
          return { queries, keys, values, y, sizes };
        };
        return {
          inputs: [q, k, v],
          forward: (bench, inputs) => pass(bench, inputs).y,
          backward: (bench, dY) => {
            const { queries, keys, values, y, sizes } = pass(bench, [q, k, v]);
            const [dQ, dK, dV] = [bench.room(q.length), bench.room(k.length), bench.room(v.length)];
            kernels.attentionBackward(dQ, dK, dV, dY, queries, keys, values, y, sizes);
            return [dQ, dK, dV];
          },
        };
      },
    ));

  test("cross-entropy, some targets being -1", () =>
    property(fc.record({ rows: size, width: size, seed }), ({ rows, width, seed }) => {
      const logits = coarse(seed, rows * width, 3);
      const targets = integersBelow(seed, rows, width + 1).map((id) => id - 1);
      return {
        inputs: [logits],
        forward: (bench, [logits]) => {
          const out = bench.room(rows);
          kernels.crossEntropy(out, bench.put(logits), bench.put(targets), rows, width);
          return out;
        },
        backward: (bench, dY) => {
          const dLogits = bench.put(logits);
          kernels.crossEntropyBackward(dLogits, dY, dLogits, bench.put(targets), rows, width); // in place
          return [dLogits];
        },
      };
    }));

  test("squared error", () =>
    property(fc.record({ length: size, seed }), ({ length, seed }) => {
      const [x, y] = [coarse(seed, length), coarse(seed + 1, length)];
      return {
        inputs: [x],
        forward: (bench, [x]) => {
          const out = bench.room(length);
          kernels.squaredError(out, bench.put(x), bench.put(y), length);
          return out;
        },
        backward: (bench, dOut) => {
          const dX = bench.room(length);
          kernels.squaredErrorBackward(dX, dOut, bench.put(x), bench.put(y), length);
          return [dX];
        },
      };
    }));

  test("scale and dropout, which are their own backward", () =>
    property(fc.record({ length: fc.integer({ min: 1, max: 40 }), rate: fc.constantFrom(0, 0.1, 0.5), seed }), ({ length, rate, seed }) => {
      const both = (bench: Bench, x: DeviceBuffer): DeviceBuffer => {
        const out = bench.room(length);
        kernels.scale(out, x, -1.5, length);
        kernels.dropout(out, out, rate, seed, length);
        return out;
      };
      return {
        inputs: [coarse(seed, length)],
        forward: (bench, [x]) => both(bench, bench.put(x)),
        backward: (bench, dY) => [both(bench, dY)],
      };
    }));
});

test("the reference learns in f32 only, and looks where ids and targets point", () => {
  const [f16, buffer] = [reference.matrix(2, 2, "f16"), reference.allocate("f32", 4)];
  const outside = reference.allocate("i32", 1);
  reference.write(outside, Int32Array.of(2));
  const matrix = reference.matrix(2, 2);
  for (const work of [
    () => kernels.clear(f16),
    () => kernels.linearBackwardInput(buffer, buffer, f16, 1),
    () => kernels.sumOfSquares(buffer, 0, f16),
    () => kernels.embedBackward(matrix, buffer, outside, 1),
    () => kernels.crossEntropy(buffer, buffer, outside, 1, 2),
    () => kernels.crossEntropyBackward(buffer, buffer, buffer, outside, 1, 2),
  ])
    expect(work).toThrow("internal:");
  for (const made of [f16, buffer, outside, matrix]) made.free();
});
