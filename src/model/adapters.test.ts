/** LoRA: adapters beside the projections of both families, on the device that defines the kernels. */
import { afterAll, describe, expect, test } from "vitest";
import { randomFrom } from "../base/random.ts";
import { openReference } from "../device/reference/reference.ts";
import type { Weights } from "../device/training-kernels.ts";
import { checkGradients, gradientsOf, normals } from "../tensor/gradient-check.testing.ts";
import { crossEntropy } from "../tensor/ops/cross-entropy.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { adapterTargets, attachAdapters } from "./adapters.ts";
import type { Adapters } from "./adapters.ts";
import { readConfig } from "./config-file.ts";
import { largestDifference } from "./data.testing.ts";
import { loadWeights } from "./load.ts";
import type { LanguageModel } from "./model.ts";
import { randomModel, randomWeights } from "./random-weights.ts";

const gpt2 = readConfig({ model_type: "gpt2", n_layer: 2, n_head: 2, n_embd: 8, n_positions: 16, vocab_size: 11 });
const llama = readConfig({
  model_type: "llama",
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_size: 8,
  head_dim: 4,
  intermediate_size: 10,
  max_position_embeddings: 16,
  vocab_size: 11,
});
const device = openReference();
afterAll(() => expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 }));

const tokens = [
  [1, 2, 3, 4, 5],
  [6, 7, 8, 9, 10],
];

async function logitsOf(model: LanguageModel): Promise<Float32Array> {
  const logits = model.forward(tokens, { logits: "all" });
  const numbers = await logits.read();
  logits.dispose();
  return numbers;
}

/** B is 0 at first; random numbers make adapters say something. */
async function fill(adapters: Adapters): Promise<void> {
  const random = randomFrom(3);
  for await (const { name, values } of adapters.parameters())
    adapters.writeParameter(
      name,
      normals(random, values.length).map((v) => 0.3 * v),
    );
}

/** Every projection of the family. */
const everything = { gpt2: ["c_attn", "c_proj", "c_fc"], llama: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] };
const cases = [
  ["gpt2, attention", gpt2, ["c_attn"]],
  ["gpt2, everything", gpt2, everything.gpt2],
  ["llama, queries and values", llama, ["q_proj", "v_proj"]],
  ["llama, everything", llama, everything.llama],
] as const;

describe.each(cases)("adapters of %s", (_, config, targets) => {
  test("change nothing at first, then something, and nothing again once detached", async () => {
    const model = await randomModel(config, device, 1, 0.4);
    const before = [await logitsOf(model), device.memory()];
    const adapters = attachAdapters(model, { rank: 2, alpha: 4, targets });
    expect(largestDifference(await logitsOf(model), before[0] as Float32Array)).toBeLessThan(1e-5); // bias and residual add up in another order
    await fill(adapters);
    expect(largestDifference(await logitsOf(model), before[0] as Float32Array)).toBeGreaterThan(0.1);
    adapters.detach();
    adapters.detach();
    expect(await logitsOf(model)).toEqual(before[0]);
    expect(device.memory()).toEqual(before[1]);
    model.dispose();
  });

  test("merged into the weights say what they said beside them", async () => {
    const model = await randomModel(config, device, 1, 0.4);
    const memory = device.memory();
    const adapters = attachAdapters(model, { rank: 3, alpha: 2, targets });
    await fill(adapters);
    const beside = await logitsOf(model);
    await adapters.merge();
    expect(largestDifference(await logitsOf(model), beside)).toBeLessThan(1e-4);
    expect(device.memory()).toEqual(memory);
    model.dispose();
  });

  test("gradients equal finite differences, and are the same when blocks are computed again", async () => {
    const model = await randomModel(config, device, 1, 0.4);
    const adapters = attachAdapters(model, { rank: 2, alpha: 3, targets });
    await fill(adapters);
    const learned = new Map(adapters.learnable().map(({ name, weights }): [string, Weights] => [name, weights]));
    const losses = (recompute: boolean): Tensor =>
      crossEntropy(
        model.forward(tokens, { logits: "all", training: { dropout: 0, seed: 0, recompute } }),
        tensor(device, Int32Array.of(2, 3, 4, 5, 6, -1, 8, 9, 10, 0)),
      );
    await checkGradients(device, learned, () => losses(false), { single: 0 });
    const count = new Float32Array(10).fill(1);
    const [kept, again] = [false, true].map((recompute) => gradientsOf(device, [...learned.values()], () => losses(recompute), count));
    expect([...(await again).values()]).toEqual([...(await kept).values()]);
    for (const numbers of (await kept).values()) expect(numbers.some((v) => v !== 0)).toBe(true);
    adapters.detach();
    model.dispose();
  });
});

describe("adapters", () => {
  test("are named and shaped as PEFT does", async () => {
    const model = await randomModel(gpt2, device, 1);
    const adapters = attachAdapters(model, { rank: 2, alpha: 4, targets: ["attn.c_proj", "c_fc"], seed: 5 });
    const found: [string, readonly number[]][] = [];
    for await (const { name, shape } of adapters.parameters()) found.push([name, shape]);
    expect(found.slice(0, 4)).toEqual([
      ["base_model.model.transformer.h.0.attn.c_proj.lora_A.weight", [2, 8]],
      ["base_model.model.transformer.h.0.attn.c_proj.lora_B.weight", [8, 2]],
      ["base_model.model.transformer.h.0.mlp.c_fc.lora_A.weight", [2, 8]],
      ["base_model.model.transformer.h.0.mlp.c_fc.lora_B.weight", [32, 2]],
    ]);
    expect(adapters.learnable().map(({ name }) => name)).toEqual(found.map(([name]) => name));
    expect(adapters.modules).toHaveLength(4);
    expect(adapters.parameterCount).toBe(2 * (2 * 16 + 2 * 40));
    adapters.detach();
    model.dispose();

    const other = await randomModel(llama, device, 1);
    const grouped = attachAdapters(other, { rank: 1, alpha: 1, targets: ["model.layers.1.self_attn.v_proj"] });
    for await (const { name, shape } of grouped.parameters()) expect(shape).toEqual(name.includes("lora_A") ? [1, 8] : [8, 1]);
    expect(grouped.modules).toEqual(["model.layers.1.self_attn.v_proj"]);
    grouped.detach();
    other.dispose();
  });

  test("begin with the same A for a seed, within its bound, and with B of 0", async () => {
    const model = await randomModel(gpt2, device, 1);
    const read = async (seed: number): Promise<Float32Array[]> => {
      const adapters = attachAdapters(model, { rank: 4, alpha: 4, targets: ["c_attn"], seed });
      const all: Float32Array[] = [];
      for await (const { values } of adapters.parameters()) all.push(values);
      adapters.detach();
      return all;
    };
    const [first, second] = [await read(1), await read(2)];
    expect(await read(1)).toEqual(first);
    expect(second[0]).not.toEqual(first[0]);
    expect(first[2]).not.toEqual(first[0]); // another layer
    expect(Math.max(...first[0].map(Math.abs))).toBeLessThan(1 / Math.sqrt(8));
    expect(first[1].every((v) => v === 0)).toBe(true);
    model.dispose();
  });

  test("learn beside weights that are not f32 only when no gradient has to go through those, and merge into them", async () => {
    const model = await loadWeights(gpt2, randomWeights(gpt2, 1, 0.4), device, { weights: "f16" });
    const adapters = attachAdapters(model, { rank: 2, alpha: 2, targets: ["c_attn"] });
    await fill(adapters);
    const beside = await logitsOf(model);
    const learned = adapters.learnable().map(({ weights }) => weights);
    const forward = (): Tensor => crossEntropy(model.forward(tokens, { logits: "all" }), tensor(device, new Int32Array(10)));
    await expect(gradientsOf(device, learned, forward, new Float32Array(10))).rejects.toThrow("load the model with --weights f32");
    await adapters.merge();
    expect(largestDifference(await logitsOf(model), beside)).toBeLessThan(0.05);
    model.dispose();
  });

  test("say what is wrong with a request, and change nothing then", async () => {
    const model = await randomModel(llama, device, 1);
    const attach =
      (changes: object): (() => unknown) =>
      () =>
        attachAdapters(model, { rank: 2, alpha: 4, targets: ["q_proj"], ...changes });
    const memory = device.memory();
    expect(attach({ rank: 0 })).toThrow("adapters: a rank of 0; give a whole number from 1");
    expect(attach({ alpha: NaN })).toThrow("adapters: an alpha of NaN");
    expect(attach({ targets: [] })).toThrow("adapters: no targets; name projections: self_attn.q_proj, self_attn.k_proj,");
    expect(attach({ targets: ["q_proj", "qproj"] })).toThrow("adapters: no projection is called qproj; did you mean q_proj?");
    expect(attach({ targets: ["lm_head"] })).toThrow("adapters: no projection is called lm_head");
    expect(device.memory()).toEqual(memory);
    expect(adapterTargets(model)).toEqual([
      "self_attn.q_proj",
      "self_attn.k_proj",
      "self_attn.v_proj",
      "self_attn.o_proj",
      "mlp.gate_proj",
      "mlp.up_proj",
      "mlp.down_proj",
    ]);

    const adapters = attachAdapters(model, { rank: 2, alpha: 4, targets: ["q_proj"] });
    expect(attach({})).toThrow("adapters: this model has adapters already; merge or detach them first");
    expect(() => adapters.writeParameter("nothing", new Float32Array(1))).toThrow("writeParameter: there is no adapter nothing");
    const { name } = adapters.learnable()[0];
    expect(() => adapters.writeParameter(name, new Float32Array(24))).toThrow(
      "24 numbers for base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight (2, 8)",
    );
    adapters.detach();
    model.dispose();
  });
});
