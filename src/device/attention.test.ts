/**
 * The one test body of all devices, second half: rotary positions, the key/value cache and attention.
 * What no query may see is NaN in these caches, as memory never written may be.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices } from "./devices.testing.ts";
import type { Device, DeviceBuffer } from "./device.ts";
import {
  attentionCase,
  attentionInputs,
  attentionInSteps,
  Bench,
  compute,
  expectClose,
  fusedAttention,
  numbers,
  property,
  rotaryTables,
  seed,
} from "./kernel-cases.testing.ts";
import { openReference } from "./reference/reference.ts";

describe.each(devices)("attention on device $name", ({ open }) => {
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
    const rope = (bench: Bench, c: typeof ropeCase extends fc.Arbitrary<infer R> ? R : never): DeviceBuffer => {
      const [rotary, D] = [2 * c.half, 2 * c.half + c.rest];
      const x = bench.put(numbers(c.seed, c.B * c.T * c.heads * D));
      const out = c.inPlace ? x : bench.room(x.length);
      bench.device.kernels.rope(out, x, bench.put(rotaryTables(64, rotary)), bench.put(Int32Array.from(c.past)), c.B, c.T, c.heads, D, rotary);
      return out;
    };

    test("equals reference, in place or not, with part of a head turning", () => property(ropeCase, (c) => matches((bench) => rope(bench, c), 2e-6)));

    test("preserves the length of every head and leaves position 0 alone", () =>
      property(ropeCase, async (c) => {
        const D = 2 * c.half + c.rest;
        const x = numbers(c.seed, c.B * c.T * c.heads * D);
        const turned = await compute(device, (bench) => rope(bench, { ...c, past: [0, 0, 0] }));
        const norm = (values: Float32Array, at: number): number => Math.hypot(...values.slice(at, at + D));
        for (let at = 0; at < x.length; at += D) expect(norm(turned, at)).toBeCloseTo(norm(x, at), 4);
        for (let b = 0; b < c.B; b++)
          for (let i = 0; i < c.heads * D; i++) expect(turned[b * c.T * c.heads * D + i]).toBe(x[b * c.T * c.heads * D + i]);
      }));

    test("products of turned queries and keys depend on their distance only", async () => {
      const [D, tables] = [16, rotaryTables(64, 16)];
      const at = async (values: Float32Array, position: number): Promise<Float32Array> =>
        compute(device, (bench) => {
          const out = bench.room(D);
          device.kernels.rope(out, bench.put(values), bench.put(tables), bench.put(Int32Array.of(position)), 1, 1, 1, D, D);
          return out;
        });
      const [q, k] = [numbers(1, D), numbers(2, D)];
      const product = async (i: number, j: number): Promise<number> => {
        const [turnedQ, turnedK] = [await at(q, i), await at(k, j)];
        return turnedQ.reduce((sum, v, d) => sum + v * turnedK[d], 0);
      };
      expect(await product(7, 3)).toBeCloseTo(await product(44, 40), 4);
      expect(Math.abs((await product(7, 3)) - (await product(7, 2)))).toBeGreaterThan(1e-3);
    });
  });

  describe("attention", () => {
    test("equals reference", () => property(attentionCase, (c) => matches((bench) => fusedAttention(bench, c))));

    test("equals scores, softmax and mix", () =>
      property(attentionCase, async (c) => {
        const inSteps = await compute(device, (bench) => attentionInSteps(bench, c));
        expectClose(await compute(device, (bench) => fusedAttention(bench, c)), inSteps);
      }));

    test("each step equals reference, and hides what may not be seen", () =>
      property(attentionCase, async (c) => {
        await matches((bench) => {
          const { q, keys, sizes } = attentionInputs(bench, c);
          const scores = bench.room(c.B * c.H * c.T * c.S);
          bench.device.kernels.attentionScores(scores, q, keys, sizes, c.S);
          return scores;
        });
        await matches((bench) => attentionInSteps(bench, c));
      }));

    test("with large scores and long caches equals reference", async () => {
      for (const [T, past, D] of [
        [1, 600, 64],
        [70, 30, 16],
        [33, 0, 80],
        [130, 0, 24],
      ]) {
        const c = { B: 1, T, KV: 2, H: 4, D, window: 0, past: [past], S: past + T, capacity: past + T + 3, seed: T };
        await matches((bench) => {
          const { q, keys, values, sizes } = attentionInputs(bench, c);
          const out = bench.room(T * 4 * D);
          bench.device.kernels.attention(out, q, keys, values, { ...sizes, scale: 10 });
          return out;
        }, 2e-4);
      }
    });

    test("one position at a time over a cache equals all at once", () =>
      property(
        fc.record({
          B: fc.integer({ min: 1, max: 2 }),
          T: fc.integer({ min: 2, max: 9 }),
          KV: fc.integer({ min: 1, max: 2 }),
          D: fc.integer({ min: 1, max: 20 }),
          window: fc.constantFrom(0, 3),
          seed,
        }),
        async (c) => {
          const [H, capacity] = [2 * c.KV, c.T + 1];
          const full = { ...c, H, capacity };
          const [q, k, v] = [
            numbers(c.seed, c.B * c.T * H * c.D),
            numbers(c.seed + 1, c.B * c.T * c.KV * c.D),
            numbers(c.seed + 2, c.B * c.T * c.KV * c.D),
          ];
          const pass = (bench: Bench, caches: readonly DeviceBuffer[], from: number, T: number): DeviceBuffer => {
            const cut = (values: Float32Array, width: number): DeviceBuffer =>
              bench.put(
                Float32Array.from(
                  { length: c.B * T * width },
                  (_, i) => values[(Math.floor(i / (T * width)) * c.T + from) * width + (i % (T * width))],
                ),
              );
            const sizes = bench.sizes(
              { ...full, T },
              Array.from({ length: c.B }, () => from),
            );
            device.kernels.append(caches[0], cut(k, c.KV * c.D), sizes.past, c.B, T, c.KV, c.D, capacity);
            device.kernels.append(caches[1], cut(v, c.KV * c.D), sizes.past, c.B, T, c.KV, c.D, capacity);
            const out = bench.room(c.B * T * H * c.D);
            device.kernels.attention(out, cut(q, H * c.D), caches[0], caches[1], sizes);
            return out;
          };
          const bench = new Bench(device);
          const room = (): DeviceBuffer[] => [bench.room(c.B * c.KV * capacity * c.D), bench.room(c.B * c.KV * capacity * c.D)];
          const atOnce = await device.read(pass(bench, room(), 0, c.T));
          const caches = room();
          for (let t = 0; t < c.T; t++) {
            const step = await device.read(pass(bench, caches, t, 1));
            for (let b = 0; b < c.B; b++)
              expectClose(step.slice(b * H * c.D, (b + 1) * H * c.D), atOnce.slice((b * c.T + t) * H * c.D, (b * c.T + t + 1) * H * c.D));
          }
          bench.clear();
        },
      ));

    test("on blocks of every size, with and without a window, equals reference", async () => {
      for (const [T, past, D, window] of [
        [6, 100, 8, 0], // few queries, many keys
        [150, 37, 12, 70],
        [90, 0, 33, 1],
        [64, 64, 16, 128],
        [20, 5, 300, 0], // fewer queries in a block, so that it fits on a thread's stack
        [40, 3, 700, 9],
      ]) {
        const c = { B: 2, T, KV: 1, H: 3, D, window, past: [past, past >> 1], S: past + T, capacity: past + T + 2, seed: T };
        await matches((bench) => fusedAttention(bench, c), 2e-5);
      }
    });

    test("a prompt read in two parts gives the same bits as at once", async () => {
      const [whole, first, heads, D] = [200, 83, 2, 24];
      const [q, k, v] = [1, 2, 3].map((seed) => numbers(seed, whole * heads * D));
      for (const window of [0, 90]) {
        const bench = new Bench(device);
        const read = async (parts: readonly (readonly [number, number])[]): Promise<number[]> => {
          const caches = [bench.room(whole * heads * D), bench.room(whole * heads * D)];
          const found: number[] = [];
          for (const [from, to] of parts) {
            const sizes = bench.sizes({ B: 1, T: to - from, H: heads, KV: heads, D, capacity: whole, window }, [from]);
            const cut = (values: Float32Array): DeviceBuffer => bench.put(values.slice(from * heads * D, to * heads * D));
            device.kernels.append(caches[0], cut(k), sizes.past, 1, to - from, heads, D, whole);
            device.kernels.append(caches[1], cut(v), sizes.past, 1, to - from, heads, D, whole);
            const out = bench.room((to - from) * heads * D);
            device.kernels.attention(out, cut(q), caches[0], caches[1], sizes);
            found.push(...(await device.read(out)));
          }
          return found;
        };
        const atOnce = await read([[0, whole]]);
        const inTwo = await read([[0, first], [first, whole]]); // prettier-ignore
        expect(inTwo).toEqual(atOnce);
        bench.clear();
      }
    });

    test("append equals reference and touches nothing else", () =>
      property(attentionCase, (c) =>
        matches((bench) => {
          const cache = bench.put(new Float32Array(c.B * c.KV * c.capacity * c.D).fill(-7));
          bench.device.kernels.append(
            cache,
            bench.put(numbers(c.seed, c.B * c.T * c.KV * c.D)),
            bench.put(Int32Array.from(c.past)),
            c.B,
            c.T,
            c.KV,
            c.D,
            c.capacity,
          );
          return cache;
        }),
      ));
  });
});
