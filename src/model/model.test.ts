/**
 * What must hold for every model on every device, in words of the product; on random weights, so it runs anywhere.
 * Published numbers are golden.test.ts's.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { randomFrom } from "../base/random.ts";
import { devices } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import { openReference } from "../device/reference/reference.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { add } from "../tensor/ops/add.ts";
import { tensor } from "../tensor/tensor.ts";
import { configToFile, readConfig } from "./config-file.ts";
import { largestDifference } from "./data.testing.ts";
import { loadLanguageModel } from "./load.ts";
import type { ForwardOptions, LanguageModel } from "./model.ts";
import { llamaOracle } from "./oracle.testing.ts";
import { randomModel, randomWeights } from "./random-weights.ts";
import { tapNames, taps } from "./taps.ts";
import type { TapListener } from "./taps.ts";

const gpt2 = { model_type: "gpt2", n_layer: 2, n_head: 3, n_embd: 24, n_positions: 40, vocab_size: 50 };
const llama = {
  model_type: "llama",
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  hidden_size: 36,
  intermediate_size: 50,
  max_position_embeddings: 40,
  vocab_size: 50,
};
const llama3 = { rope_type: "llama3", factor: 4, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };

const llamas = [
  ["llama", llama],
  ["llama with biases, tied", { ...llama, attention_bias: true, mlp_bias: true, tie_word_embeddings: true }],
  ["llama with scaled and partial rotary", { ...llama, head_dim: 16, partial_rotary_factor: 0.5, rope_theta: 50, rope_scaling: llama3 }],
  ["llama with linear rotary scaling", { ...llama, rope_scaling: { rope_type: "linear", factor: 3 } }],
  ["mistral with a window of 5", { ...llama, model_type: "mistral", sliding_window: 5 }],
  ["qwen2", { ...llama, model_type: "qwen2" }],
  ["qwen3", { ...llama, model_type: "qwen3", head_dim: 10 }],
] as const;
const models = [
  ["gpt2", gpt2],
  ["gpt2, untied, narrow MLP, ReLU", { ...gpt2, n_inner: 30, tie_word_embeddings: false, activation_function: "relu" }],
  ...llamas,
] as const;

const ignore: TapListener = () => {};

function randomIds(seed: number, length: number): number[] {
  const random = randomFrom(seed);
  return Array.from({ length }, () => Math.floor(random.next() * 50));
}

async function logitsOf(model: LanguageModel, tokens: readonly (readonly number[])[], options?: ForwardOptions): Promise<Float32Array> {
  const logits = model.forward(tokens, options);
  const numbers = await logits.read();
  logits.dispose();
  return numbers;
}

describe.each(devices)("models on $name", ({ open }) => {
  let device: Device;
  let reference: Device;
  beforeAll(async () => {
    device = await open();
    reference = openReference();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  describe.each(models)("%s", (_, file) => {
    let model: LanguageModel;
    beforeAll(async () => {
      model = await randomModel(readConfig(file), device, 7, 0.3);
    });
    afterAll(() => model.dispose());

    test("equals the reference device", async () => {
      const slow = await randomModel(readConfig(file), reference, 7, 0.3);
      const ids = [randomIds(1, 17), randomIds(2, 17)];
      expect(largestDifference(await logitsOf(model, ids, { logits: "all" }), await logitsOf(slow, ids, { logits: "all" }))).toBeLessThan(1e-4);
      slow.dispose();
    });

    test("cached generation equals uncached, whatever the pieces", async () => {
      const ids = randomIds(3, 40);
      const whole = await logitsOf(model, [ids], { logits: "all" });
      const cache = model.cache();
      const pieces: number[] = [];
      let at = 0;
      for (const length of [1, 7, 1, 1, 20, 10]) {
        pieces.push(...(await logitsOf(model, [ids.slice(at, at + length)], { cache, logits: "all" })));
        at += length;
        expect(cache.lengths).toEqual([at]);
      }
      expect(largestDifference(pieces, whole)).toBeLessThan(1e-4);
      cache.truncate(11);
      expect(largestDifference(await logitsOf(model, [ids.slice(11, 14)], { cache }), whole.slice(13 * 50, 14 * 50))).toBeLessThan(1e-4);
      cache.dispose();
    });

    test("a batch of four of different lengths equals four singles", async () => {
      const first = [5, 1, 12, 30].map((length, i) => randomIds(10 + i, length));
      const then = [9, 10, 1, 4].map((length, i) => randomIds(20 + i, length));
      const cache = model.cache(4);
      const together = [await logitsOf(model, first, { cache }), await logitsOf(model, then, { cache })];
      expect(cache.lengths).toEqual([14, 11, 13, 34]);
      cache.truncate(5, 0);
      cache.truncate(1, 1);
      cache.truncate(12, 2);
      cache.truncate(30, 3);
      const heard = taps(model.config, Object.fromEntries(tapNames(model.config).map((name) => [name, ignore])));
      expect(largestDifference(await logitsOf(model, then, { cache, taps: heard }), together[1])).toBeLessThan(1e-5);
      for (let b = 0; b < 4; b++) {
        const alone = model.cache();
        for (const [pass, ids] of [first[b], then[b]].entries())
          expect(largestDifference(await logitsOf(model, [ids], { cache: alone }), together[pass].slice(b * 50, (b + 1) * 50))).toBeLessThan(1e-4);
        alone.dispose();
      }
      cache.dispose();
      const all = await logitsOf(model, first, { logits: "all" }); // padded to 30
      for (let b = 0; b < 4; b++) {
        const alone = await logitsOf(model, [first[b]], { logits: "all" });
        expect(largestDifference(all.slice(b * 30 * 50, b * 30 * 50 + alone.length), alone)).toBeLessThan(1e-4);
      }
    });

    test("logits of the last position are the last of all, listened to or not", async () => {
      const ids = [randomIds(4, 9), randomIds(5, 6)];
      const last = await logitsOf(model, ids);
      const all = await logitsOf(model, ids, { logits: "all" });
      expect(largestDifference(last, [...all.slice(8 * 50, 9 * 50), ...all.slice((9 + 5) * 50, (9 + 6) * 50)])).toBeLessThan(1e-5);
      const heard: string[] = [];
      const listening = taps(
        model.config,
        Object.fromEntries(tapNames(model.config).map((name) => [name, (_: unknown, name: string) => void heard.push(name)])),
      );
      expect(largestDifference(await logitsOf(model, ids, { taps: listening }), last)).toBeLessThan(1e-5);
      expect(heard).toEqual(tapNames(model.config)); // each once, in the order of the pass
    });

    test("load(save(model)) gives identical logits", async () => {
      const saved = new Map<string, { shape: readonly number[]; values: Float32Array }>();
      let count = 0;
      for await (const { name, shape, values } of model.parameters()) {
        saved.set(name, { shape, values });
        count += values.length;
      }
      expect(count).toBe(model.parameterCount);
      const source: TensorSource = {
        name: "saved",
        metadata: {},
        tensors: new Map([...saved].map(([name, { shape, values }]) => [name, { name, dtype: "F32", shape, byteLength: 4 * values.length }])),
        read: async (name, start = 0, end) => saved.get(name)!.values.slice(start, end),
        close: async () => {},
      };
      const again = await loadLanguageModel(JSON.parse(JSON.stringify(configToFile(model.config))), source, device);
      expect(await logitsOf(again, [randomIds(6, 12)])).toEqual(await logitsOf(model, [randomIds(6, 12)]));
      again.dispose();
    });

    test("gives back all memory of a pass, also when a listener throws", async () => {
      const before = device.memory();
      const cache = model.cache();
      await logitsOf(model, [[1, 2, 3]], { cache });
      const failing = taps(model.config, {
        "blocks.1.hook_resid_mid": () => {
          throw new Error("heard enough");
        },
      });
      expect(() => model.forward([[4, 5]], { cache, taps: failing })).toThrow("heard enough");
      expect(cache.lengths).toEqual([3]); // the pass that failed does not count
      cache.dispose();
      expect(device.memory()).toEqual(before);
    });
  });

  test.each(llamas)("%s agrees with a second implementation from the papers", async (_, file) => {
    const config = readConfig(file);
    const model = await randomModel(config, device, 5, 0.3);
    const ids = randomIds(8, 14);
    const expected = await llamaOracle(config, randomWeights(config, 5, 0.3), ids);
    expect(largestDifference(await logitsOf(model, [ids], { logits: "all" }), expected.flat())).toBeLessThan(1e-4);
    model.dispose();
  });

  describe("replacing activations", () => {
    let model: LanguageModel;
    let other: LanguageModel;
    beforeAll(async () => {
      model = await randomModel(readConfig(gpt2), device, 7, 0.3);
      other = await randomModel(readConfig(llama), device, 7, 0.3);
    });
    afterAll(() => [model, other].forEach((each) => each.dispose()));
    const ids = [randomIds(1, 6)];

    test("putting an equal tensor in any activation's place changes nothing", async () => {
      for (const each of [model, other]) {
        const plain = await logitsOf(each, ids);
        for (const name of tapNames(each.config)) {
          const copy: TapListener = (x) => {
            const zero = tensor(device, new Float32Array(x.buffer.length), x.shape);
            return add(x, zero);
          };
          expect(largestDifference(await logitsOf(each, ids, { taps: taps(each.config, { [name]: copy }) }), plain), name).toBeLessThan(1e-5);
        }
      }
    });

    test("putting another in its place changes the logits", async () => {
      for (const each of [model, other]) {
        const plain = await logitsOf(each, ids);
        for (const name of tapNames(each.config)) {
          const noise: TapListener = (x) =>
            tensor(
              device,
              Float32Array.from({ length: x.buffer.length }, (_, i) => Math.sin(i + 1)),
              x.shape,
            );
          expect(largestDifference(await logitsOf(each, ids, { taps: taps(each.config, { [name]: noise }) }), plain), name).toBeGreaterThan(1e-3);
        }
      }
    });

    test("a residual stream patched from another text carries that text's prediction", async () => {
      const there = [randomIds(2, 6)];
      const streams: Promise<Float32Array>[] = [];
      const record = taps(model.config, { "blocks.1.hook_resid_pre": (x) => void streams.push(x.read()) });
      const expected = await logitsOf(model, there, { taps: record });
      const stream = await streams[0];
      const patch = taps(model.config, { "blocks.1.hook_resid_pre": (x) => tensor(device, stream, x.shape) });
      expect(largestDifference(await logitsOf(model, ids, { taps: patch }), expected)).toBeLessThan(1e-5);
    });

    test("refuses a tensor of another shape, naming both", () => {
      const wrong = taps(model.config, { "blocks.*.attn.hook_pattern": () => tensor(device, new Float32Array(4), [2, 2]) });
      expect(() => model.forward(ids, { taps: wrong })).toThrow(
        "the listener on blocks.0.attn.hook_pattern returned f32 (2, 2), expected f32 (1, 3, 6, 6) on the same device",
      );
    });
  });

  test("asks for what it can do, and says the cure otherwise", async () => {
    const model = await randomModel(readConfig(gpt2), device, 1);
    const other = await randomModel(readConfig(llama), device, 1);
    const cache = model.cache(1, 10);
    expect(cache.capacity).toBe(10);
    expect(model.cache(2, 1e9).capacity).toBe(40);
    await logitsOf(model, [randomIds(1, 8)], { cache });
    const cases: [() => unknown, string][] = [
      [() => model.forward([]), "an empty batch"],
      [() => model.forward([[1], []]), "an empty sequence; every sequence needs at least one token"],
      [() => model.forward([[1, 50]]), "token id 50 is outside the vocabulary of 50 (0 to 49)"],
      [() => model.forward([[-1]]), "token id -1"],
      [() => model.forward([[1.5]]), "token id 1.5"],
      [() => model.forward([randomIds(1, 41)]), "41 tokens after 0 do not fit the context of 40"],
      [() => model.forward([[1, 2, 3]], { cache }), "3 tokens after 8 do not fit the context of 10; give at most 2"],
      [() => model.forward([[1], [2]], { cache }), "2 sequences with a cache for 1; make one with model.cache(2)"],
      [() => other.forward([[1]], { cache }), "this cache belongs to another model"],
    ];
    for (const [work, message] of cases) {
      expect(work).toThrow(VitrineError);
      expect(work).toThrow(message);
    }
    await logitsOf(model, [[1, 2]], { cache }); // exactly full is allowed
    for (const made of [cache, model, other]) made.dispose();
  });
});
