import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { readConfig } from "../model/config-file.ts";
import { largestDifference } from "../model/data.testing.ts";
import { randomModel } from "../model/random-weights.ts";
import { headStages, patterns, poolLargest } from "./attention.ts";
import { matrixOf } from "./matrices.ts";
import { files, randomIds, twoDevices } from "./models.testing.ts";

describe.each(twoDevices)("attention on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("every step of a head of %s follows from the one before", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const { headDimension: D, heads: H, kvHeads: KV, width: C, family, attentionWindow } = model.config;
    const ids = randomIds(7, 9);
    const T = 9;
    const [layer, head] = [1, H - 1];
    const stages = await headStages(model, ids, layer, head);
    expect(stages).toMatchObject({ layer, head, keyHead: KV - 1, positions: T, headDimension: D });
    const { q, k, v, scores, pattern, z, weighted } = stages;
    const sees = (i: number, j: number): boolean => j <= i && (attentionWindow === 0 || i - j < attentionWindow);
    for (let i = 0; i < T; i++) {
      const row = Array.from({ length: T }, (_, j) => {
        let dot = 0;
        for (let d = 0; d < D; d++) dot += q[i * D + d] * k[j * D + d];
        return sees(i, j) ? dot / Math.sqrt(D) : -Infinity;
      });
      expect(largestDifference(scores.subarray(i * T, (i + 1) * T), row)).toBeLessThan(1e-4);
      const weights = row.map((score) => Math.exp(score));
      const sum = weights.reduce((a, b) => a + b);
      expect(largestDifference(pattern.subarray(i * T, (i + 1) * T), weights.map((w) => w / sum))).toBeLessThan(1e-4); // prettier-ignore
      for (let d = 0; d < D; d++)
        expect(z[i * D + d]).toBeCloseTo(
          weights.reduce((mix, w, j) => mix + (w / sum) * v[j * D + d], 0),
          4,
        );
    }
    const output = (await matrixOf(model, { category: "Output", layer, head })).data;
    for (let j = 0; j < T; j++) {
      const written = Array.from({ length: C }, (_, c) => {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += v[j * D + d] * (family === "gpt2" ? output[d * C + c] : output[c * D + d]);
        return sum;
      });
      for (let i = 0; i < T; i++) expect(weighted[i * T + j]).toBeCloseTo(pattern[i * T + j] * Math.hypot(...written), 4);
    }
    expect(structuredClone(stages)).toEqual(stages);
    model.dispose();
  });

  test("the mosaic has every head's pattern, whole or made smaller", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    const ids = randomIds(8, 10);
    const whole = await patterns(model, ids);
    expect(whole).toMatchObject({ from: 0, to: 3, heads: 3, positions: 10, size: 10 });
    const small = await patterns(model, ids, { layers: [1, 3], largest: 4 });
    expect(small).toMatchObject({ from: 1, to: 3, heads: 3, positions: 10, size: 4 });
    for (let layer = 0; layer < 3; layer++)
      for (let head = 0; head < 3; head++) {
        const { pattern } = await headStages(model, ids, layer, head);
        const at = layer * 3 + head;
        expect(largestDifference(whole.data.subarray(at * 100, (at + 1) * 100), pattern)).toBeLessThan(1e-6);
        if (layer === 0) continue;
        expect(largestDifference(small.data.subarray((at - 3) * 16, (at - 2) * 16), poolLargest(pattern, 10, 4))).toBeLessThan(1e-6);
      }
    for (const wrong of [{ layers: [0, 4] as const }, { layers: [2, 2] as const }, { largest: 0 }])
      await expect(patterns(model, ids, wrong)).rejects.toThrow(VitrineError);
    await expect(headStages(model, ids, 0, 3)).rejects.toThrow(VitrineError);
    model.dispose();
  });
});

test("a smaller picture keeps every peak in its block, and nothing else", () => {
  const picture = fc.integer({ min: 1, max: 30 }).chain((T) =>
    fc.record({
      T: fc.constant(T),
      size: fc.integer({ min: 1, max: T }),
      numbers: fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: T * T, maxLength: T * T }),
    }),
  );
  fc.assert(
    fc.property(picture, ({ T, size, numbers }) => {
      const pooled = poolLargest(Float32Array.from(numbers), T, size);
      const blocks = Array.from({ length: size * size }, (): number[] => []);
      for (const [i, x] of numbers.entries()) blocks[Math.floor((Math.floor(i / T) * size) / T) * size + Math.floor(((i % T) * size) / T)].push(x);
      expect([...pooled]).toEqual(blocks.map((block) => Math.max(...block)));
    }),
  );
});
