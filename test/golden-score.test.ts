/** `score` against PyTorch: the probability of every next token, worked out here in fp64 from the logits that PyTorch published. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../src/device/device.ts";
import { devices } from "../src/device/devices.testing.ts";
import { byteTokenizer } from "../src/generation/fake.testing.ts";
import { score } from "../src/generation/score.ts";
import { dataNote, idRows, noData, openTensors, readJson } from "../src/model/data.testing.ts";
import { loadLanguageModel } from "../src/model/load.ts";
import type { LanguageModel } from "../src/model/model.ts";

/** -log softmax(logits)[id] */
function lossOf(logits: Float32Array, id: number): number {
  const most = Math.max(...logits);
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - logits[id];
}

describe.skipIf(noData).each(devices)(`score on $name${dataNote}`, ({ open }) => {
  let device: Device;
  let model: LanguageModel;

  beforeAll(async () => {
    device = await open();
    const weights = await openTensors("golden/gpt2-tiny/model.safetensors");
    model = await loadLanguageModel(readJson("golden/gpt2-tiny/config.json"), weights, device);
  });
  afterAll(() => device?.dispose());

  test("gives PyTorch's loss at every position, within 1e-4", async () => {
    const vectors = await openTensors("golden/gpt2-tiny/vectors.safetensors");
    const published = await vectors.read("act/logits"); // (2, 24, 512)
    const rows = idRows(await vectors.read("ids"), 24);
    for (const [b, ids] of rows.entries()) {
      let scored = 0;
      for await (const step of score(model, byteTokenizer(512), ids)) {
        if (!("logprob" in step)) continue;
        const at = (b * 24 + step.position - 1) * 512;
        expect(Math.abs(-step.logprob - lossOf(published.subarray(at, at + 512), ids[step.position]))).toBeLessThan(1e-4);
        scored++;
      }
      expect(scored).toBe(23);
    }
  });
});
