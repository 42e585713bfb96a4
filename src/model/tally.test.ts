import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elements } from "../base/shape.ts";
import { readConfig } from "./config-file.ts";
import type { ModelConfig } from "./config.ts";
import { dataNote, noData, openTensors, readJson } from "./data.testing.ts";
import { parametersOf } from "./families.ts";
import { presetConfig, presetNames } from "./presets.ts";
import { tally } from "./tally.ts";

/** What a sum of products such as "2 * 3 + 4" comes to. */
function evaluate(formula: string): number {
  return formula
    .split(" + ")
    .reduce((sum, product) => sum + product.split(" * ").reduce((value, factor) => value * Number(factor.replaceAll(",", "")), 1), 0);
}

describe("the lecture's tally of GPT-3", () => {
  const gpt3 = tally(presetConfig("gpt3"), "video", "gpt3");

  test("comes to 175,181,291,520 weights in 27,938 matrices", () => {
    expect(gpt3.weights).toBe(175_181_291_520);
    expect(gpt3.matrices).toBe(27_938);
  });

  test("has the eight categories with their formulas", () => {
    expect(gpt3.rows).toEqual([
      { category: "Embedding", formula: "d_embed * n_vocab", numbers: "12,288 * 50,257", weights: 617_558_016, matrices: 1 },
      {
        category: "Key",
        formula: "d_query * d_embed * n_heads * n_layers",
        numbers: "128 * 12,288 * 96 * 96",
        weights: 14_495_514_624,
        matrices: 9216,
      },
      {
        category: "Query",
        formula: "d_query * d_embed * n_heads * n_layers",
        numbers: "128 * 12,288 * 96 * 96",
        weights: 14_495_514_624,
        matrices: 9216,
      },
      {
        category: "Value",
        formula: "d_value * d_embed * n_heads * n_layers",
        numbers: "128 * 12,288 * 96 * 96",
        weights: 14_495_514_624,
        matrices: 9216,
      },
      {
        category: "Output",
        formula: "d_embed * d_value * n_heads * n_layers",
        numbers: "12,288 * 128 * 96 * 96",
        weights: 14_495_514_624,
        matrices: 96,
      },
      {
        category: "Up-projection",
        formula: "n_neurons * d_embed * n_layers",
        numbers: "49,152 * 12,288 * 96",
        weights: 57_982_058_496,
        matrices: 96,
      },
      {
        category: "Down-projection",
        formula: "d_embed * n_neurons * n_layers",
        numbers: "12,288 * 49,152 * 96",
        weights: 57_982_058_496,
        matrices: 96,
      },
      { category: "Unembedding", formula: "n_vocab * d_embed", numbers: "50,257 * 12,288", weights: 617_558_016, matrices: 1 },
    ]);
  });
});

test("published totals by both rules", () => {
  expect(tally(presetConfig("gpt3"), "exact").weights).toBe(175_221_817_344);
  expect(tally(presetConfig("gpt3", { tied: true }), "exact").weights).toBe(174_604_259_328);
  expect(tally(presetConfig("gpt2"), "exact").weights).toBe(124_439_808);
  expect(tally(presetConfig("gpt2"), "video")).toMatchObject({ weights: 162_129_408, matrices: 470 });
  expect(tally(presetConfig("gpt2-medium"), "exact").weights).toBe(354_823_168);
  expect(tally(presetConfig("gpt2-large"), "exact").weights).toBe(774_030_080);
  expect(tally(presetConfig("gpt2-xl"), "exact").weights).toBe(1_557_611_200);
});

test("the rest of GPT-3 that the lecture leaves out", () => {
  const weights = Object.fromEntries(tally(presetConfig("gpt3"), "exact").rows.map((row) => [row.category, row.weights]));
  expect(weights).toMatchObject({ Positions: 25_165_824, Norms: 4_743_168, Biases: 4_718_592 + 5_898_240 });
});

const llama = (over: Record<string, unknown>): ModelConfig =>
  readConfig({ model_type: "llama", num_hidden_layers: 3, num_attention_heads: 6, hidden_size: 48, intermediate_size: 100, vocab_size: 64, ...over });

const configs: fc.Arbitrary<ModelConfig> = fc.oneof(
  fc
    .record({
      layers: fc.integer({ min: 1, max: 5 }),
      heads: fc.integer({ min: 1, max: 6 }),
      vocabularySize: fc.integer({ min: 1, max: 99 }),
      mlpWidth: fc.integer({ min: 1, max: 99 }),
      tied: fc.boolean(),
    })
    .map((dimensions) => presetConfig("gpt2", { ...dimensions, width: dimensions.heads * 8, contextLength: 17 })),
  fc
    .record({
      kv: fc.constantFrom(1, 2, 3, 6),
      modelType: fc.constantFrom("llama", "mistral", "qwen2", "qwen3"),
      bias: fc.boolean(),
      tied: fc.boolean(),
    })
    .map(({ kv, modelType, bias, tied }) =>
      llama({ model_type: modelType, num_key_value_heads: kv, attention_bias: bias, mlp_bias: bias, tie_word_embeddings: tied, head_dim: 10 }),
    ),
);

describe("for any dimensions", () => {
  test("formulas with their numbers come to the weights that the checkpoint table lists", () => {
    fc.assert(
      fc.property(configs, fc.constantFrom("video" as const, "exact" as const), (config, rule) => {
        const counted = tally(config, rule);
        for (const row of counted.rows) expect(evaluate(row.numbers), `${row.category}: ${row.formula}`).toBe(row.weights);
        expect(counted.weights).toBe(counted.rows.reduce((sum, row) => sum + row.weights, 0));
        if (rule === "exact") expect(counted.weights).toBe(parametersOf(config).reduce((sum, { shape }) => sum + elements(shape), 0));
        else expect(counted.rows).toHaveLength(8);
      }),
    );
  });

  test("Llama's gate is a row of its own in the exact rule, and part of the Up-projection in the lecture's", () => {
    const exact = tally(llama({ num_key_value_heads: 2 }), "exact");
    const row = (category: string): unknown => exact.rows.find((found) => found.category === category);
    expect(row("Gate-projection")).toMatchObject({ weights: 3 * 48 * 100, matrices: 3 });
    expect(row("Key")).toMatchObject({ formula: "d_query * d_embed * n_kv_heads * n_layers", weights: 8 * 48 * 2 * 3, matrices: 6 });
    expect(row("Query")).toMatchObject({ weights: 8 * 48 * 6 * 3, matrices: 18 });
    const video = tally(llama({}), "video").rows.find((found) => found.category === "Up-projection");
    expect(video).toMatchObject({ formula: "2 * n_neurons * d_embed * n_layers", weights: 2 * 3 * 48 * 100, matrices: 6 });
  });
});

test("presets are named, and a wrong name is answered with the nearest", () => {
  expect(presetNames).toEqual(["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "gpt3"]);
  expect(() => presetConfig("gpt2-midium")).toThrow("did you mean gpt2-medium?");
  expect(() => presetConfig("gpt2", { width: 100 })).toThrow("gpt2: n_embd 100 is not divisible by n_head 12");
});

describe.skipIf(noData)(`the exact tally equals the checkpoint file${dataNote}`, () => {
  test.each(["golden/gpt2-tiny", "golden/nano-sort", "stories260K"])("%s", async (folder) => {
    const { tensors } = await openTensors(`${folder}/model.safetensors`);
    const inFile = [...tensors.values()].reduce((sum, { shape }) => sum + elements(shape), 0);
    expect(tally(readConfig(readJson(`${folder}/config.json`)), "exact").weights).toBe(inFile);
  });
});
