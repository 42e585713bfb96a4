/**
 * PyTorch's gradients, and what three clipped steps of AdamW make of a tiny GPT-2, on every device;
 * how it was computed stands in the file's metadata. Gradients of every op and family against finite differences: gradients.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import { openReference } from "../device/reference/reference.ts";
import type { Weights } from "../device/training-kernels.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { isMatrix, places, readWeights, zerosLike } from "../tensor/gradient-check.testing.ts";
import { crossEntropy } from "../tensor/ops/cross-entropy.ts";
import { tensorScope } from "../tensor/scope.ts";
import { Tape } from "../tensor/tape.ts";
import { tensor } from "../tensor/tensor.ts";
import { readConfig } from "./config-file.ts";
import { dataNote, idRows, largestDifference, noData, openTensors, readJson } from "./data.testing.ts";
import { loadLanguageModel } from "./load.ts";
import type { LanguageModel } from "./model.ts";
import { randomModel } from "./random-weights.ts";

const adam = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };

/** The device's names of a GPT-2's weights, by PyTorch's. */
function deviceName(name: string): string {
  return name
    .replace("wte.weight", "embedding")
    .replace("wpe.weight", "positions")
    .replace(/^h\.(\d+)\./, "blocks.$1.")
    .replace("ln_1", "norm1")
    .replace("ln_2", "norm2")
    .replace("ln_f", "finalNorm")
    .replace("attn.c_attn", "qkv")
    .replace("attn.c_proj", "output")
    .replace("mlp.c_fc", "up")
    .replace("mlp.c_proj", "down")
    .replace(/\.weight$/, "");
}

/** Mean loss and, added to `at`, its gradients. */
async function goBack(model: LanguageModel, at: Map<Weights, Weights>, ids: number[][], targets: Int32Array, recompute = false): Promise<number> {
  const { device } = model;
  const tape = new Tape(at);
  const losses = tape.record(() => {
    using scope = tensorScope();
    return scope.keep(crossEntropy(model.forward(ids, { logits: "all", training: { dropout: 0, seed: 0, recompute } }), tensor(device, targets)));
  });
  const seed = tensor(device, new Float32Array(targets.length).fill(1 / targets.length), losses.shape);
  tape.backward(losses, seed);
  const numbers = await losses.read();
  for (const made of [losses, seed]) made.dispose();
  return numbers.reduce((a, b) => a + b) / numbers.length;
}

/** The length of all gradients together. */
async function norm(device: Device, gradients: Iterable<Weights>): Promise<number> {
  const all = [...gradients];
  const squares = device.allocate("f32", all.length);
  all.forEach((gradient, i) => device.kernels.sumOfSquares(squares, i, gradient));
  const sum = ((await device.read(squares)) as Float32Array).reduce((a, b) => a + b);
  squares.free();
  return Math.sqrt(sum);
}

describe.skipIf(noData).each(devices)(`PyTorch's training on $name${dataNote}`, ({ open }) => {
  let device: Device;
  let vectors: TensorSource;
  let model: LanguageModel;
  let ids: number[][];
  let targets: Int32Array;

  beforeAll(async () => {
    device = await open();
    vectors = await openTensors("golden/gpt2-tiny/vectors.safetensors");
    ids = idRows(await vectors.read("ids"), 24);
    targets = Int32Array.from(await vectors.read("targets"));
    model = await loadLanguageModel(readJson("golden/gpt2-tiny/config.json"), await openTensors("golden/gpt2-tiny/model.safetensors"), device);
  });
  afterAll(() => {
    model?.dispose();
    expect(device?.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device?.dispose();
  });

  test.each([false, true])("gradients and their norm within 1e-4, blocks computed again: %s", async (recompute) => {
    const learnable = model.learnable();
    const before = device.memory();
    const at = places(
      device,
      learnable.map(({ weights }) => weights),
    );
    const loss = await goBack(model, at, ids, targets, recompute);
    expect(Math.abs(loss - (await vectors.read("loss"))[0])).toBeLessThan(1e-4);
    expect(Math.abs((await norm(device, at.values())) - (await vectors.read("grad_norm"))[0])).toBeLessThan(1e-4);
    const named = new Map(learnable.map(({ name, weights }) => [name, at.get(weights)!]));
    const published = [...vectors.tensors.values()].filter(({ name }) => name.startsWith("grad/"));
    expect(published).toHaveLength(learnable.length);
    for (const { name, shape } of published) {
      const ours = named.get(deviceName(name.slice(5)))!;
      const theirs = await vectors.read(name);
      const numbers = await readWeights(device, ours);
      const conv1d = isMatrix(ours) && /attn|mlp/.test(name); // (inputs, outputs)
      const turned = conv1d ? theirs.map((_, i) => theirs[(i % shape[0]) * shape[1] + Math.floor(i / shape[0])]) : theirs;
      expect(largestDifference(numbers, turned), name).toBeLessThan(1e-4);
    }
    for (const place of at.values()) place.free();
    expect(device.memory()).toEqual(before);
  });

  test("four losses, and the weights after three clipped steps of AdamW, within 1e-4", async () => {
    const learnable = model.learnable();
    const gradients = places(
      device,
      learnable.map(({ weights }) => weights),
    );
    const memories = learnable.map(({ weights }) => [zerosLike(device, weights), zerosLike(device, weights)]);
    const losses: number[] = [];
    for (let step = 1; step <= 4; step++) {
      for (const gradient of gradients.values()) device.kernels.clear(gradient);
      losses.push(await goBack(model, gradients, ids, targets));
      if (step === 4) break;
      const gradientScale = Math.min(1, 1 / ((await norm(device, gradients.values())) + 1e-6)); // PyTorch's clip_grad_norm_
      for (const [i, { weights, decays }] of learnable.entries())
        device.kernels.adamW(weights, gradients.get(weights)!, memories[i][0], memories[i][1], {
          ...adam,
          weightDecay: decays ? 0.1 : 0,
          step,
          gradientScale,
        });
    }
    expect(largestDifference(losses, await vectors.read("losses"))).toBeLessThan(1e-4);
    let lost = 0;
    for await (const { name, values } of model.parameters()) {
      const bare = name.replace("transformer.", "");
      const gradient = await vectors.read(`grad/${bare}`);
      const published = await vectors.read(`after3/${bare}`);
      for (const [i, slope] of gradient.entries())
        if (Math.abs(slope) < 1e-6 && bare !== "wpe.weight") {
          lost++;
          expect(Math.abs(values[i] - published[i]), `${name}[${i}]`).toBeLessThan(6 * adam.learningRate);
          published[i] = values[i];
        }
      expect(largestDifference(values, published), name).toBeLessThan(1e-4);
    }
    // Of a gradient whose length is 8.8, fp32 keeps nothing below 1e-6: such numbers are what rounding left of 0, in PyTorch as here, and AdamW
    // divides them by their own size, so they move by anything up to a learning rate a step. Nearly all are biases of keys, whose true
    // gradient is 0 (softmax does not feel a number added to all scores of a row). Positions beyond the text have one of exactly 0 and only decay.
    expect(lost).toBeLessThan(320);
    expect(model.parameterCount).toBeGreaterThan(130_000);
    for (const made of [...gradients.values(), ...memories.flat()]) made.free();
  });
});

/** Heads grouped, norms on queries and keys, windows, biases: what GPT-2 has not. */
const llamas = [
  ["qwen3", { model_type: "qwen3", head_dim: 10 }],
  [
    "mistral with a window, biases, tied",
    { model_type: "mistral", sliding_window: 5, attention_bias: true, mlp_bias: true, tie_word_embeddings: true },
  ],
] as const;

describe.each(devices)("gradients of the Llama family on $name", ({ open }) => {
  test.each(llamas)("equal the reference device's: %s", async (_, changes) => {
    const config = readConfig({
      num_hidden_layers: 2,
      num_attention_heads: 6,
      num_key_value_heads: 2,
      hidden_size: 36,
      intermediate_size: 50,
      max_position_embeddings: 40,
      vocab_size: 50,
      ...changes,
    });
    const ids = [0, 1].map((b) => Array.from({ length: 17 }, (__, t) => (7 * t * t + 3 * b + t) % 50));
    const targets = Int32Array.from({ length: 34 }, (__, i) => (i % 5 === 0 ? -1 : (11 * i) % 50));
    const found: Float32Array[][] = [];
    for (const device of [openReference(), await open()]) {
      const model = await randomModel(config, device, 7, 0.2);
      const at = places(
        device,
        model.learnable().map(({ weights }) => weights),
      );
      await goBack(model, at, ids, targets);
      found.push(await Promise.all([...at.values()].map((place) => readWeights(device, place))));
      for (const place of at.values()) place.free();
      model.dispose();
      expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
      device.dispose();
    }
    for (const [i, numbers] of found[0].entries()) expect(largestDifference(found[1][i], numbers)).toBeLessThan(1e-4);
  });
});
