import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { readConfig } from "../model/config-file.ts";
import { largestDifference } from "../model/data.testing.ts";
import type { LanguageModel } from "../model/model.ts";
import { randomModel } from "../model/random-weights.ts";
import { tensor } from "../tensor/tensor.ts";
import { capture } from "./capture.ts";
import { forwardWith } from "./edits.ts";
import type { Edit } from "./inspection.ts";
import { logitLens } from "./lens.ts";
import { files, randomIds, twoDevices } from "./models.testing.ts";

function everything(model: LanguageModel, scale: number): Edit[] {
  const { layers, heads } = model.config;
  return Array.from({ length: layers }, (_, layer): Edit[] => [
    ...Array.from({ length: heads }, (_, head): Edit => ({ kind: "head", layer, head, scale })),
    { kind: "mlp", layer, scale },
  ]).flat();
}

/** What the biases of all blocks add to the stream. */
async function biases(model: LanguageModel): Promise<Float32Array> {
  const sum = new Float32Array(model.config.width);
  for await (const { name, values } of model.parameters())
    if (/(c_proj|o_proj|down_proj)\.bias$/.test(name)) for (const [i, value] of values.entries()) sum[i] += value;
  return sum;
}

describe.each(twoDevices)("edits on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  describe.each(files)("%s", (_, file) => {
    let model: LanguageModel;
    const ids = randomIds(5, 11);
    beforeAll(async () => {
      model = await randomModel(readConfig(file), device, 3, 0.3);
    });
    afterAll(() => model.dispose());

    test("a scale of 1 changes no bit", async () => {
      const plain = await forwardWith(model, ids, []);
      expect(await forwardWith(model, ids, everything(model, 1))).toEqual(plain);
      const logits = (await capture(model, ids, ["logits"])).get("logits")!.data;
      expect(largestDifference(plain, logits.subarray(-50))).toBeLessThan(1e-5);
    });

    test("all muted: embedding, positions and biases are left, which is the lens before the first block where there are no biases", async () => {
      const stream = (await capture(model, ids, ["blocks.0.hook_resid_pre"])).get("blocks.0.hook_resid_pre")!.data.slice(-model.config.width);
      const added = await biases(model);
      const start = tensor(
        device,
        stream.map((x, i) => x + added[i]),
        [1, model.config.width],
      );
      const expected = model.unembed(start);
      const muted = await forwardWith(model, ids, everything(model, 0));
      expect(largestDifference(muted, await expected.read())).toBeLessThan(1e-4);
      for (const made of [start, expected]) made.dispose();
      if (added.every((x) => x === 0)) {
        const lens = await logitLens(model, ids, { positions: [-1], top: 50 });
        expect(
          largestDifference(
            lens.logits.subarray(0, 50),
            Array.from(lens.ids.subarray(0, 50), (id) => muted[id]),
          ),
        ).toBeLessThan(1e-4);
      }
    });

    test("a muted head is one whose z is zero, and only that", async () => {
      const [layer, head] = [1, 1];
      const z = `blocks.${layer}.attn.hook_z`;
      const { heads: H, headDimension: D } = model.config;
      const plain = await forwardWith(model, ids, []);
      const muted = await forwardWith(model, ids, [{ kind: "head", layer, head, scale: 0 }]);
      expect(largestDifference(muted, plain)).toBeGreaterThan(1e-3);
      const data = (await capture(model, ids, [z])).get(z)!.data.map((x, i) => (Math.floor(i / D) % H === head ? 0 : x));
      const byHand = model.forward([ids], { taps: { listener: (name) => (name === z ? (x) => tensor(device, data, x.shape) : undefined) } });
      expect(largestDifference(muted, await byHand.read())).toBeLessThan(1e-5);
      byHand.dispose();
    });

    test("an attention layer is all its heads; scales on one part multiply", async () => {
      const heads = Array.from({ length: model.config.heads }, (_, head): Edit => ({ kind: "head", layer: 0, head, scale: 0.5 }));
      const together = await forwardWith(model, ids, [{ kind: "attention", layer: 0, scale: 0.5 }]);
      expect(largestDifference(await forwardWith(model, ids, heads), together)).toBeLessThan(1e-5);
      const twice: Edit = { kind: "mlp", layer: 1, scale: 0.5 };
      const four = await forwardWith(model, ids, [{ kind: "mlp", layer: 1, scale: 0.25 }]);
      expect(largestDifference(await forwardWith(model, ids, [twice, twice]), four)).toBeLessThan(1e-5);
    });

    test("refuses parts that are not there", async () => {
      const { layers, heads } = model.config;
      const wrong: Edit[] = [
        { kind: "head", layer: 0, head: heads, scale: 0 },
        { kind: "mlp", layer: layers, scale: 0 },
        { kind: "attention", layer: -1, scale: 0 },
        { kind: "mlp", layer: 0, scale: NaN },
      ];
      for (const edit of wrong) await expect(forwardWith(model, ids, [edit])).rejects.toThrow(VitrineError);
    });
  });
});
