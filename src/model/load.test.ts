import { describe, expect, test } from "vitest";
import { FormatError } from "../base/errors.ts";
import { elements } from "../base/shape.ts";
import { openReference } from "../device/reference/reference.ts";
import type { TensorInfo, TensorSource } from "../formats/tensor-source.ts";
import { configToFile, readConfig } from "./config-file.ts";
import type { ModelConfig } from "./config.ts";
import { largestDifference } from "./data.testing.ts";
import { loadLanguageModel } from "./load.ts";
import { gpt2Config } from "./presets.ts";
import { randomWeights } from "./random-weights.ts";

const gpt2 = gpt2Config({ layers: 2, heads: 2, width: 8, vocabularySize: 11, contextLength: 6 });
const llama = readConfig({
  model_type: "llama",
  num_hidden_layers: 2,
  num_attention_heads: 2,
  hidden_size: 8,
  intermediate_size: 12,
  vocab_size: 11,
});
const device = openReference();

/** A checkpoint with tensors renamed, dropped (undefined) or added. */
function changed(config: ModelConfig, rename: (name: string) => string | undefined, added: TensorInfo[] = []): TensorSource {
  const source = randomWeights(config, 1);
  const original = new Map<string, string>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of source.tensors) {
    const now = rename(name);
    if (now === undefined) continue;
    original.set(now, name);
    tensors.set(now, { ...info, name: now });
  }
  for (const info of added) tensors.set(info.name, info);
  return { ...source, name: "weights", tensors, read: async (name, start, end) => source.read(original.get(name) ?? name, start, end) };
}

function info(name: string, shape: number[], dtype: TensorInfo["dtype"] = "F32"): TensorInfo {
  return { name, shape, dtype, byteLength: 4 * elements(shape) };
}

async function logits(config: ModelConfig, source: TensorSource, warnings: string[] = []): Promise<Float32Array> {
  const model = await loadLanguageModel(configToFile(config), source, device, { onWarning: (message) => warnings.push(message) });
  const found = model.forward([[1, 2, 3]]);
  const numbers = await found.read();
  found.dispose();
  model.dispose();
  return numbers;
}

/** Renames one tensor, or drops it. */
const swap = (from: string, to: string | undefined) => (name: string) => (name === from ? to : name);

describe("loading", () => {
  test("finds names with and without the family's prefix", async () => {
    for (const [config, prefix] of [
      [gpt2, "transformer."],
      [llama, "model."],
    ] as const) {
      const bare = changed(config, (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name));
      expect(await logits(config, bare)).toEqual(await logits(config, randomWeights(config, 1)));
    }
  });

  test("passes over leftovers of old versions, and names what it ignores", async () => {
    const warnings: string[] = [];
    const plain = await logits(gpt2, randomWeights(gpt2, 1));
    const leftovers = [info("transformer.h.0.attn.bias", [1, 1, 6, 6], "BOOL"), info("h.1.attn.masked_bias", []), info("lm_head.weight", [11, 8])];
    expect(
      await logits(
        gpt2,
        changed(gpt2, (name) => name, leftovers),
        warnings,
      ),
    ).toEqual(plain);
    expect(warnings).toEqual([]);
    expect(
      await logits(
        gpt2,
        changed(gpt2, (name) => name, [info("score.weight", [2, 8])]),
        warnings,
      ),
    ).toEqual(plain);
    expect(warnings).toEqual(["weights: ignored a tensor that a gpt2 language model does not use: score.weight"]);
    await logits(
      llama,
      changed(llama, (name) => name, [info("model.layers.0.self_attn.rotary_emb.inv_freq", [2])]),
      warnings,
    );
    expect(warnings).toHaveLength(1);
  });

  test("reports progress up to the whole", async () => {
    const seen: number[] = [];
    const totals = new Set<number>();
    const onProgress = (done: number, total: number): void => {
      seen.push(done);
      totals.add(total);
    };
    const model = await loadLanguageModel(configToFile(gpt2), randomWeights(gpt2, 1), device, { onProgress });
    expect([...totals]).toEqual([model.parameterCount]);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(model.parameterCount);
    model.dispose();
  });

  test("reads no more than 2 MB at once, in whole rows, and every number finds its place", async () => {
    // The embedding (12.8 MB) and both matrices of the MLP (10.2 MB) take several reads, in either order of axes.
    const wide = gpt2Config({ layers: 1, heads: 1, width: 64, mlpWidth: 40_000, vocabularySize: 50_000, contextLength: 4 });
    const source = randomWeights(wide, 1);
    const sizes: number[] = [];
    const counting: TensorSource = {
      ...source,
      read: async (name, start, end) => {
        sizes.push((end as number) - (start as number));
        return source.read(name, start, end);
      },
    };
    const model = await loadLanguageModel(configToFile(wide), counting, device);
    expect(Math.max(...sizes)).toBe(2 ** 19);
    expect(sizes.reduce((a, b) => a + b)).toBe(model.parameterCount);
    expect(device.memory().bytes).toBe(4 * model.parameterCount); // no second copy
    for await (const { name, values } of model.parameters()) expect(largestDifference(values, await source.read(name)), name).toBe(0);
    model.dispose();
  });

  test.each<[string, ModelConfig, TensorSource, string]>([
    [
      "a missing tensor",
      gpt2,
      changed(gpt2, swap("transformer.h.1.ln_2.bias", undefined)),
      "tensor transformer.h.1.ln_2.bias (8) is missing; is the download complete",
    ],
    [
      "missing layers",
      gpt2,
      changed(gpt2, (name) => (name.includes("h.1.") ? undefined : name)),
      "transformer.h.1.ln_1.weight (8) is missing: config.json says 2 layers, the weights have 1; take both from the same model",
    ],
    [
      "another model's weights",
      gpt2,
      changed(llama, (name) => name),
      "transformer.wte.weight (11, 8) is missing, and so are all blocks of a gpt2 model",
    ],
    [
      "a missing head",
      { ...gpt2, tied: false },
      changed(gpt2, (name) => name),
      'lm_head.weight (11, 8) is missing; if the unembedding is the embedding itself, set "tie_word_embeddings"',
    ],
    [
      "a transposed matrix",
      gpt2,
      changed(gpt2, swap("transformer.h.0.mlp.c_fc.weight", undefined), [info("transformer.h.0.mlp.c_fc.weight", [32, 8])]),
      "tensor transformer.h.0.mlp.c_fc.weight is (32, 8), but config.json makes it (8, 32); it is transposed",
    ],
    [
      "another vocabulary",
      gpt2,
      changed(gpt2, swap("transformer.wte.weight", undefined), [info("transformer.wte.weight", [12, 8])]),
      "tensor transformer.wte.weight is (12, 8), but config.json makes it (11, 8); take config.json and weights from the same model",
    ],
    [
      "integers for weights",
      gpt2,
      changed(gpt2, swap("transformer.ln_f.weight", undefined), [info("transformer.ln_f.weight", [8], "I8")]),
      "tensor transformer.ln_f.weight is I8, expected F32, F16 or BF16",
    ],
    [
      "more layers than the config says",
      { ...gpt2, layers: 1 },
      changed(gpt2, (name) => name),
      "has 2 layers (transformer.h.1.ln_1.weight), but config.json says 1",
    ],
    [
      "a bias the config does not know",
      llama,
      changed(llama, (name) => name, [info("model.layers.0.self_attn.q_proj.bias", [8])]),
      "tensor model.layers.0.self_attn.q_proj.bias has no place in a llama model as config.json describes it",
    ],
    [
      "a tensor twice",
      gpt2,
      changed(gpt2, (name) => name, [info("h.0.ln_1.weight", [8])]),
      "tensor h.0.ln_1.weight has no place in a gpt2 model as config.json describes it; it is there twice",
    ],
  ])("refuses %s, before allocating anything", async (_, config, source, message) => {
    const loading = loadLanguageModel(configToFile(config), source, device);
    await expect(loading).rejects.toThrow(FormatError);
    await expect(loading).rejects.toThrow(message);
    expect(device.memory()).toEqual({ buffers: 0, matrices: 0, bytes: 0 });
  });

  test("gives everything back when the file fails half way, or when stopped", async () => {
    const source = randomWeights(gpt2, 1);
    let reads = 0;
    const failing: TensorSource = {
      ...source,
      read: async (...range) => (++reads > 9 ? Promise.reject(new FormatError("cut short")) : source.read(...range)),
    };
    await expect(loadLanguageModel(configToFile(gpt2), failing, device)).rejects.toThrow("cut short");
    const stop = new AbortController();
    stop.abort();
    await expect(loadLanguageModel(configToFile(gpt2), source, device, { signal: stop.signal })).rejects.toThrow("loading was stopped");
    expect(device.memory()).toEqual({ buffers: 0, matrices: 0, bytes: 0 });
  });
});

describe("random weights", () => {
  test("are the same however they are read, normal, and another seed's are others", async () => {
    const wide = gpt2Config({ layers: 1, heads: 1, width: 64, vocabularySize: 3000, contextLength: 4 });
    const name = "transformer.wte.weight";
    const whole = await randomWeights(wide, 3).read(name);
    for (const [start, end] of [
      [0, 7],
      [65_530, 65_545],
      [65_536, 131_072],
      [1, 192_000],
      [191_999, 192_000],
    ])
      expect(await randomWeights(wide, 3).read(name, start, end)).toEqual(whole.slice(start, end));
    expect(await randomWeights(wide, 4).read(name)).not.toEqual(whole);
    const mean = whole.reduce((a, b) => a + b) / whole.length;
    expect(mean).toBeCloseTo(0, 3);
    expect(Math.sqrt(whole.reduce((sum, v) => sum + v * v, 0) / whole.length)).toBeCloseTo(0.02, 3);
    const scale = await randomWeights(wide, 3).read("transformer.ln_f.weight");
    expect(scale.reduce((a, b) => a + b) / scale.length).toBeCloseTo(1, 1);
  });
});
