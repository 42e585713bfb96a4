import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { readConfig } from "../model/config-file.ts";
import { dataNote, idRows, largestDifference, noData, openTensors, readJson } from "../model/data.testing.ts";
import { loadLanguageModel } from "../model/load.ts";
import type { LanguageModel } from "../model/model.ts";
import { randomModel } from "../model/random-weights.ts";
import { tapNames } from "../model/taps.ts";
import { capture, positionIn } from "./capture.ts";
import { files, randomIds, twoDevices } from "./models.testing.ts";

describe.each(twoDevices)("capture on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("every activation of %s, its shape without the batch", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const ids = randomIds(1, 7);
    const found = await capture(model, ids, tapNames(model.config));
    expect([...found.keys()]).toEqual(tapNames(model.config));
    const { heads: H, kvHeads, headDimension: D, width: C, mlpWidth: N } = model.config;
    const shapes = Object.fromEntries([...found.values()].map(({ name, shape }) => [name, shape]));
    expect(shapes).toMatchObject({
      hook_embed: [7, C],
      "blocks.1.attn.hook_q": [7, H, D],
      "blocks.1.attn.hook_k": [7, kvHeads, D],
      "blocks.1.attn.hook_z": [7, H, D],
      "blocks.0.attn.hook_pattern": [H, 7, 7],
      "blocks.0.mlp.hook_post": [7, N],
      "blocks.1.hook_resid_post": [7, C],
      logits: [7, 50],
    });
    for (const { shape, data } of found.values()) expect(data.length).toBe(shape.reduce((a, b) => a * b));
    expect(structuredClone(found)).toEqual(found);
    model.dispose();
  });

  test("stars, and one pass however many names", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    let passes = 0;
    const counted: LanguageModel = new Proxy(model, {
      get: (target, name) => {
        if (name === "forward") passes++;
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });
    const found = await capture(counted, [1, 2, 3], ["blocks.*.hook_resid_mid", "hook_embed"]);
    expect([...found.keys()]).toEqual(["hook_embed", ...[0, 1, 2].map((layer) => `blocks.${layer}.hook_resid_mid`)]);
    expect(passes).toBe(1);
    await expect(capture(model, [1], ["blocks.9.hook_resid_mid"])).rejects.toThrow(VitrineError);
    await expect(capture(model, [99], ["hook_embed"])).rejects.toThrow("outside the vocabulary");
    model.dispose();
  });

  test.skipIf(noData)(`PyTorch's activations of a GPT-2 within 1e-4${dataNote}`, async () => {
    const config = readJson("golden/gpt2-tiny/config.json");
    const model = await loadLanguageModel(config, await openTensors("golden/gpt2-tiny/model.safetensors"), device);
    const vectors = await openTensors("golden/gpt2-tiny/vectors.safetensors");
    const [ids] = idRows(await vectors.read("ids"), 24);
    const names = [...vectors.tensors.keys()].filter((name) => name.startsWith("act/blocks.")).map((name) => name.slice(4));
    const found = await capture(model, ids, [...names, "logits"]);
    expect(names.length).toBeGreaterThan(20);
    for (const name of [...names, "logits"]) {
      const { data } = found.get(name.replace(".output", ".hook_normalized"))!; // two names for a norm's output
      expect(largestDifference(data, (await vectors.read(`act/${name}`)).subarray(0, data.length)), name).toBeLessThan(1e-4);
    }
    model.dispose();
  });
});

test("positions count from both ends", () => {
  expect([positionIn([5, 6, 7]), positionIn([5, 6, 7], -3), positionIn([5, 6, 7], 1)]).toEqual([2, 0, 1]);
  for (const position of [3, -4, 0.5, NaN]) expect(() => positionIn([5, 6, 7], position)).toThrow(VitrineError);
});
