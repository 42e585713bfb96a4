/** Every op's way back against central finite differences, on the device that defines the kernels, over many shapes. */
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { randomFrom } from "../../base/random.ts";
import type { Activation, AttentionSizes, Matrix } from "../../device/device.ts";
import { openReference } from "../../device/reference/reference.ts";
import type { Weights } from "../../device/training-kernels.ts";
import { checkGradients, gradientsOf, places, randomMatrix, randomTensor } from "../gradient-check.testing.ts";
import { Tape } from "../tape.ts";
import { tensorScope } from "../scope.ts";
import { permanent, tensor, Tensor } from "../tensor.ts";
import { activate, gate } from "./activate.ts";
import { add, addColumns } from "./add.ts";
import { append, attention, attentionMix, attentionScores, rope, selfAttention } from "./attention.ts";
import { crossEntropy } from "./cross-entropy.ts";
import { linear } from "./linear.ts";
import { matmul } from "./matmul.ts";
import { layerNorm, rmsNorm } from "./norm.ts";
import { dropout, scale } from "./scale.ts";
import { beside, columns, embed, gatherRows } from "./select.ts";
import { softmax, top } from "./softmax.ts";
import { squaredError } from "./squared-error.ts";

const device = openReference();
afterAll(() => expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 })); // no test leaves anything behind

interface Drawn {
  readonly rows: number;
  readonly width: number;
  readonly other: number;
  readonly activation: Activation;
  readonly flags: readonly [boolean, boolean];
  /** A tensor, and a matrix, of random numbers: whatever is made by them is checked. */
  readonly t: (...shape: number[]) => Tensor;
  readonly m: (outputs: number, inputs: number) => Matrix;
  /** i32 numbers from `least` to below `below`. */
  readonly ids: (count: number, below: number, least?: number) => Tensor;
}

/** What a tensor is when it comes to the op: itself, as something learned, or a copy, as something computed. */
type Come = (x: Tensor) => Tensor;

const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const shapes = fc.record({
  seed: size(1e6),
  rows: size(4),
  width: size(5),
  other: size(4),
  activation: fc.constantFrom<Activation>("gelu", "gelu_new", "silu", "relu"),
  flags: fc.tuple(fc.boolean(), fc.boolean()),
});

/** Draws shapes, lets `make` make the inputs and give the op, and checks the gradient of each input, learned and computed. */
function property(make: (drawn: Drawn) => (come: Come) => Tensor): () => Promise<void> {
  return () =>
    fc.assert(
      fc.asyncProperty(shapes, async ({ seed, ...sizes }) => {
        const random = randomFrom(seed);
        const learned = new Map<string, Weights>();
        const owned: { dispose(): void }[] = [];
        const op = make({
          ...sizes,
          t: (...shape) => {
            const made = randomTensor(device, random, shape);
            learned.set(`input ${learned.size}`, made.buffer);
            owned.push(made);
            return made;
          },
          m: (outputs, inputs) => {
            const made = randomMatrix(device, random, outputs, inputs);
            learned.set(`input ${learned.size}`, made);
            owned.push({ dispose: () => made.free() });
            return made;
          },
          ids: (count, below, least = 0) => {
            const made = permanent(device, [count], "i32");
            const values = Int32Array.from({ length: count }, () => least + Math.floor(random.next() * (below - least)));
            device.write(made.buffer, values);
            owned.push(made);
            return made;
          },
        });
        await checkGradients(device, learned, () => op((x) => x));
        await checkGradients(device, learned, () => op((x) => scale(x, 1)));
        for (const made of owned) made.dispose();
      }),
      { numRuns: 8 },
    );
}

describe("gradients equal finite differences", () => {
  test(
    "add",
    property(({ rows, width, t }) => {
      const [a, b] = [t(rows, width), t(rows, width)];
      return (come) => add(come(a), come(b));
    }),
  );

  test(
    "addColumns",
    property(({ rows, width, other, t }) => {
      const [y, part] = [t(rows, width + other), t(rows, width)];
      return (come) => addColumns(come(y), other - 1, come(part));
    }),
  );

  test(
    "linear with bias, activation and residual",
    property(({ rows, width, other, activation, flags, t, m }) => {
      const [x, W] = [t(2, rows, width), m(other, width)];
      const bias = flags[0] ? t(other) : null;
      const residual = flags[1] ? t(2, rows, other) : null;
      return (come) => {
        const fused = linear(come(x), W, bias && come(bias), activation, residual && come(residual));
        return add(fused, linear(come(x), W, bias && come(bias), null, residual && come(residual)));
      };
    }),
  );

  test(
    "matmul in all four forms",
    property(({ rows: M, width: K, other: N, flags: [turnA, turnB], t }) => {
      const a = turnA ? t(K, M) : t(M, K);
      const b = turnB ? t(N, K) : t(K, N);
      return (come) => matmul(come(a), come(b), { a: turnA, b: turnB });
    }),
  );

  test(
    "activate",
    property(({ rows, width, activation, t }) => {
      const x = t(rows, width);
      return (come) => activate(come(x), activation);
    }),
  );

  test(
    "gate",
    property(({ rows, width, activation, t }) => {
      const x = t(rows, 2 * width);
      return (come) => gate(come(x), activation);
    }),
  );

  test(
    "layerNorm",
    property(({ rows, width, flags, t }) => {
      const [x, weight, bias] = [t(rows, width + 3), t(width + 3), flags[0] ? t(width + 3) : null];
      return (come) => layerNorm(come(x), come(weight), bias && come(bias), 1e-2);
    }),
  );

  test(
    "rmsNorm",
    property(({ rows, width, t }) => {
      const [x, weight] = [t(rows, width), t(width)];
      return (come) => rmsNorm(come(x), come(weight), 1e-2);
    }),
  );

  test(
    "embed, the same id often",
    property(({ rows, width, other, m, ids }) => {
      const [table, tokens] = [m(other, width), ids(rows + 2, other)];
      return () => embed(table, tokens);
    }),
  );

  test(
    "columns, all of them, overlapping and some left out",
    property(({ rows, width, other, t }) => {
      const x = t(rows, width + other);
      return (come) => {
        const y = come(x);
        return add(columns(y, 0, width, [width, rows]), columns(y, other, width, [rows, width]));
      };
    }),
  );

  test(
    "beside",
    property(({ rows, width, t }) => {
      const [a, b] = [t(rows, width), t(rows, width)];
      return (come) => beside(come(a), come(b));
    }),
  );

  test(
    "rope from anywhere, of all numbers or some",
    property(({ rows: T, width, other: heads, flags: [part], t, ids }) => {
      const rotary = part ? 2 : 2 * width;
      const [x, past] = [t(2, T, heads, 2 * width), ids(2, 5)];
      const angles = Float32Array.from({ length: (5 + T) * (rotary / 2) }, (_, i) => Math.sin(i) * 3);
      const table = new Float32Array((5 + T) * rotary);
      for (let p = 0; p < 5 + T; p++)
        for (let i = 0; i < rotary / 2; i++) {
          table[p * rotary + i] = Math.cos(angles[(p * rotary) / 2 + i]);
          table[p * rotary + rotary / 2 + i] = Math.sin(angles[(p * rotary) / 2 + i]);
        }
      return (come) => rope(come(x), tensor(device, table, [5 + T, rotary]), past.buffer);
    }),
  );

  test(
    "selfAttention, heads grouped and through windows",
    property(({ rows: T, width: D, other: KV, flags: [grouped, windowed], t, ids }) => {
      const [B, H] = [2, grouped ? 2 * KV : KV];
      const past = ids(B, 1); // zeros
      const sizes: AttentionSizes = { B, T, H, KV, D, capacity: T + 1, past: past.buffer, window: windowed ? 2 : 0, scale: 0.7 };
      const [q, k, v] = [t(B, T, H, D), t(B, T, KV, D), t(B, T, KV, D)];
      return (come) => selfAttention(come(q), come(k), come(v), sizes);
    }),
  );

  test(
    "crossEntropy, some targets counting nothing",
    property(({ rows, width, t, ids }) => {
      const [logits, targets] = [t(rows, width), ids(rows, width, -1)];
      return (come) => crossEntropy(come(logits), targets);
    }),
  );

  test(
    "scale, dropout and squaredError",
    property(({ rows, width, other, t }) => {
      const [x, y] = [t(rows, width), t(rows, width)];
      return (come) => squaredError(scale(come(x), other / 3), dropout(come(y), 0.4, other));
    }),
  );
});

describe("dropout", () => {
  test("keeps the mean and the share it should, the same numbers for one seed and others for another", async () => {
    using _scope = tensorScope();
    const ones = tensor(device, new Float32Array(20_000).fill(1));
    for (const rate of [0.1, 0.5, 0.9]) {
      const dropped = await dropout(ones, rate, 7).read();
      expect(Math.abs(dropped.reduce((a, b) => a + b) / dropped.length - 1)).toBeLessThan(4 * Math.sqrt(rate / (1 - rate) / dropped.length));
      expect(new Set(dropped)).toEqual(new Set([0, Math.fround(1 / (1 - rate))]));
      expect(await dropout(ones, rate, 7).read()).toEqual(dropped);
      const other = await dropout(ones, rate, 8).read();
      const both = dropped.filter((v, i) => v === 0 && other[i] === 0).length / dropped.length; // independent: rate squared
      expect(Math.abs(both - rate * rate)).toBeLessThan(0.02);
    }
    expect(await dropout(ones, 0, 7).read()).toEqual(await ones.read());
  });

  test("refuses rates that leave nothing", () => {
    using _scope = tensorScope();
    const x = tensor(device, new Float32Array(1));
    for (const rate of [-0.1, 1, NaN]) expect(() => dropout(x, rate, 0)).toThrow("dropout: a rate of");
  });
});

describe("what has no way back refuses", () => {
  const past = permanent(device, [1], "i32");
  device.write(past.buffer, Int32Array.of(0));
  const cache = permanent(device, [1, 1, 1, 2]);
  device.write(cache.buffer, new Float32Array(2));
  const x = permanent(device, [1, 1, 1, 2]);
  device.write(x.buffer, Float32Array.of(1, 2));
  afterAll(() => [past, cache, x].forEach((made) => made.dispose()));
  const sizes: AttentionSizes = { B: 1, T: 1, H: 1, KV: 1, D: 2, capacity: 1, past: past.buffer, window: 0, scale: 1 };

  const ops: Readonly<Record<string, (y: Tensor) => unknown>> = {
    softmax: (y) => softmax(y),
    top: (y) => top(y, 1),
    gatherRows: (y) => gatherRows(y, past),
    append: (y) => append(cache.buffer, y, sizes),
    attention: (y) => attention(y, cache.buffer, cache.buffer, sizes),
    attentionScores: (y) => attentionScores(y, cache.buffer, sizes, 1),
    attentionMix: (y) => attentionMix(y.view([1, 1, 1, 2]), cache.buffer, sizes),
  };
  test.each(Object.entries(ops))("%s, unless nobody wants a gradient", (name, op) => {
    using _scope = tensorScope();
    const learned = places(device, [x.buffer]);
    const tape = new Tape(learned);
    expect(() => tape.record(() => op(x))).toThrow(`internal: ${name} has no way back`);
    expect(() => tape.record(() => op(scale(x, 2)))).toThrow(`internal: ${name} has no way back`);
    tape.record(() => op(tensor(device, Float32Array.of(1, 2), x.shape))); // a constant
    tape.pause(() => op(x));
    tape.dispose();
    for (const place of learned.values()) place.free();
  });

  test("and weights that are not f32 say how to load them, when a gradient has to go through", async () => {
    const W = device.matrix(2, 2, "f16");
    const flat = x.view([1, 2]);
    const bias = permanent(device, [2]);
    const only = await gradientsOf(device, [bias.buffer], () => linear(flat, W, bias), Float32Array.of(1, 2)); // only what is added afterwards
    expect(only.get(bias.buffer)).toEqual(Float32Array.of(1, 2));
    for (const learned of [W, x.buffer])
      await expect(gradientsOf(device, [bias.buffer, learned as never], () => linear(flat, W, bias), Float32Array.of(1, 2))).rejects.toThrow(
        "linear: gradients go through f32 weights only, these are f16; load the model with --weights f32",
      );
    W.free();
    bias.dispose();
  });
});
