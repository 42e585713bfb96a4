import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { readConfig } from "../model/config-file.ts";
import { largestDifference } from "../model/data.testing.ts";
import { randomModel } from "../model/random-weights.ts";
import { capture } from "./capture.ts";
import { matrixOf } from "./matrices.ts";
import { files, randomIds, twoDevices } from "./models.testing.ts";
import { neurons } from "./neurons.ts";

describe.each(twoDevices)("neurons on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("on %s they are those that a walk over all of them finds", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const { mlpWidth: N, width: C, family } = model.config;
    const ids = randomIds(9, 6);
    const [layer, position] = [1, 3];
    const activations = (await capture(model, ids, ["blocks.1.mlp.hook_post"])).get("blocks.1.mlp.hook_post")!.data.subarray(3 * N, 4 * N);
    const down = (await matrixOf(model, { category: "Down-projection", layer })).data;
    const row = (n: number): number[] => Array.from({ length: C }, (_, c) => (family === "gpt2" ? down[n * C + c] : down[c * N + n]));
    const strength = (n: number): number => Math.abs(activations[n]) * Math.hypot(...row(n));
    const order = [...activations.keys()].sort((a, b) => strength(b) - strength(a));

    const found = await neurons(model, ids, layer, { position, count: 8, tokens: 4 });
    expect(found).toMatchObject({ layer, position });
    expect(found.neurons.map(({ index }) => index)).toEqual(order.slice(0, 8));
    const unembedding = (await matrixOf(model, { category: "Unembedding" })).data;
    for (const { index, activation, strength: told, promotes, suppresses } of found.neurons) {
      expect(activation).toBeCloseTo(activations[index], 5);
      expect(told).toBeCloseTo(strength(index), 4);
      const written = row(index).map((x) => x * Math.sign(activation));
      const mean = family === "gpt2" ? written.reduce((a, b) => a + b) / C : 0;
      const logits = Array.from({ length: 50 }, (_, v) => written.reduce((sum, x, c) => sum + (x - mean) * unembedding[v * C + c], 0));
      const sorted = logits.toSorted((a, b) => b - a);
      expect(largestDifference(promotes.map(({ amount }) => amount), sorted.slice(0, 4))).toBeLessThan(1e-4); // prettier-ignore
      expect(largestDifference(suppresses.map(({ amount }) => amount), sorted.toReversed().slice(0, 4))).toBeLessThan(1e-4); // prettier-ignore
      for (const { id, amount } of [...promotes, ...suppresses]) expect(amount).toBeCloseTo(logits[id], 4);
    }
    expect(structuredClone(found)).toEqual(found);
    model.dispose();
  });

  test("refuses what is not there", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    await expect(neurons(model, [1], 3)).rejects.toThrow(VitrineError);
    for (const wrong of [{ position: 1 }, { count: 0 }, { tokens: 1.5 }]) await expect(neurons(model, [1], 0, wrong)).rejects.toThrow(VitrineError);
    model.dispose();
  });
});
