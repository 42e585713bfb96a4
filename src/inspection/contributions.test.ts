import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { attachAdapters } from "../model/adapters.ts";
import { readConfig } from "../model/config-file.ts";
import { dataNote, noData, openTensors, readJson } from "../model/data.testing.ts";
import { loadLanguageModel } from "../model/load.ts";
import { randomModel } from "../model/random-weights.ts";
import { capture } from "./capture.ts";
import { contributions } from "./contributions.ts";
import type { Contributions } from "./inspection.ts";
import { matrixOf } from "./matrices.ts";
import { files, randomIds, twoDevices } from "./models.testing.ts";

function total({ pushes }: Contributions): number {
  return pushes.reduce((sum, { amount }) => sum + amount, 0);
}

describe.each(twoDevices)("contributions on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("on %s the pushes sum to the logit, at every position, for any token", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const ids = randomIds(6, 9);
    const logits = (await capture(model, ids, ["logits"])).get("logits")!.data;
    for (const position of [0, 4, 8])
      for (const target of [0, 17, 49]) {
        const row = logits.subarray(position * 50, (position + 1) * 50);
        const found = await contributions(model, ids, { position, target });
        expect(found).toMatchObject({ position, target, relative: false });
        expect(found.logit).toBeCloseTo(row[target], 4);
        expect(Math.abs(total(found) - row[target])).toBeLessThan(1e-3);
        const relative = await contributions(model, ids, { position, target, relative: true });
        expect(relative.logit).toBeCloseTo(row[target] - row.reduce((a, b) => a + b) / 50, 4);
        expect(Math.abs(total(relative) - relative.logit)).toBeLessThan(1e-3);
      }
    model.dispose();
  });

  test.each([files[0], files[3]])("on %s every part has its place, and by default the favourite is explained", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const { layers, heads, family } = model.config;
    const found = await contributions(model, [1, 2, 3]);
    const logits = (await capture(model, [1, 2, 3], ["logits"])).get("logits")!.data.subarray(100);
    expect([found.position, found.target]).toEqual([2, logits.indexOf(Math.max(...logits))]);
    const places = found.pushes.map(({ kind, layer, head }) => [kind, layer, head]);
    const block = (layer: number): unknown[] => [
      ...Array.from({ length: heads }, (_, head) => ["head", layer, head]),
      ["attention-bias", layer, -1],
      ["mlp", layer, -1],
    ];
    const start = [["embedding", -1, -1], ...(family === "gpt2" ? [["positions", -1, -1]] : [])];
    const end = family === "gpt2" ? [["norm-bias", -1, -1]] : [];
    expect(places).toEqual([...start, ...Array.from({ length: layers }, (_, layer) => block(layer)).flat(), ...end]);
    model.dispose();
  });

  test("a head's push is its values times its rows of W_O, read by the unembedding", async () => {
    const model = await randomModel(readConfig(files[2][1]), device, 3, 0.3); // llama, untied, no biases
    const [layer, head, target] = [1, 4, 20];
    const { headDimension: D, width: C, heads: H, normEpsilon } = model.config;
    const names = [`blocks.${layer}.attn.hook_z`, "blocks.1.hook_resid_post"];
    const found = await capture(model, [7, 8, 9], names);
    const z = found.get(names[0])!.data.subarray((2 * H + head) * D, (2 * H + head + 1) * D);
    const stream = found.get(names[1])!.data.subarray(2 * C);
    const output = (await matrixOf(model, { category: "Output", layer, head })).data; // (C, D)
    const gain = await model.readParameter("model.norm.weight");
    const reader = await model.readParameter("lm_head.weight", { rows: [target, 1] });
    const root = Math.sqrt(stream.reduce((sum, x) => sum + x * x, 0) / C + normEpsilon);
    let expected = 0;
    for (let c = 0; c < C; c++) for (let d = 0; d < D; d++) expected += (output[c * D + d] * z[d] * gain[c] * reader[c]) / root;
    const push = (await contributions(model, [7, 8, 9], { target })).pushes.find((one) => one.layer === layer && one.head === head)!;
    expect(push.amount).toBeCloseTo(expected, 5);
    model.dispose();
  });

  test("relative pushes of a part are zero in the mean over the vocabulary", async () => {
    const model = await randomModel(readConfig(files[1][1]), device, 3, 0.3);
    const sums = new Map<number, number>();
    for (let target = 0; target < 50; target++)
      for (const [i, { amount }] of (await contributions(model, [4, 5], { target, relative: true })).pushes.entries())
        sums.set(i, (sums.get(i) ?? 0) + amount);
    for (const sum of sums.values()) expect(Math.abs(sum)).toBeLessThan(1e-3);
    model.dispose();
  });

  test("adapters are heard too", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    const adapters = attachAdapters(model, { rank: 2, alpha: 4, targets: ["attn.c_proj", "mlp.c_proj"] });
    for (const { name, weights } of adapters.learnable())
      if (name.includes("lora_B") && "outputs" in weights) {
        const { outputs, inputs } = weights;
        const values = Float32Array.from({ length: outputs * inputs }, (_, i) => Math.sin(i));
        device.writeMatrix(weights, values, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
      }
    const plain = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    const found = await contributions(model, [1, 2, 3], { target: 5 });
    expect(Math.abs(found.logit - (await contributions(plain, [1, 2, 3], { target: 5 })).logit)).toBeGreaterThan(0.01);
    expect(Math.abs(total(found) - found.logit)).toBeLessThan(1e-3);
    adapters.detach();
    for (const each of [model, plain]) each.dispose();
  });

  test.skipIf(noData)(`a trained model's logits come apart and together again${dataNote}`, async () => {
    const folder = "stories260K";
    const model = await loadLanguageModel(readJson(`${folder}/config.json`), await openTensors(`${folder}/model.safetensors`), device);
    const { ids } = readJson(`${folder}/published-greedy-story.json`) as { ids: number[] };
    const found = await contributions(model, ids.slice(0, 6));
    expect(found.target).toBe(ids[6]); // the story is greedy
    expect(Math.abs(total(found) - found.logit)).toBeLessThan(1e-3);
    model.dispose();
  });

  test("refuses what is not there", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    for (const wrong of [{ position: 3 }, { target: 50 }, { target: -1 }])
      await expect(contributions(model, [1, 2, 3], wrong)).rejects.toThrow(VitrineError);
    model.dispose();
  });
});
