/**
 * Small weights in the words of the product: what a model keeps of its predictions, and that a GGUF file's numbers and ours are the same.
 * What a matrix holds and how products with it come out is src/device/small-weights.test.ts's.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomFrom } from "../src/base/random.ts";
import type { Device, MatrixFormat } from "../src/device/device.ts";
import { openDeviceOn } from "../src/device/open.ts";
import { openReference } from "../src/device/reference/reference.ts";
import { loadEngine } from "../src/engine/load.ts";
import type { LocalEngine } from "../src/engine/local.ts";
import { decodeBlocks, encodeBlocks } from "../src/formats/quantised-blocks.ts";
import { distributionOf } from "../src/generation/distribution.ts";
import { divergence } from "../src/generation/divergence.ts";
import { nodeFolder } from "../src/host/node-files.ts";
import { nodeCpuHost } from "../src/host/node-threads.ts";
import { loadWeights } from "../src/model/load.ts";
import type { LanguageModel } from "../src/model/model.ts";
import { gpt2Config } from "../src/model/presets.ts";
import { randomWeights } from "../src/model/random-weights.ts";

const data = join(import.meta.dirname, "../../shared/data");
const [storyModel, storyText] = [join(data, "stories260K"), join(data, "stories/tinystories.txt")];
const noData = !existsSync(storyModel) || !existsSync(storyText);

let device: Device;
beforeAll(async () => {
  device = await openDeviceOn(nodeCpuHost(), { device: "wasm" });
});
afterAll(() => {
  expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
  device.dispose();
});

test("int8 and int4 hold the numbers of ggml's Q8_0 and Q4_0", async () => {
  const random = randomFrom(1);
  const [outputs, inputs] = [70, 96];
  const W = Float32Array.from({ length: outputs * inputs }, (_, i) => (2 * random.next() - 1) * 10 ** ((Math.floor(i / 32) % 9) - 6));
  W.fill(0, 0, 32);
  for (const [format, type] of [
    ["int8", "Q8_0"],
    ["int4", "Q4_0"],
  ] as const)
    for (const on of [device, openReference()]) {
      const matrix = on.matrix(outputs, inputs, format);
      on.writeMatrix(matrix, W, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
      const held = await on.readMatrix(matrix);
      const expected = decodeBlocks(type, encodeBlocks(type, W)).map((x) => x + 0); // no -0
      expect(held).toEqual(expected);
      on.writeMatrix(matrix, expected, { output: 0, outputs, input: 0, inputs, order: "outputs-first" }); // as when a GGUF file is read
      expect(await on.readMatrix(matrix)).toEqual(expected);
      matrix.free();
    }
});

describe("a random model of GPT-2's shape", () => {
  const config = gpt2Config({ layers: 3, heads: 4, width: 96, vocabularySize: 300, contextLength: 64 });
  const ids = Array.from({ length: 60 }, (_, i) => (i * 37) % 300);
  const load = (format: MatrixFormat, on = device): Promise<LanguageModel> =>
    loadWeights(config, randomWeights(config, 5, 0.1), on, { weights: format });
  const logitsOf = async (model: LanguageModel): Promise<Float32Array> => {
    const logits = model.forward([ids], { logits: "all" });
    const values = await logits.read();
    logits.dispose();
    return values;
  };
  const meanDivergence = (p: Float32Array, q: Float32Array): number => {
    let sum = 0;
    for (let at = 0; at < p.length; at += 300) sum += divergence(distributionOf(p.slice(at, at + 300)), distributionOf(q.slice(at, at + 300)));
    return sum / (p.length / 300);
  };

  test("predicts nearly the same with f16, less so with int8, and with int4 roughly", async () => {
    const exact = await load("f32");
    const expected = await logitsOf(exact);
    exact.dispose();
    const lost: number[] = [];
    for (const format of ["f16", "int8", "int4"] as const) {
      const model = await load(format);
      lost.push(meanDivergence(expected, await logitsOf(model)));
      model.dispose();
    }
    expect(lost[0]).toBeLessThan(1e-6);
    expect(lost[1]).toBeLessThan(2e-3);
    expect(lost[2]).toBeLessThan(0.5);
    expect(lost[0]).toBeLessThan(lost[1]);
    expect(lost[1]).toBeLessThan(lost[2]);
  });

  test.each(["f16", "int8", "int4"] as const)("%s: equals the reference device, and token by token equals all at once", async (format) => {
    const model = await load(format);
    const slow = await load(format, openReference());
    const [found, expected] = [await logitsOf(model), await logitsOf(slow)];
    expect(meanDivergence(expected, found)).toBeLessThan({ f16: 1e-8, int8: 1e-7, int4: 1e-3 }[format]);
    const cache = model.cache();
    for (const [at, id] of ids.entries()) {
      const logits = model.forward([[id]], { cache });
      const values = await logits.read();
      logits.dispose();
      for (let i = 0; i < 300; i++) expect(Math.abs(values[i] - found[at * 300 + i])).toBeLessThan(1e-2);
    }
    cache.dispose();
    for (const made of [model, slow]) made.dispose();
  });

  test("takes less memory, the smaller the format", async () => {
    const bytes: number[] = [];
    for (const format of ["f32", "f16", "int8", "int4"] as const) {
      const before = device.memory().bytes;
      const model = await load(format);
      bytes.push((device.memory().bytes - before) / 1e3);
      model.dispose();
    }
    const [f32, f16, int8, int4] = bytes;
    expect(f16 / f32).toBeLessThan(0.56);
    expect(int8 / f32).toBeLessThan(0.33);
    expect(int4 / f32).toBeLessThan(0.22);
  });

  test("says which tensor holds a number that the format cannot", async () => {
    const source = randomWeights(config, 5);
    const spoilt = {
      ...source,
      name: "model.safetensors",
      read: async (name: string, start?: number, end?: number) => {
        const values = await source.read(name, start, end);
        if (name.endsWith("h.1.mlp.c_proj.weight")) values[7] = 70000;
        return values;
      },
    };
    await expect(loadWeights(config, spoilt, device, { weights: "f16" })).rejects.toThrow(
      /tensor transformer\.h\.1\.mlp\.c_proj\.weight: .* --weights f32/,
    );
    const model = await loadWeights(config, spoilt, device, { weights: "int8" });
    model.dispose();
  });
});

describe.skipIf(noData)(`stories260K on stories it never saw (${noData ? "SKIPPED: ../shared/data is not here" : "../shared/data"})`, () => {
  /** Perplexity over 12 kB of stories. */
  const perplexity = async (weights: MatrixFormat): Promise<number> => {
    const engine: LocalEngine = await loadEngine(nodeFolder(storyModel), device, { weights });
    let [nats, count] = [0, 0];
    for await (const step of engine.score(readFileSync(storyText, "utf8").slice(0, 12_000)))
      if ("logprob" in step) {
        nats -= step.logprob;
        count++;
      }
    engine.dispose();
    return Math.exp(nats / count);
  };

  test("perplexity rises by less than 0.5 % with int8 and 0.05 % with f16", async () => {
    const exact = await perplexity("f32");
    expect(await perplexity("f16")).toBeLessThan(1.0005 * exact);
    expect(await perplexity("int8")).toBeLessThan(1.005 * exact);
    expect(await perplexity("int4")).toBeLessThan(1.5 * exact); // 64 wide, it has nothing to spare
  }, 60_000);
});
