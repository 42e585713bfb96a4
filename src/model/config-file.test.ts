import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../base/errors.ts";
import { configToFile, readConfig } from "./config-file.ts";

const gpt2 = { model_type: "gpt2", n_layer: 2, n_head: 4, n_embd: 64, n_positions: 32, vocab_size: 100 };
const llama = { model_type: "llama", num_hidden_layers: 2, num_attention_heads: 8, hidden_size: 64, intermediate_size: 172, vocab_size: 100 };

describe("readConfig", () => {
  test("reads GPT-2 with transformers' defaults", () => {
    expect(readConfig({ ...gpt2, vocab_size: 50257 })).toEqual({
      modelType: "gpt2",
      family: "gpt2",
      layers: 2,
      heads: 4,
      kvHeads: 4,
      width: 64,
      headDimension: 16,
      mlpWidth: 256,
      contextLength: 32,
      vocabularySize: 50257,
      activation: "gelu_new",
      normEpsilon: 1e-5,
      tied: true,
      bosId: 50256,
      eosIds: [50256],
      rotary: undefined,
      biases: { qkv: true, output: true, mlp: true },
      qkNorm: false,
      attentionWindow: 0,
    });
    expect(readConfig({ ...gpt2, n_inner: null }).mlpWidth).toBe(256);
    expect(readConfig({ ...gpt2, n_inner: 100 }).mlpWidth).toBe(100);
    expect(readConfig({ ...gpt2, n_positions: undefined, n_ctx: 48 }).contextLength).toBe(48);
    expect(readConfig(gpt2)).toMatchObject({ bosId: undefined, eosIds: [] }); // 50256 is not among 100 tokens
    expect(readConfig({ ...gpt2, bos_token_id: null, eos_token_id: [3, 7] })).toMatchObject({ bosId: undefined, eosIds: [3, 7] });
  });

  test("reads the Llama family with each model type's own defaults", () => {
    expect(readConfig(llama)).toMatchObject({
      family: "llama",
      kvHeads: 8,
      headDimension: 8,
      contextLength: 2048,
      normEpsilon: 1e-6,
      tied: false,
      activation: "silu",
      bosId: 1,
      eosIds: [2],
      rotary: { theta: 10000, dimensions: 8, scaling: { kind: "none" } },
      biases: { qkv: false, output: false, mlp: false },
      attentionWindow: 0,
    });
    expect(readConfig({ ...llama, attention_bias: true, mlp_bias: true }).biases).toEqual({ qkv: true, output: true, mlp: true });
    expect(readConfig({ ...llama, model_type: "mistral" })).toMatchObject({ kvHeads: 8, attentionWindow: 4096, contextLength: 131072 });
    expect(readConfig({ ...llama, model_type: "mistral", sliding_window: null }).attentionWindow).toBe(0);
    expect(readConfig({ ...llama, model_type: "qwen2", sliding_window: 4096 })).toMatchObject({
      biases: { qkv: true, output: false, mlp: false },
      attentionWindow: 0,
      bosId: undefined,
      eosIds: [],
    });
    expect(readConfig({ ...llama, model_type: "qwen2", use_sliding_window: true, sliding_window: 9, max_window_layers: 0 }).attentionWindow).toBe(9);
    expect(readConfig({ ...llama, model_type: "qwen2", use_sliding_window: true, sliding_window: 9 }).attentionWindow).toBe(0); // from layer 28 on
    expect(readConfig({ ...llama, model_type: "qwen3" })).toMatchObject({ qkNorm: true, headDimension: 128 });
    expect(readConfig({ ...llama, model_type: "qwen3", head_dim: 16 }).headDimension).toBe(16);
  });

  test("reads rotary positions in both spellings", () => {
    const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    const scaling = { kind: "llama3", factor: 8, lowFrequency: 1, highFrequency: 4, originalContext: 8192 };
    expect(readConfig({ ...llama, rope_theta: 5e5, rope_scaling: llama3 }).rotary).toEqual({ theta: 5e5, dimensions: 8, scaling });
    expect(readConfig({ ...llama, rope_parameters: { ...llama3, rope_theta: 5e5 } }).rotary).toEqual({ theta: 5e5, dimensions: 8, scaling });
    expect(readConfig({ ...llama, rope_scaling: { type: "linear", factor: 2 } }).rotary?.scaling).toEqual({ kind: "linear", factor: 2 });
    expect(readConfig({ ...llama, rope_scaling: null, partial_rotary_factor: 0.5 }).rotary).toMatchObject({
      dimensions: 4,
      scaling: { kind: "none" },
    });
    expect(readConfig({ ...llama, rope_parameters: { rope_type: "default", partial_rotary_factor: 0.25 } }).rotary?.dimensions).toBe(2);
  });

  test("knows activation functions by all their names", () => {
    const names = { gelu: "gelu", gelu_new: "gelu_new", gelu_pytorch_tanh: "gelu_new", relu: "relu", silu: "silu", swish: "silu" };
    for (const [name, activation] of Object.entries(names)) expect(readConfig({ ...gpt2, activation_function: name }).activation).toBe(activation);
  });

  test("is frozen all through", () => {
    const config = readConfig(llama);
    for (const part of [config, config.biases, config.eosIds, config.rotary, config.rotary?.scaling]) expect(Object.isFrozen(part)).toBe(true);
  });

  test.each([
    [null, "holds null, expected a JSON object"],
    [[], "holds an array of 0"],
    [{}, "model_type is nothing; supported are gpt2, llama (also SmolLM and TinyLlama), mistral, qwen2, qwen3"],
    [{ model_type: "gpt_neox" }, 'model_type "gpt_neox" is another architecture; supported are gpt2'],
    [{ model_type: "toString" }, "is another architecture"],
    [{ ...gpt2, n_layer: undefined }, "n_layer is missing"],
    [{ ...gpt2, n_layer: 0 }, "n_layer is 0, expected a whole number from 1 to 10000"],
    [{ ...gpt2, n_layer: -3 }, "n_layer is -3"],
    [{ ...gpt2, n_layer: 1.5 }, "n_layer is 1.5"],
    [{ ...gpt2, n_layer: NaN }, "n_layer is NaN"],
    [{ ...gpt2, n_layer: 1e12 }, "n_layer is 1000000000000"],
    [{ ...gpt2, n_layer: "2" }, 'n_layer is the text "2"'],
    [{ ...gpt2, n_head: 3 }, "n_embd 64 is not divisible by n_head 3"],
    [{ ...gpt2, activation_function: "mish" }, 'activation_function "mish" is not supported; supported are gelu'],
    [{ ...gpt2, scale_attn_by_inverse_layer_idx: true }, "scale_attn_by_inverse_layer_idx true is a variant of GPT-2"],
    [{ ...gpt2, layer_norm_epsilon: -1 }, "layer_norm_epsilon is -1, expected a number greater than 0"],
    [{ ...gpt2, tie_word_embeddings: "yes" }, 'tie_word_embeddings is the text "yes", expected true or false'],
    [{ ...gpt2, eos_token_id: "end" }, 'eos_token_id is the text "end", expected a token id'],
    [{ ...gpt2, quantization_config: {} }, "the checkpoint is quantised"],
    [{ ...llama, num_key_value_heads: 3 }, "num_attention_heads 8 is not a multiple of num_key_value_heads 3"],
    [{ ...llama, head_dim: 7 }, "7 of the 7 numbers of a head would turn"],
    [
      { ...llama, rope_scaling: { rope_type: "yarn", factor: 4 } },
      'rope_scaling: rotary scaling "yarn" is not supported; supported are default, linear and llama3',
    ],
    [{ ...llama, rope_scaling: { type: "linear" } }, "rope_scaling: factor is nothing"],
    [{ ...llama, rope_scaling: [] }, "rope_scaling is an array of 0, expected an object"],
    [{ ...llama, model_type: "qwen2", use_sliding_window: true, max_window_layers: 1 }, "mixes two kinds of attention"],
  ])("refuses %o", (json, message) => {
    expect(() => readConfig(json)).toThrow(FormatError);
    expect(() => readConfig(json)).toThrow(message);
  });

  test("never fails with anything but a FormatError", () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom(0, -1, NaN, Infinity, 1e308, 2 ** 53, "", {}, [], null, undefined));
    fc.assert(
      fc.property(
        fc.constantFrom<Record<string, unknown>>(gpt2, llama, { ...llama, model_type: "qwen3" }),
        fc.dictionary(
          fc.constantFrom(...Object.keys(gpt2), ...Object.keys(llama), "rope_scaling", "rope_parameters", "head_dim", "eos_token_id", "n_inner"),
          value,
        ),
        (base, changes) => {
          try {
            readConfig({ ...base, ...changes });
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("configToFile", () => {
  test.each([
    gpt2,
    { ...gpt2, n_inner: 96, tie_word_embeddings: false, eos_token_id: [1, 2], bos_token_id: 4 },
    llama,
    { ...llama, num_key_value_heads: 2, head_dim: 12, partial_rotary_factor: 0.5, attention_bias: true, bos_token_id: null, eos_token_id: null },
    { ...llama, rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 } },
    { ...llama, rope_scaling: { rope_type: "linear", factor: 2.5 }, rope_theta: 1e6 },
    { ...llama, model_type: "mistral", sliding_window: 7, tie_word_embeddings: true },
    { ...llama, model_type: "mistral", sliding_window: null },
    { ...llama, model_type: "qwen2", use_sliding_window: true, max_window_layers: 0, sliding_window: 5 },
    { ...llama, model_type: "qwen3", head_dim: 32 },
  ])("writes what readConfig reads: %o", (file) => {
    const config = readConfig(file);
    expect(readConfig(JSON.parse(JSON.stringify(configToFile(config))))).toEqual(config);
  });
});
