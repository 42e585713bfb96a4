import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { readConfig } from "../model/config-file.ts";
import { largestDifference } from "../model/data.testing.ts";
import { randomModel } from "../model/random-weights.ts";
import { capture } from "./capture.ts";
import type { WeightBlock } from "./inspection.ts";
import { matrixOf } from "./matrices.ts";
import type { MatrixCategory } from "./matrices.ts";
import { files, twoDevices } from "./models.testing.ts";

/** x W, whichever way W lies. */
function times(x: readonly number[], { shape, data }: WeightBlock, inputsFirst: boolean): number[] {
  const [rows, columns] = shape;
  return Array.from({ length: inputsFirst ? columns : rows }, (_, o) =>
    x.reduce((sum, value, i) => sum + value * (inputsFirst ? data[i * columns + o] : data[o * columns + i]), 0),
  );
}

describe.each(twoDevices)("matrices on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("every tensor of %s, whole and a block of it", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    for await (const { name, shape, values } of model.parameters()) {
      const [height, width] = shape.length === 1 ? [1, shape[0]] : shape;
      expect(await matrixOf(model, name)).toEqual({ name, shape: [height, width], rows: [0, height], columns: [0, width], data: values });
      const block = await matrixOf(model, name, [Math.min(2, height - 1), 3], [1, 4]);
      expect(block.columns).toEqual([1, 4]);
      const [row, rows] = block.rows;
      expect(row + rows).toBeLessThanOrEqual(height);
      const expected = Array.from({ length: rows * 4 }, (_, i) => values[(row + Math.floor(i / 4)) * width + 1 + (i % 4)]);
      expect([...block.data]).toEqual(expected);
    }
    model.dispose();
  });

  test.each(files)("the lecture's names find what %s computes with", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const { config } = model;
    const { headDimension: D, heads: H, kvHeads: KV, mlpWidth: N } = config;
    const inputsFirst = config.family === "gpt2";
    const [layer, head] = [1, H - 1];
    const at = `blocks.${layer}.`;
    const gated = config.family === "llama" ? ["mlp.hook_pre_linear"] : [];
    const names = ["ln1.hook_normalized", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "hook_attn_out", "ln2.hook_normalized", "mlp.hook_pre", ...gated, "mlp.hook_post", "hook_mlp_out"]; // prettier-ignore
    const heard = await capture(model, [3, 4], names.map((name) => at + name)); // prettier-ignore
    /** What changes from the first position to the second: biases cancel. */
    const change = (name: string, from = 0, length?: number): number[] => {
      const { data } = heard.get(at + name)!;
      const width = data.length / 2;
      return Array.from({ length: length ?? width }, (_, i) => data[width + from + i] - data[from + i]);
    };
    const check = async (category: MatrixCategory, input: number[], expected: number[], ofHead?: number): Promise<void> => {
      const block = await matrixOf(model, { category, layer, head: ofHead });
      expect(largestDifference(times(input, block, inputsFirst), expected), category).toBeLessThan(1e-4);
    };
    const calm = change("ln1.hook_normalized");
    await check("Query", calm, change("attn.hook_q", head * D, D), head);
    await check("Key", calm, change("attn.hook_k", (KV - 1) * D, D), head);
    await check("Value", calm, change("attn.hook_v", (KV - 1) * D, D), head);
    await check("Value", calm, change("attn.hook_v"));
    await check("Output", change("attn.hook_z"), change("hook_attn_out"));
    await check("Up-projection", change("ln2.hook_normalized"), change(gated[0] ?? "mlp.hook_pre"));
    if (gated.length > 0) await check("Gate-projection", change("ln2.hook_normalized"), change("mlp.hook_pre"));
    await check("Down-projection", change("mlp.hook_post"), change("hook_mlp_out"));
    expect((await matrixOf(model, { category: "Output", layer, head })).shape).toEqual(inputsFirst ? [D, config.width] : [config.width, D]);
    expect((await matrixOf(model, { category: "Down-projection", layer })).shape).toEqual(inputsFirst ? [N, config.width] : [config.width, N]);
    const unembedding = await matrixOf(model, { category: "Unembedding" });
    expect(unembedding.name).toBe(config.tied ? (await matrixOf(model, { category: "Embedding" })).name : "lm_head.weight");
    expect(unembedding.shape).toEqual([50, config.width]);
    model.dispose();
  });

  test("reads from the device only the rows that hold the block", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    const read: number[] = [];
    const original = device.readMatrix.bind(device);
    device.readMatrix = (matrix, output, outputs) => (read.push(outputs ?? matrix.outputs), original(matrix, output, outputs));
    await matrixOf(model, { category: "Embedding" }, [10, 3], [0, 3]);
    await matrixOf(model, { category: "Query", layer: 0, head: 1 }, [0, 9], [2, 4]);
    device.readMatrix = original;
    expect(read).toEqual([3, 4]);
    model.dispose();
  });

  test("refuses what is not there, and says what is", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    await expect(matrixOf(model, "transformer.h.0.attn.c_atn.weight")).rejects.toThrow("did you mean transformer.h.0.attn.c_attn.weight?");
    for (const wrong of [
      { category: "Gate-projection", layer: 0 },
      { category: "Query" },
      { category: "Query", layer: 3 },
      { category: "Query", layer: 0, head: 3 },
      { category: "Up-projection", layer: 0, head: 0 },
    ] as const)
      await expect(matrixOf(model, wrong)).rejects.toThrow(VitrineError);
    await expect(matrixOf(model, "transformer.wte.weight", [-1, 3])).rejects.toThrow(VitrineError);
    expect((await matrixOf(model, "transformer.wte.weight", [49, 9], [90, 9])).data).toEqual(new Float32Array(0));
    await expect(model.readParameter("transformer.wte.weight", { rows: [49, 2] })).rejects.toThrow("ask for a part that lies inside");
    model.dispose();
  });
});
