/**
 * Whole models under a tape: gradients of every matrix and vector against finite differences, on the device that defines the kernels;
 * and what must hold of a training pass in words of the product. PyTorch's numbers, on every device, are learning.test.ts's.
 */
import { afterAll, describe, expect, test } from "vitest";
import { randomFrom } from "../base/random.ts";
import { openReference } from "../device/reference/reference.ts";
import type { Weights } from "../device/training-kernels.ts";
import { checkGradients, gradientsOf, places, readWeights } from "../tensor/gradient-check.testing.ts";
import { crossEntropy } from "../tensor/ops/cross-entropy.ts";
import { scale } from "../tensor/ops/scale.ts";
import { tensorScope } from "../tensor/scope.ts";
import { Tape } from "../tensor/tape.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { readConfig } from "./config-file.ts";
import { largestDifference } from "./data.testing.ts";
import { loadWeights } from "./load.ts";
import type { LanguageModel, Training } from "./model.ts";
import { initialModel, initialWeights, randomModel, randomWeights } from "./random-weights.ts";
import { taps } from "./taps.ts";

const gpt2 = { model_type: "gpt2", n_layer: 2, n_head: 2, n_embd: 8, n_positions: 16, vocab_size: 11 };
const llama = {
  model_type: "llama",
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_size: 8,
  head_dim: 4,
  intermediate_size: 10,
  max_position_embeddings: 16,
  vocab_size: 11,
};
const models = [
  ["gpt2", gpt2],
  ["gpt2, untied, narrow MLP, exact gelu", { ...gpt2, n_inner: 5, tie_word_embeddings: false, activation_function: "gelu" }],
  ["llama", llama],
  [
    "llama with biases, tied, partial rotary",
    { ...llama, attention_bias: true, mlp_bias: true, tie_word_embeddings: true, partial_rotary_factor: 0.5 },
  ],
  ["mistral with a window of 3", { ...llama, model_type: "mistral", sliding_window: 3 }],
  ["qwen2", { ...llama, model_type: "qwen2" }],
  ["qwen3, norms on queries and keys", { ...llama, model_type: "qwen3" }],
] as const;

const device = openReference();
afterAll(() => expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 }));

const ids = (seed: number, length: number): number[] => {
  const random = randomFrom(seed);
  return Array.from({ length }, () => Math.floor(random.next() * 11));
};
/** Two sequences, the second shorter; what it is padded with counts nothing. */
const tokens = [ids(1, 6), ids(2, 4)];
const targets = Int32Array.from([...ids(3, 6), ...ids(4, 4), -1, -1]);

function losses(model: LanguageModel, training?: Training): Tensor {
  return crossEntropy(model.forward(tokens, { logits: "all", training }), tensor(device, targets));
}

/** Gradients of all that can be learned, by name; each loss counts once. */
async function gradients(model: LanguageModel, forward: () => Tensor): Promise<Map<string, Float32Array>> {
  const learnable = model.learnable();
  const found = await gradientsOf(
    device,
    learnable.map(({ weights }) => weights),
    forward,
    new Float32Array(12).fill(1),
  );
  return new Map(learnable.map(({ name, weights }) => [name, found.get(weights)!]));
}

describe.each(models)("gradients of %s", (_, file) => {
  const config = readConfig(file);

  test("equal finite differences, dropout and all", { timeout: 30_000 }, async () => {
    const model = await randomModel(config, device, 3, 0.4);
    const all = new Map(model.learnable().map(({ name, weights }): [string, Weights] => [name, weights]));
    await checkGradients(device, all, () => losses(model), { single: 0 });
    await checkGradients(device, all, () => losses(model, { dropout: 0.3, seed: 9, recompute: true }), { single: 0, seed: 2 });
    model.dispose();
  });

  test("are the same to the last bit when blocks are computed again, with less held meanwhile", async () => {
    const model = await randomModel(config, device, 3, 0.4);
    const held: number[] = [];
    const run = (recompute: boolean): Promise<Map<string, Float32Array>> =>
      gradients(model, () => {
        const before = device.memory().bytes;
        const made = losses(model, { dropout: 0.2, seed: 5, recompute });
        held.push(device.memory().bytes - before);
        return made;
      });
    const [kept, again] = [await run(false), await run(true)];
    expect(again).toEqual(kept);
    expect(held[1]).toBeLessThan(held[0] / 2);
    for (const [name, numbers] of kept)
      expect(
        numbers.some((v) => v !== 0),
        name,
      ).toBe(true); // the gradient reaches everything
    model.dispose();
  });

  test("add up: two half batches give what the whole batch gives", async () => {
    const model = await randomModel(config, device, 3, 0.4);
    const whole = await gradients(model, () => losses(model));
    const at = places(
      device,
      model.learnable().map(({ weights }) => weights),
    );
    for (const [sequence, goals] of [
      [tokens[0], targets.slice(0, 6)],
      [tokens[1], targets.slice(6, 10)],
    ] as const) {
      const tape = new Tape(at);
      const found = tape.record(() => {
        using scope = tensorScope();
        return scope.keep(crossEntropy(model.forward([sequence], { logits: "all" }), tensor(device, goals)));
      });
      const seed = tensor(device, new Float32Array(goals.length).fill(1), found.shape);
      tape.backward(found, seed);
      for (const made of [found, seed]) made.dispose();
    }
    for (const { name, weights } of model.learnable())
      expect(largestDifference(await readWeights(device, at.get(weights)!), whole.get(name)!), name).toBeLessThan(1e-5);
    for (const place of at.values()) place.free();
    model.dispose();
  });
});

describe.each([
  ["gpt2", gpt2],
  ["llama", llama],
])("a pass that is learned from, %s", (_, file) => {
  const config = readConfig(file);

  test("gives the logits of one that predicts, and leaves nothing behind", async () => {
    const model = await randomModel(config, device, 3, 0.4);
    const before = device.memory();
    const plain = model.forward(tokens, { logits: "all" });
    const tape = new Tape(new Map(model.learnable().map(({ weights }): [Weights, Weights] => [weights, weights])));
    const recorded = tape.record(() => model.forward(tokens, { logits: "all", training: { dropout: 0, seed: 1, recompute: false } }));
    expect(largestDifference(await recorded.read(), await plain.read())).toBeLessThan(1e-6);
    tape.dispose();
    for (const made of [plain, recorded]) made.dispose();
    expect(device.memory()).toEqual(before);
    model.dispose();
  });

  test("drops other numbers at every place and for every seed, the same ones each time, and none otherwise", async () => {
    const model = await randomModel(config, device, 3, 0.4);
    const logits = async (training?: Training): Promise<Float32Array> => {
      using _scope = tensorScope();
      return model.forward(tokens, { logits: "all", training }).read();
    };
    const once = await logits({ dropout: 0.5, seed: 1, recompute: false });
    expect(await logits({ dropout: 0.5, seed: 1, recompute: true })).toEqual(once);
    expect(largestDifference(await logits({ dropout: 0.5, seed: 2, recompute: false }), once)).toBeGreaterThan(0.1);
    expect(await logits({ dropout: 0, seed: 1, recompute: false })).toEqual(await logits());

    // Where half of the numbers are dropped: what each block adds to the stream, heard where it is added.
    const heard: Float32Array[] = [];
    const reads: Promise<unknown>[] = [];
    const listener = (x: Tensor): void => void reads.push(x.read().then((v) => heard.push(v.map((n) => (n === 0 ? 1 : 0)))));
    const listening = taps(config, { "blocks.*.hook_attn_out": listener, "blocks.*.hook_mlp_out": listener });
    model.forward(tokens, { logits: "all", taps: listening, training: { dropout: 0.5, seed: 1, recompute: false } }).dispose();
    await Promise.all(reads);
    expect(heard).toHaveLength(4);
    for (const [i, zeros] of heard.entries()) {
      const share = zeros.reduce((a, b) => a + b) / zeros.length;
      expect(Math.abs(share - 0.5)).toBeLessThan(0.2);
      for (const other of heard.slice(i + 1)) expect(zeros).not.toEqual(other);
    }
    model.dispose();
  });

  test("says what a tape cannot follow", async () => {
    const model = await randomModel(config, device, 3);
    const tape = new Tape(new Map(model.learnable().map(({ weights }): [Weights, Weights] => [weights, weights])));
    const cache = model.cache();
    const listening = taps(config, { "blocks.1.attn.hook_pattern": () => {} });
    const refused =
      (options: Parameters<LanguageModel["forward"]>[1]): (() => unknown) =>
      () =>
        tape.record(() => model.forward([[1, 2]], options));
    expect(refused({ cache, logits: "all" })).toThrow("forward: gradients go through whole sequences; call it without a cache");
    expect(refused({})).toThrow('pass logits: "all" while a tape records');
    expect(refused({ logits: "all", taps: listening })).toThrow("nobody can listen to attn.hook_attn_scores or attn.hook_pattern");
    expect(refused({ logits: "all", training: { dropout: 1, seed: 0, recompute: false } })).toThrow("dropout: a rate of 1");
    tape.dispose();
    cache.dispose();
    model.dispose();
  });

  test("lets listeners change what is learned from", async () => {
    const model = await randomModel(config, device, 3, 0.4);
    const silenced = taps(config, { "blocks.0.hook_mlp_out": (x) => scale(x, 0), "blocks.*.mlp.hook_pre": () => {} });
    const found = await gradients(model, () =>
      crossEntropy(
        model.forward(tokens, { logits: "all", taps: silenced, training: { dropout: 0, seed: 0, recompute: true } }),
        tensor(device, targets),
      ),
    );
    expect(found.get("blocks.0.down")!.every((v) => v === 0)).toBe(true);
    expect(found.get("blocks.1.down")!.some((v) => v !== 0)).toBe(true);
    model.dispose();
  });
});

test("two passes under one tape, the second needing longer rotary tables than the first", async () => {
  const model = await randomModel(readConfig({ ...llama, max_position_embeddings: 2048 }), device, 3, 0.4);
  const short = await gradients(model, () => losses(model));
  const both = await gradients(model, () => {
    const first = losses(model, { dropout: 0, seed: 0, recompute: true });
    model.forward([Array.from({ length: 1025 }, () => 1)], { logits: "all" });
    return first;
  });
  for (const [name, numbers] of short) expect(largestDifference(both.get(name)!, numbers), name).toBeLessThan(1e-5);
  model.dispose();
});

describe("what can be learned", () => {
  test("is everything once, and matrices decay", async () => {
    const model = await randomModel(readConfig(gpt2), device, 3);
    const list = model.learnable();
    const numbers = list.reduce((sum, { weights }) => sum + ("length" in weights ? weights.length : weights.outputs * weights.inputs), 0);
    expect(numbers).toBe(model.parameterCount); // the tied embedding is there once
    expect(new Set(list.map(({ name }) => name)).size).toBe(list.length);
    for (const { weights, decays } of list) expect(decays).toBe("outputs" in weights);
    expect(list.slice(0, 6).map(({ name }) => name)).toEqual([
      "embedding",
      "positions",
      "blocks.0.norm1",
      "blocks.0.norm1.bias",
      "blocks.0.qkv",
      "blocks.0.qkv.bias",
    ]);
    model.dispose();
  });

  test("is f32", async () => {
    const model = await loadWeights(readConfig(gpt2), randomWeights(readConfig(gpt2), 1), device, { weights: "f16" });
    expect(() => model.learnable()).toThrow("learnable: the weights are f16, and only f32 weights can be learned; load the model with --weights f32");
    model.dispose();
  });
});

describe.each([
  ["gpt2", { ...gpt2, tie_word_embeddings: false }],
  ["llama", { ...llama, attention_bias: true, mlp_bias: true }],
])("parameters of %s", (_, file) => {
  test("written back are the ones read, each in its own place", async () => {
    const [one, other] = [await randomModel(readConfig(file), device, 1, 0.4), await randomModel(readConfig(file), device, 2, 0.4)];
    for await (const { name, values } of one.parameters()) other.writeParameter(name, values);
    const reading = one.parameters();
    for await (const { name, values } of other.parameters()) {
      const { value } = await reading.next();
      expect([name, values]).toEqual([value!.name, value!.values]);
    }
    expect(() => other.writeParameter("nothing", new Float32Array(1))).toThrow("has no tensor nothing");
    const [first] = [(await one.parameters().next()).value!];
    expect(() => other.writeParameter(first.name, new Float32Array(3))).toThrow(`writeParameter: 3 numbers for ${first.name} (11, 8)`);
    one.dispose();
    other.dispose();
  });
});

describe("a new model", () => {
  test.each([
    ["gpt2", { ...gpt2, n_embd: 64, n_layer: 8, vocab_size: 100 }, /c_proj\.weight$/],
    [
      "llama",
      { ...llama, hidden_size: 64, head_dim: 16, num_hidden_layers: 8, vocab_size: 100, attention_bias: true },
      /(o_proj|down_proj)\.weight$/,
    ],
  ])("begins as GPT-2 does: %s", async (_, file, residual) => {
    const config = readConfig(file);
    const source = initialWeights(config, 4);
    for (const [name, { shape }] of source.tensors) {
      const values = await source.read(name);
      const mean = values.reduce((a, b) => a + b) / values.length;
      const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
      if (shape.length === 1) {
        expect(new Set(values), name).toEqual(new Set([name.endsWith("bias") ? 0 : 1]));
        continue;
      }
      const expected = residual.test(name) ? 0.02 / 4 : 0.02;
      expect(Math.abs(mean), name).toBeLessThan((5 * expected) / Math.sqrt(values.length));
      expect(Math.abs(deviation / expected - 1), name).toBeLessThan(5 / Math.sqrt(values.length));
    }
    expect(await initialWeights(config, 4).read([...source.tensors.keys()][0])).toEqual(await source.read([...source.tensors.keys()][0]));
    expect(await initialWeights(config, 5).read([...source.tensors.keys()][0])).not.toEqual(await source.read([...source.tensors.keys()][0]));
  });

  test("expects nothing: its loss is that of guessing", async () => {
    const model = await initialModel(readConfig(gpt2), device, 1);
    const scope = tensorScope();
    const reading = losses(model).read();
    scope[Symbol.dispose]();
    const found = await reading;
    for (const loss of found.slice(0, 10)) expect(Math.abs(loss - Math.log(11))).toBeLessThan(0.1);
    expect(found.slice(10)).toEqual(new Float32Array(2)); // targets of -1
    model.dispose();
  });
});
