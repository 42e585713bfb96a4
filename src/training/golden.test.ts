/** Published numbers: four losses, the gradient norm and the weights after three clipped AdamW steps, as PyTorch computed them for a tiny GPT-2. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import { dataNote, idRows, largestDifference, noData, openTensors, readJson } from "../model/data.testing.ts";
import { loadLanguageModel } from "../model/load.ts";
import type { Batches } from "./batch.ts";
import { meanLoss } from "./evaluate.ts";
import { AdamW } from "./optimiser.ts";
import { trainSettings } from "./settings.ts";
import { trainStep } from "./step.ts";

describe.skipIf(noData).each(devices)(`three steps on $name${dataNote}`, ({ open }) => {
  let device: Device;
  beforeAll(async () => void (device = await open()));
  afterAll(() => device.dispose());

  test("losses, gradient norm and weights are PyTorch's", async () => {
    const vectors = await openTensors("golden/gpt2-tiny/vectors.safetensors");
    const model = await loadLanguageModel(readJson("golden/gpt2-tiny/config.json"), await openTensors("golden/gpt2-tiny/model.safetensors"), device);
    const inputs = idRows(await vectors.read("ids"), 24);
    const targets = Int32Array.from(await vectors.read("targets"));
    const batch = { inputs, targets, counted: targets.length };
    const batches: Batches = { next: () => batch, state: () => [1, 0, 0, 0] };
    const options = { steps: 3, batch: 2, learningRate: 1e-3, leastLearningRate: 1e-3, warmup: 0 };
    const settings = trainSettings(options, 64); // the rest is as PyTorch had it: betas 0.9 and 0.95, epsilon 1e-8, decay 0.1, clip 1
    const optimiser = new AdamW(device, model.learnable(), settings);
    const losses: number[] = [];
    for (let step = 1; step <= 3; step++) {
      const result = await trainStep({ model, optimiser, batches, settings, step, saved: "" });
      losses.push(result.loss);
      if (step === 1) expect(result.gradientNorm).toBeCloseTo((await vectors.read("grad_norm"))[0], 3);
    }
    losses.push((await meanLoss(model, [batch]))!);
    expect(largestDifference(Float32Array.from(losses), await vectors.read("losses"))).toBeLessThan(1e-4);
    let noisy = 0;
    for await (const { name, values } of model.parameters()) {
      const key = name.replace("transformer.", "");
      const [expected, gradient] = [await vectors.read(`after3/${key}`), await vectors.read(`grad/${key}`)];
      const noise = 1e-5 * Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0) / gradient.length);
      // Where the gradient is nothing but rounding, AdamW still makes whole steps, of either sign; nobody's are the right ones. So it is
      // with biases on keys (they move all scores of a query alike, which softmax does not see) and with a few weights by chance.
      const isBias = key.endsWith("attn.c_attn.bias");
      const isNoise = gradient.map((value) => (Math.abs(value) < noise && (isBias || value !== 0) ? 1 : 0)); // 0 is certain: unused positions
      const certain = expected.map((value, i) => (isNoise[i] ? values[i] : value));
      expect(largestDifference(values, certain), name).toBeLessThan(1e-4);
      expect(largestDifference(values, expected), name).toBeLessThanOrEqual(6e-3); // three steps to either side
      if (!isBias) noisy += isNoise.reduce((sum, value) => sum + value, 0);
    }
    expect(noisy).toBeLessThan(40); // of 136,000
    optimiser.dispose();
    model.dispose();
  });
});
