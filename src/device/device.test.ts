/**
 * The one test body of all devices (with attention.test.ts): first what every kernel must satisfy by mathematics, then equality with `reference`
 * on random shapes with odd sizes and tails, then the numbers that break careless code.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices, threadPairs } from "./devices.testing.ts";
import type { Activation, Device, DeviceBuffer } from "./device.ts";
import {
  attentionInSteps,
  compute,
  expectClose,
  fusedAttention,
  integersBelow,
  numbers,
  property,
  Bench,
  rows,
  seed,
  width,
} from "./kernel-cases.testing.ts";
import { openReference } from "./reference/reference.ts";

const ACTIVATIONS: readonly Activation[] = ["gelu", "gelu_new", "silu", "relu"];

function softmaxOn(device: Device, values: Float32Array, rows: number): Promise<Float32Array> {
  return compute(device, (bench) => {
    const out = bench.room(values.length);
    device.kernels.softmax(out, bench.put(values), rows, values.length / rows);
    return out;
  });
}

describe.each(devices)("device $name", ({ open }) => {
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
  const matches = async (work: (bench: Bench) => DeviceBuffer, tolerance?: number): Promise<void> =>
    expectClose(await compute(device, work), await compute(reference, work), tolerance);

  describe("memory", () => {
    test("reads back what was written, in parts, and counts what lives", async () => {
      const before = device.memory();
      const buffer = device.allocate("f32", 100);
      const ids = device.allocate("i32", 7);
      const matrix = device.matrix(5, 3);
      expect(device.memory()).toMatchObject({ buffers: before.buffers + 2, matrices: before.matrices + 1 });
      expect(device.memory().bytes).toBeGreaterThanOrEqual(before.bytes + 4 * (100 + 7) + 4 * 15);
      device.write(buffer, numbers(1, 100));
      device.write(buffer, numbers(2, 10), 50);
      const expected = numbers(1, 100);
      expected.set(numbers(2, 10), 50);
      expect(await device.read(buffer)).toEqual(expected);
      expect(await device.read(buffer, 45, 10)).toEqual(expected.slice(45, 55));
      device.write(ids, Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31), 0, 5, 6, 7));
      expect(await device.read(ids)).toEqual(Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31), 0, 5, 6, 7));
      for (const made of [buffer, ids, matrix, buffer, matrix]) made.free();
      expect(device.memory()).toMatchObject({ buffers: before.buffers, matrices: before.matrices });
    });

    test("a read is a copy: later work does not change it", async () => {
      const bench = new Bench(device);
      const buffer = bench.put(Float32Array.of(1, 2, 3));
      const reading = device.read(buffer);
      device.kernels.fill(buffer, 9);
      expect(await reading).toEqual(Float32Array.of(1, 2, 3));
      bench.clear();
    });

    test("a freed buffer or matrix cannot be used", async () => {
      const buffer = device.allocate("f32", 4);
      const alive = device.allocate("f32", 4);
      const matrix = device.matrix(2, 2);
      buffer.free();
      matrix.free();
      expect(() => device.write(buffer, new Float32Array(4))).toThrow("internal:");
      await expect(async () => device.read(buffer)).rejects.toThrow("internal:");
      expect(() => device.kernels.fill(buffer, 0)).toThrow("internal:");
      expect(() => device.kernels.add(alive, buffer, alive, 4)).toThrow("internal:");
      expect(() => device.kernels.linear(alive, alive, matrix, null, null, null, 1)).toThrow("internal:");
      alive.free();
    });

    test("refuses to write and read beyond the end", async () => {
      const bench = new Bench(device);
      const buffer = bench.room(4);
      expect(() => device.write(buffer, new Float32Array(3), 2)).toThrow("internal:");
      await expect(async () => device.read(buffer, 2, 3)).rejects.toThrow("internal:");
      bench.clear();
    });

    test("many sizes live side by side without touching each other", async () => {
      const bench = new Bench(device);
      const held: { buffer: DeviceBuffer; values: Float32Array }[] = [];
      for (let i = 0; i < 60; i++) {
        const values = numbers(i, 1 + ((i * 37) % 500));
        held.push({ buffer: bench.put(values), values });
        if (i % 3 === 2) held.splice((i * 7) % held.length, 1)[0].buffer.free();
      }
      for (const { buffer, values } of held) expect(await device.read(buffer)).toEqual(values);
      bench.clear();
    });
  });

  describe("matrices", () => {
    test("readMatrix inverts writeMatrix, whole or block by block, in either order", () =>
      property(
        fc.record({ outputs: width, inputs: width, cutOut: fc.nat(), cutIn: fc.nat(), seed }),
        async ({ outputs, inputs, cutOut, cutIn, seed }) => {
          const W = numbers(seed, outputs * inputs);
          const [rowCut, columnCut] = [cutOut % outputs, cutIn % inputs];
          for (const order of ["outputs-first", "inputs-first"] as const) {
            const matrix = device.matrix(outputs, inputs);
            for (const [output, endRow] of [
              [0, rowCut],
              [rowCut, outputs],
            ] as const)
              for (const [input, endColumn] of [
                [0, columnCut],
                [columnCut, inputs],
              ] as const) {
                const block = { output, outputs: endRow - output, input, inputs: endColumn - input, order };
                const values = new Float32Array(block.outputs * block.inputs);
                for (let i = 0; i < block.outputs; i++)
                  for (let j = 0; j < block.inputs; j++)
                    values[order === "outputs-first" ? i * block.inputs + j : j * block.outputs + i] = W[(output + i) * inputs + input + j];
                device.writeMatrix(matrix, values, block);
              }
            expect(await device.readMatrix(matrix)).toEqual(W);
            expect(await device.readMatrix(matrix, rowCut, outputs - rowCut)).toEqual(W.slice(rowCut * inputs));
            matrix.free();
          }
        },
      ));

    test("is zero until written", async () => {
      for (let again = 0; again < 2; again++) {
        const matrix = device.matrix(13, 9);
        expect(await device.readMatrix(matrix)).toEqual(new Float32Array(117));
        device.writeMatrix(matrix, numbers(1, 117), { output: 0, outputs: 13, input: 0, inputs: 9, order: "outputs-first" });
        matrix.free();
      }
    });

    test("embed gives the rows that were written", () =>
      property(fc.record({ V: width, C: width, rows, seed }), async ({ V, C, rows, seed }) => {
        const table = numbers(seed, V * C);
        const ids = integersBelow(seed, rows, V);
        const found = await compute(device, (bench) => {
          const out = bench.room(rows * C);
          device.kernels.embed(out, bench.matrix(table, V, C), bench.put(ids), rows);
          return out;
        });
        for (let r = 0; r < rows; r++) expect(found.slice(r * C, (r + 1) * C)).toEqual(table.slice(ids[r] * C, (ids[r] + 1) * C));
      }));

    test("refuses a block outside, or numbers that do not fill it", () => {
      const matrix = device.matrix(4, 4);
      const whole = { output: 0, outputs: 4, input: 0, inputs: 4, order: "outputs-first" } as const;
      expect(() => device.writeMatrix(matrix, new Float32Array(16), { ...whole, output: 1 })).toThrow("internal:");
      expect(() => device.writeMatrix(matrix, new Float32Array(15), whole)).toThrow("internal:");
      matrix.free();
    });
  });

  describe("linear", () => {
    const linearCase = fc.record({
      rows,
      inputs: width,
      outputs: width,
      bias: fc.boolean(),
      activation: fc.constantFrom(null, ...ACTIVATIONS),
      residual: fc.constantFrom("none" as const, "apart" as const, "in place" as const),
      seed,
    });
    const linear = (bench: Bench, c: typeof linearCase extends fc.Arbitrary<infer L> ? L : never): DeviceBuffer => {
      const stream = bench.put(numbers(c.seed + 3, c.rows * c.outputs, 2));
      const out = c.residual === "in place" ? stream : bench.room(c.rows * c.outputs);
      const bias = c.bias ? bench.put(numbers(c.seed + 2, c.outputs)) : null;
      const W = bench.matrix(numbers(c.seed + 1, c.outputs * c.inputs), c.outputs, c.inputs);
      bench.device.kernels.linear(
        out,
        bench.put(numbers(c.seed, c.rows * c.inputs)),
        W,
        bias,
        c.activation,
        c.residual === "none" ? null : stream,
        c.rows,
      );
      return out;
    };

    test("is linear: W (a x + y) = a W x + W y", () =>
      property(fc.record({ rows, inputs: width, outputs: width, seed }), async ({ rows, inputs, outputs, seed }) => {
        const [x, y] = [numbers(seed, rows * inputs), numbers(seed + 1, rows * inputs)];
        const W = numbers(seed + 2, outputs * inputs);
        const map = (values: Float32Array): Promise<Float32Array> =>
          compute(device, (bench) => {
            const out = bench.room(rows * outputs);
            device.kernels.linear(out, bench.put(values), bench.matrix(W, outputs, inputs), null, null, null, rows);
            return out;
          });
        const [Wx, Wy] = [await map(x), await map(y)];
        expectClose(
          await map(x.map((v, i) => 3 * v + y[i])),
          Wx.map((v, i) => 3 * v + Wy[i]),
          2e-5,
        );
      }));

    test("gives W's columns for unit vectors, exactly", async () => {
      const [outputs, inputs] = [37, 19];
      const W = numbers(5, outputs * inputs);
      const unit = Float32Array.from({ length: inputs * inputs }, (_, i) => (i % (inputs + 1) === 0 ? 1 : 0));
      const found = await compute(device, (bench) => {
        const out = bench.room(inputs * outputs);
        device.kernels.linear(out, bench.put(unit), bench.matrix(W, outputs, inputs), null, null, null, inputs);
        return out;
      });
      for (let j = 0; j < inputs; j++) for (let i = 0; i < outputs; i++) expect(found[j * outputs + i]).toBe(W[i * inputs + j]);
    });

    test("equals reference with every mix of bias, activation and residual", () => property(linearCase, (c) => matches((bench) => linear(bench, c))));

    test("equals reference on sizes beyond every tile and block", async () => {
      for (const [rows, inputs, outputs] of [
        [1, 700, 333],
        [3, 513, 129],
        [101, 300, 65],
        [20, 1, 257],
        [97, 260, 48],
        [2, 2050, 5],
      ])
        await matches((bench) => linear(bench, { rows, inputs, outputs, bias: true, activation: "gelu", residual: "in place", seed: rows }), 3e-5);
    });

    test("matmul equals reference for all transposes, accumulating or not", () =>
      property(
        fc.record({ M: rows, N: width, K: width, transposeA: fc.boolean(), transposeB: fc.boolean(), accumulate: fc.boolean(), seed }),
        ({ M, N, K, transposeA, transposeB, accumulate, seed }) =>
          matches((bench) => {
            const out = accumulate ? bench.put(numbers(seed + 2, M * N)) : bench.room(M * N);
            bench.device.kernels.matmul(
              out,
              bench.put(numbers(seed, M * K)),
              bench.put(numbers(seed + 1, K * N)),
              M,
              N,
              K,
              transposeA,
              transposeB,
              accumulate,
            );
            return out;
          }),
      ));

    test("matmul equals reference on sizes beyond every tile and block", async () => {
      for (const [M, N, K] of [
        [101, 70, 300],
        [7, 300, 513],
        [130, 33, 17],
      ])
        for (const [transposeA, transposeB] of [
          [false, false],
          [true, false],
          [false, true],
          [true, true],
        ])
          await matches((bench) => {
            const out = bench.room(M * N);
            bench.device.kernels.matmul(out, bench.put(numbers(1, M * K)), bench.put(numbers(2, K * N)), M, N, K, transposeA, transposeB, false);
            return out;
          }, 3e-5);
    });
  });

  describe("norms", () => {
    test("layer norm leaves mean 0 and variance 1", () =>
      property(fc.record({ rows, width: fc.integer({ min: 2, max: 70 }), seed }), async ({ rows, width, seed }) => {
        const out = await compute(device, (bench) => {
          const out = bench.room(rows * width);
          const [x, one] = [bench.put(numbers(seed, rows * width, 5).map((v) => v + 3)), bench.put(new Float32Array(width).fill(1))];
          device.kernels.layerNorm(out, x, one, null, rows, width, 0);
          return out;
        });
        for (let r = 0; r < rows; r++) {
          const row = Array.from(out.slice(r * width, (r + 1) * width));
          expect(row.reduce((a, b) => a + b) / width).toBeCloseTo(0, 4);
          expect(row.reduce((a, b) => a + b * b, 0) / width).toBeCloseTo(1, 3);
        }
      }));

    test("rms norm leaves mean square 1 and does not depend on scale", () =>
      property(fc.record({ rows, width, seed }), async ({ rows, width, seed }) => {
        const norm = (scale: number): Promise<Float32Array> =>
          compute(device, (bench) => {
            const out = bench.room(rows * width);
            const one = bench.put(new Float32Array(width).fill(1));
            device.kernels.rmsNorm(out, bench.put(numbers(seed, rows * width).map((v) => v * scale + scale * 0.01)), one, rows, width, 0);
            return out;
          });
        const out = await norm(1);
        for (let r = 0; r < rows; r++) expect(out.slice(r * width, (r + 1) * width).reduce((a, b) => a + b * b, 0) / width).toBeCloseTo(1, 4);
        expectClose(await norm(64), out);
      }));

    test("equal reference, in place or not, with and without bias; zero rows stay finite", () =>
      property(fc.record({ rows, width, kind: fc.constantFrom("layer", "layer without bias", "rms"), inPlace: fc.boolean(), seed }), (c) =>
        matches((bench) => {
          const { kernels } = bench.device;
          const values = numbers(c.seed, c.rows * c.width, 3);
          // A row of nearly equal numbers has lost its digits before any device sees it: one of each row lies apart.
          for (let r = 0; r < c.rows; r++) values[r * c.width] += 7;
          values.fill(0, 0, c.width);
          const x = bench.put(values);
          const out = c.inPlace ? x : bench.room(values.length);
          const [weight, bias] = [bench.put(numbers(c.seed + 1, c.width)), bench.put(numbers(c.seed + 2, c.width))];
          if (c.kind === "rms") kernels.rmsNorm(out, x, weight, c.rows, c.width, 1e-6);
          else kernels.layerNorm(out, x, weight, c.kind === "layer" ? bias : null, c.rows, c.width, 1e-5);
          return out;
        }, 2e-5),
      ));

    test("layer norm keeps its digits when the mean is far from 0", () =>
      matches((bench) => {
        const x = bench.put(numbers(1, 3 * 67).map((v) => v + 1000));
        const out = bench.room(3 * 67);
        bench.device.kernels.layerNorm(out, x, bench.put(new Float32Array(67).fill(1)), null, 3, 67, 1e-5);
        return out;
      }, 1e-3));
  });

  describe("softmax", () => {
    test("rows sum to 1 and do not change when a constant is added", () =>
      property(fc.record({ rows, width, seed }), async ({ rows, width, seed }) => {
        const x = numbers(seed, rows * width, 8);
        const out = await softmaxOn(device, x, rows);
        for (let r = 0; r < rows; r++) expect(out.slice(r * width, (r + 1) * width).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
        expectClose(
          await softmaxOn(
            device,
            x.map((v) => v + 64),
            rows,
          ),
          out,
          1e-4,
        );
      }));

    test("equals reference, in place or not, with hidden and huge scores", () =>
      property(fc.record({ rows, width, scale: fc.constantFrom(1, 30, 1e4, 1e30), inPlace: fc.boolean(), seed }), (c) =>
        matches((bench) => {
          const values = numbers(c.seed, c.rows * c.width, c.scale);
          for (let i = 0; i < values.length; i++) if (i % c.width > 0 && i % 3 === 0) values[i] = -Infinity;
          const x = bench.put(values);
          const out = c.inPlace ? x : bench.room(values.length);
          bench.device.kernels.softmax(out, x, c.rows, c.width);
          return out;
        }),
      ));

    test("-Infinity gives exactly 0, and one alone exactly 1", async () => {
      const hidden = Float32Array.of(0, -Infinity, 0, -Infinity, -Infinity, -Infinity, -Infinity, 5, -Infinity, -Infinity);
      expect(await softmaxOn(device, hidden, 2)).toEqual(Float32Array.of(0.5, 0, 0.5, 0, 0, 0, 0, 1, 0, 0));
    });

    test("a vocabulary of logits", () =>
      softmaxOn(device, numbers(3, 50257, 20), 1).then(async (out) => expectClose(out, await softmaxOn(reference, numbers(3, 50257, 20), 1), 1e-6)));
  });

  describe("cross-entropy and top", () => {
    test("cross-entropy is minus the log of the softmax, finite for hopeless targets", () =>
      property(fc.record({ rows, width, scale: fc.constantFrom(1, 20, 1e4), seed }), ({ rows, width, scale, seed }) =>
        matches((bench) => {
          const out = bench.room(rows);
          bench.device.kernels.crossEntropy(
            out,
            bench.put(numbers(seed, rows * width, scale)),
            bench.put(integersBelow(seed, rows, width)),
            rows,
            width,
          );
          return out;
        }),
      ));

    test("top agrees with sorting, ties to the lowest index, -Infinity last", () =>
      property(
        fc.record({ rows, width: fc.integer({ min: 1, max: 300 }), share: fc.double({ min: 0, max: 1, noNaN: true }), seed }),
        async ({ rows, width, share, seed }) => {
          const count = Math.max(1, Math.round(share * width));
          const x = numbers(seed, rows * width, 20).map((v) => Math.round(v)); // full of ties
          for (let i = 0; i < x.length; i++) if (i % width > 0 && i % 5 === 0) x[i] = -Infinity;
          const bench = new Bench(device);
          const [ids, values, logSumExp] = [bench.room(rows * count, "i32"), bench.room(rows * count), bench.room(rows)];
          device.kernels.top(ids, values, logSumExp, bench.put(x), rows, width, count);
          const [foundIds, foundValues, foundSums] = [await device.read(ids), await device.read(values), await device.read(logSumExp)];
          for (let r = 0; r < rows; r++) {
            const row = Array.from(x.slice(r * width, (r + 1) * width));
            const order = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, count);
            expect(Array.from(foundIds.slice(r * count, (r + 1) * count))).toEqual(order);
            expect(Array.from(foundValues.slice(r * count, (r + 1) * count))).toEqual(order.map((id) => row[id]));
            const max = Math.max(...row);
            expect(foundSums[r]).toBeCloseTo(max + Math.log(row.reduce((sum, v) => sum + Math.exp(v - max), 0)), 4);
          }
          bench.clear();
        },
      ));
  });

  describe("elementwise and selection", () => {
    test("activations equal reference over all magnitudes, alone and behind linear", async () => {
      const x = Float32Array.from([...numbers(1, 999, 8), 0, -0, 1e-8, -1e-8, 30, -30, 89, -89, 1e4, -1e4, 1e30, -1e30]);
      for (const activation of ACTIVATIONS) {
        await matches((bench) => {
          const buffer = bench.put(x);
          bench.device.kernels.activate(buffer, buffer, activation, x.length); // in place
          return buffer;
        }, 2e-6);
        await matches((bench) => {
          const out = bench.room(x.length);
          bench.device.kernels.linear(out, bench.put(x), bench.matrix(Float32Array.of(1), 1, 1), null, activation, null, x.length);
          return out;
        }, 2e-6);
      }
    });

    test("add, gate, columns, gatherRows, copy and fill equal reference", () =>
      property(
        fc.record({ rows, width, from: width, activation: fc.constantFrom(...ACTIVATIONS), seed }),
        async ({ rows, width, from, activation, seed }) => {
          const wide = numbers(seed, rows * 2 * width, 4);
          const x = numbers(seed + 1, rows * width);
          const y = numbers(seed + 2, rows * width);
          const outOf = (work: (bench: Bench, out: DeviceBuffer) => void, length = rows * width): Promise<void> =>
            matches((bench) => {
              const out = bench.room(length);
              work(bench, out);
              return out;
            }, 2e-6);
          await outOf((bench, out) => bench.device.kernels.add(out, bench.put(x), bench.put(y), x.length));
          await outOf((bench, out) => bench.device.kernels.gate(out, bench.put(wide), activation, rows, width));
          await outOf((bench, out) => bench.device.kernels.columns(out, bench.put(wide), rows, 2 * width, from % (width + 1), width));
          await outOf(
            (bench, out) => bench.device.kernels.gatherRows(out, bench.put(x), bench.put(integersBelow(seed, 9, rows)), 9, width),
            9 * width,
          );
          await outOf((bench, out) => {
            bench.device.kernels.fill(out, -1.5);
            bench.device.kernels.copy(out, 1, bench.put(x), x.length - (from % x.length), from % x.length);
          }, x.length + 1);
        },
      ));

    test("add in place on either side", async () => {
      for (const side of ["a", "b"])
        expect(
          await compute(device, (bench) => {
            const [a, b] = [bench.put(numbers(1, 37)), bench.put(numbers(2, 37))];
            const out = side === "a" ? a : b;
            device.kernels.add(out, a, b, 37);
            return out;
          }),
        ).toEqual(numbers(1, 37).map((v, i) => v + numbers(2, 37)[i]));
    });
  });
});

function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

describe.each(threadPairs)("$name", ({ open }) => {
  /** Large enough that every kernel has work to share out. */
  const works: Record<string, (bench: Bench) => DeviceBuffer> = {
    linear: (bench) => {
      const out = bench.room(70 * 515);
      const bias = bench.put(numbers(3, 515));
      bench.device.kernels.linear(out, bench.put(numbers(1, 70 * 300)), bench.matrix(numbers(2, 515 * 300), 515, 300), bias, "gelu_new", null, 70);
      return out;
    },
    "linear on one row": (bench) => {
      const out = bench.room(3001);
      bench.device.kernels.linear(out, bench.put(numbers(1, 513)), bench.matrix(numbers(2, 3001 * 513), 3001, 513), null, null, null, 1);
      return out;
    },
    matmul: (bench) => {
      const out = bench.room(201 * 203);
      bench.device.kernels.matmul(out, bench.put(numbers(1, 201 * 205)), bench.put(numbers(2, 205 * 203)), 201, 203, 205, false, true, false);
      return out;
    },
    attention: (bench) => fusedAttention(bench, { B: 2, T: 65, KV: 3, H: 6, D: 32, window: 0, past: [10, 0], S: 75, capacity: 80, seed: 1 }),
    "attention in steps": (bench) =>
      attentionInSteps(bench, { B: 2, T: 65, KV: 3, H: 6, D: 32, window: 0, past: [10, 0], S: 75, capacity: 80, seed: 1 }),
    softmax: (bench) => {
      const x = bench.put(numbers(1, 41 * 5003, 9));
      bench.device.kernels.softmax(x, x, 41, 5003);
      return x;
    },
    "layer norm": (bench) => {
      const x = bench.put(numbers(1, 300 * 1027, 9));
      bench.device.kernels.layerNorm(x, x, bench.put(numbers(2, 1027)), bench.put(numbers(3, 1027)), 300, 1027, 1e-5);
      return x;
    },
    gate: (bench) => {
      const out = bench.room(100 * 2001);
      bench.device.kernels.gate(out, bench.put(numbers(1, 100 * 4002, 9)), "silu", 100, 2001);
      return out;
    },
  };
  test.each(Object.keys(works))("%s is the same to the last bit", async (name) => {
    const opened = await Promise.all(open.map((one) => one()));
    const [first, ...others] = await Promise.all(opened.map((device) => compute(device, works[name])));
    for (const other of others) expect(Buffer.compare(bytesOf(other), bytesOf(first))).toBe(0);
    for (const device of opened) device.dispose();
  });
});
