/**
 * Part of the one test body of all devices: matrices that keep their numbers as f16, int8 or int4. What they hold is compared
 * with `reference` to the last bit, products with the bound that device.ts states.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { devices, threadPairs } from "./devices.testing.ts";
import type { Activation, Device, DeviceBuffer, MatrixFormat } from "./device.ts";
import { Bench, compute, expectClose, integersBelow, numbers, property, rows, seed, width } from "./kernel-cases.testing.ts";
import { openReference } from "./reference/reference.ts";

const formats = ["f16", "int8", "int4"] as const;

/** Sizes beyond every tile and block. The reference takes long for them, so its answers are kept. */
const large = [
  [1, 1700, 333],
  [3, 513, 129],
  [101, 900, 65],
  [20, 1, 257],
  [97, 260, 48],
] as const;
const answers = new Map<string, { expected: Float32Array; most: Float32Array }>();

/** Rows of very different sizes, with zeros and numbers too small for fp16. */
function weights(seed: number, outputs: number, inputs: number): Float32Array {
  const W = numbers(seed, outputs * inputs);
  for (let i = 0; i < outputs; i++) for (let j = 0; j < inputs; j++) W[i * inputs + j] *= 10 ** (((i + Math.floor(j / 32)) % 7) - 4);
  W.fill(0, 0, Math.min(40, inputs));
  if (outputs > 1) W.fill(1e-7, inputs, 2 * inputs);
  return W;
}

interface Product {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
  readonly activation: Activation | null;
  readonly residual: boolean;
  readonly seed: number;
}

const product: fc.Arbitrary<Product> = fc.record({
  rows,
  inputs: fc.oneof(width, fc.integer({ min: 1, max: 200 })),
  outputs: width,
  bias: fc.boolean(),
  activation: fc.constantFrom(null, "gelu_new" as const, "silu" as const),
  residual: fc.boolean(),
  seed,
});

function inputsOf(c: Product): Float32Array {
  return numbers(c.seed, c.rows * c.inputs).map((x, i) => (i % 17 === 0 ? 20 * x : x)); // some stand out, as in real models
}

function linear(bench: Bench, c: Product, format: MatrixFormat): DeviceBuffer {
  const stream = bench.put(numbers(c.seed + 3, c.rows * c.outputs, 2));
  const bias = c.bias ? bench.put(numbers(c.seed + 2, c.outputs)) : null;
  const W = bench.matrix(numbers(c.seed + 1, c.outputs * c.inputs), c.outputs, c.inputs, format);
  bench.device.kernels.linear(stream, bench.put(inputsOf(c)), W, bias, c.activation, c.residual ? stream : null, c.rows);
  return stream;
}

/** The n of device.ts: what rows' largest magnitudes are divided by. */
const stepsOf = (format: MatrixFormat, inputs: number): number => (format === "int8" && inputs < 512 ? 32767 : 127);

/** The most that rounding x may change each output by: the sum over inputs of |weight| times half a step of the block. */
async function bound(reference: Device, c: Product, format: MatrixFormat): Promise<Float32Array> {
  const matrix = reference.matrix(c.outputs, c.inputs, format);
  const whole = { output: 0, outputs: c.outputs, input: 0, inputs: c.inputs, order: "outputs-first" } as const;
  reference.writeMatrix(matrix, numbers(c.seed + 1, c.outputs * c.inputs), whole);
  const [W, x] = [await reference.readMatrix(matrix), inputsOf(c)];
  matrix.free();
  return Float32Array.from({ length: c.rows * c.outputs }, (_, at) => {
    const [r, i] = [Math.floor(at / c.outputs), at % c.outputs];
    let sum = 0;
    for (let from = 0; from < c.inputs; from += 32) {
      const to = Math.min(from + 32, c.inputs);
      const largest = x.subarray(r * c.inputs + from, r * c.inputs + to).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      for (let j = from; j < to; j++) sum += (Math.abs(W[i * c.inputs + j]) * largest) / (2 * stepsOf(format, c.inputs));
    }
    return sum;
  });
}

describe.each(devices)("small weights on $name", ({ open }) => {
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

  const held = async (on: Device, format: MatrixFormat, W: Float32Array, outputs: number, inputs: number): Promise<Float32Array> => {
    const bench = new Bench(on);
    const values = await on.readMatrix(bench.matrix(W, outputs, inputs, format));
    bench.clear();
    return values;
  };

  describe.each(formats)("%s", (format) => {
    test("a matrix holds what the reference says, written whole or block by block, in either order", () =>
      property(
        fc.record({ outputs: width, inputs: fc.integer({ min: 1, max: 150 }), cutOut: fc.nat(), cutIn: fc.nat(), seed }),
        async ({ outputs, inputs, cutOut, cutIn, seed }) => {
          const W = weights(seed, outputs, inputs);
          const expected = await held(reference, format, W, outputs, inputs);
          const [rowCut, columnCut] = [cutOut % outputs, 32 * (cutIn % Math.ceil(inputs / 32))];
          for (const order of ["outputs-first", "inputs-first"] as const) {
            const matrix = device.matrix(outputs, inputs, format);
            for (const [output, endRow] of [
              [0, rowCut],
              [rowCut, outputs],
            ] as const)
              for (const [input, endColumn] of [
                [columnCut, inputs],
                [0, columnCut],
              ] as const) {
                const block = { output, outputs: endRow - output, input, inputs: endColumn - input, order };
                const values = new Float32Array(block.outputs * block.inputs);
                for (let i = 0; i < block.outputs; i++)
                  for (let j = 0; j < block.inputs; j++)
                    values[order === "outputs-first" ? i * block.inputs + j : j * block.outputs + i] = W[(output + i) * inputs + input + j];
                device.writeMatrix(matrix, values, block);
              }
            expect(await device.readMatrix(matrix)).toEqual(expected);
            expect(await device.readMatrix(matrix, rowCut, outputs - rowCut)).toEqual(expected.slice(rowCut * inputs));
            matrix.free();
          }
        },
      ));

    test("what it holds is near what was written, and stays when written again", () =>
      property(fc.record({ outputs: width, inputs: width, seed }), async ({ outputs, inputs, seed }) => {
        const W = numbers(seed, outputs * inputs);
        const kept = await held(device, format, W, outputs, inputs);
        for (let i = 0; i < outputs; i++)
          for (let from = i * inputs; from < (i + 1) * inputs; from += 32) {
            const to = Math.min(from + 32, (i + 1) * inputs);
            const largest = W.subarray(from, to).reduce((most, w) => Math.max(most, Math.abs(w)), 0);
            for (let j = from; j < to; j++) {
              const step = { f16: 2 ** -10 * Math.abs(W[j]) + 2 ** -24, int8: largest / 127, int4: largest / 8 }[format];
              const reach = format === "int4" ? 1 : 0.5; // int4 has -8 but no 8
              const scaleError = Math.max(largest * 2 ** -11, 127 * 2 ** -25); // of an fp16 number, subnormal for tiny weights
              const error = Math.abs(kept[j] - W[j]);
              if (!(error <= reach * step + scaleError)) expect.fail(`${W[j]} became ${kept[j]}, a step is ${step}`);
            }
          }
        expect(await held(device, format, kept, outputs, inputs)).toEqual(kept);
      }));

    test("is zero until written", async () => {
      for (let again = 0; again < 2; again++) {
        const bench = new Bench(device);
        const matrix = device.matrix(13, 70, format);
        expect(await device.readMatrix(matrix)).toEqual(new Float32Array(13 * 70));
        device.writeMatrix(matrix, numbers(1, 13 * 70), { output: 0, outputs: 13, input: 0, inputs: 70, order: "outputs-first" });
        matrix.free();
        bench.clear();
      }
    });

    test("embed gives the rows that the matrix holds", () =>
      property(fc.record({ V: width, C: width, rows, seed }), async ({ V, C, rows, seed }) => {
        const table = weights(seed, V, C);
        const kept = await held(reference, format, table, V, C);
        const ids = integersBelow(seed, rows, V);
        const found = await compute(device, (bench) => {
          const out = bench.room(rows * C);
          device.kernels.embed(out, bench.matrix(table, V, C, format), bench.put(ids), rows);
          return out;
        });
        for (let r = 0; r < rows; r++) expect(found.slice(r * C, (r + 1) * C)).toEqual(kept.slice(ids[r] * C, (ids[r] + 1) * C));
      }));

    const answer = async (c: Product): Promise<{ expected: Float32Array; most: Float32Array }> => ({
      expected: await compute(reference, (bench) => linear(bench, c, format)),
      most: await bound(reference, c, format),
    });
    const near = async (c: Product, { expected, most }: { expected: Float32Array; most: Float32Array }): Promise<void> => {
      const found = await compute(device, (bench) => linear(bench, c, format));
      if (format === "f16") return expectClose(found, expected, 2e-4);
      const steepest = 1.15; // of the activations' slopes
      for (let i = 0; i < expected.length; i++) {
        const error = Math.abs(found[i] - expected[i]);
        if (!(error <= steepest * most[i] + 1e-4 * (1 + Math.abs(expected[i]))))
          expect.fail(`number ${i} is ${found[i]}, expected ${expected[i]} within ${most[i]}`);
      }
    };

    test("linear equals reference within the stated bound", () => property(product, async (c) => near(c, await answer(c))));

    test("linear equals reference on sizes beyond every tile and block", async () => {
      for (const [rows, inputs, outputs] of large) {
        const c: Product = { rows, inputs, outputs, bias: true, activation: "gelu_new", residual: true, seed: rows };
        const key = `${format} ${JSON.stringify(c)}`;
        const known = answers.get(key) ?? (await answer(c));
        answers.set(key, known);
        await near(c, known);
      }
    });

    test("linear is exact where nothing is rounded", async () => {
      const [outputs, inputs, count] = [37, 70, 5];
      // Every block begins with the largest magnitude, so scales are 1: rows of 70 as 32 + 32 + 6. Sums stay below 2^24.
      const wholes = (seed: number, rows: number, most: number, others: number): Float32Array =>
        Float32Array.from(integersBelow(seed, rows * inputs, 2 * others), (n, i) => ((i % inputs) % 32 === 0 ? -most : n - others));
      const W = format === "int4" ? wholes(1, outputs, 8, 8) : wholes(1, outputs, 127, 127);
      const x = format === "int8" ? wholes(2, count, 32767, 20) : wholes(2, count, 127, 127);
      const found = await compute(device, (bench) => {
        const out = bench.room(count * outputs);
        device.kernels.linear(out, bench.put(x), bench.matrix(W, outputs, inputs, format), null, null, null, count);
        return out;
      });
      for (let r = 0; r < count; r++)
        for (let i = 0; i < outputs; i++) {
          let sum = 0;
          for (let j = 0; j < inputs; j++) sum += W[i * inputs + j] * x[r * inputs + j];
          expect(found[r * outputs + i]).toBe(sum);
        }
    });

    test("a row gives the same bits alone and among others", async () => {
      const [outputs, inputs, count] = [83, 210, 29];
      const [W, x] = [numbers(1, outputs * inputs), numbers(2, count * inputs)];
      const run = (rows: Float32Array): Promise<Float32Array> =>
        compute(device, (bench) => {
          const out = bench.room((rows.length / inputs) * outputs);
          device.kernels.linear(out, bench.put(rows), bench.matrix(W, outputs, inputs, format), null, null, null, rows.length / inputs);
          return out;
        });
      const together = await run(x);
      for (const [from, to] of [
        [0, 1],
        [1, 3],
        [3, 6],
        [6, 10],
        [10, 29],
      ])
        expect(await run(x.slice(from * inputs, to * inputs))).toEqual(together.slice(from * outputs, to * outputs));
    });

    test("a row with NaN or infinity gives no finite number, and leaves other rows alone", async () => {
      const [outputs, inputs] = [20, 70];
      const x = numbers(2, 4 * inputs);
      x[inputs + 40] = NaN;
      x[2 * inputs + 69] = Infinity;
      const found = await compute(device, (bench) => {
        const out = bench.room(4 * outputs);
        const W = bench.matrix(numbers(1, outputs * inputs), outputs, inputs, format);
        device.kernels.linear(out, bench.put(x), W, null, null, null, 4);
        return out;
      });
      for (const row of [0, 3]) expect(found.slice(row * outputs, (row + 1) * outputs).every(Number.isFinite)).toBe(true);
      for (const row of [1, 2]) expect(found.slice(row * outputs, (row + 1) * outputs).some(Number.isFinite)).toBe(false);
    });

    test("very small and zero rows give very small and zero sums", async () => {
      const x = new Float32Array(3 * 40).fill(1e-40, 0, 40).fill(1e-30, 40, 80);
      const found = await compute(device, (bench) => {
        const out = bench.room(9);
        device.kernels.linear(out, bench.put(x), bench.matrix(new Float32Array(120).fill(1), 3, 40, format), null, null, null, 3);
        return out;
      });
      expect(Math.abs(found[0])).toBeLessThan(1e-37);
      expect(found[3] / 4e-29).toBeCloseTo(1, 2);
      expect(found[6]).toBe(0);
    });

    test("refuses numbers that it cannot hold, saying the cure", () => {
      const matrix = device.matrix(3, 40, format);
      const whole = { output: 0, outputs: 3, input: 0, inputs: 40, order: "outputs-first" } as const;
      const largest = { f16: 65519, int8: 8e6, int4: 5e5 }[format];
      for (const bad of [NaN, Infinity, -Infinity, 1e7])
        for (const at of [0, 119]) {
          const values = numbers(1, 120);
          values[at] = bad;
          expect(() => device.writeMatrix(matrix, values, whole)).toThrow(VitrineError);
          expect(() => device.writeMatrix(matrix, values, whole)).toThrow("--weights f32");
        }
      device.writeMatrix(matrix, new Float32Array(120).fill(-largest), whole);
      matrix.free();
    });

    if (format !== "f16")
      test("refuses half a block", () => {
        const matrix = device.matrix(4, 70, format);
        const order = "outputs-first" as const;
        for (const [input, inputs] of [
          [0, 31],
          [16, 54],
          [32, 37],
        ])
          expect(() => device.writeMatrix(matrix, new Float32Array(4 * inputs), { output: 0, outputs: 4, input, inputs, order })).toThrow(
            "internal:",
          );
        matrix.free();
      });

    test("takes as little room as it says", () => {
      const matrix = device.matrix(320, 640, format);
      expect(matrix.format).toBe(format);
      if (device.name !== "reference") expect(matrix.byteLength).toBe((320 * 640 * { f16: 16, int8: 8.5, int4: 4.5 }[format]) / 8);
      matrix.free();
    });
  });
});

describe.each(threadPairs)("small weights on $name", ({ open }) => {
  test.each(formats)("%s products are the same to the last bit", async (format) => {
    const results: Float32Array[] = [];
    for (const start of open) {
      const device = await start();
      for (const rows of [1, 130])
        results.push(
          await compute(device, (bench) =>
            linear(bench, { rows, inputs: 200, outputs: 500, bias: true, activation: "gelu_new", residual: true, seed: 1 }, format),
          ),
        );
      device.dispose();
    }
    for (let i = 2; i < results.length; i++) expect(results[i]).toEqual(results[i % 2]);
  });
});
