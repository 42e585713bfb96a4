import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError, VitrineError } from "../base/errors.ts";
import { elements, type Shape } from "../base/shape.ts";
import { type OpenGguf, openBytes, tensorOf, written } from "./gguf.testing.ts";
import { configFromGguf, ggufDimensions, ggufForm, type GgufModel, huggingFaceTensors } from "./gguf-model.ts";
import type { TypedValue } from "./write-gguf.ts";

const common = {
  layers: 2,
  heads: 4,
  kvHeads: 2,
  width: 16,
  headDimension: 4,
  mlpWidth: 40,
  contextLength: 64,
  vocabularySize: 11,
  normEpsilon: 1e-5,
};
const gpt2: GgufModel = { ...common, architecture: "gpt2", kvHeads: 4 };
const llama: GgufModel = { ...common, architecture: "llama", rotaryTheta: 500000 };

/** A file with the metadata of `model`, changed, and the tensors named, all zeros. */
async function fileOf(
  model: GgufModel,
  changes: Record<string, TypedValue | undefined> = {},
  tensors: Record<string, Shape> = { "token_embd.weight": [11, 16] },
): Promise<OpenGguf> {
  const values = ggufDimensions("test", model);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) values.delete(key);
    else values.set(key, value);
  }
  return openBytes(
    await written(
      values,
      Object.entries(tensors).map(([name, shape]) => tensorOf(name, "F32", shape, () => 0)),
    ),
  );
}

/** Numbers that tell tensors of different names apart. */
const values = (name: string, shape: Shape): Float32Array => Float32Array.from({ length: elements(shape) }, (_, i) => name.length * 1000 + i);

describe("names and layouts", () => {
  test.each<[string, GgufModel, [string, Shape, string, Shape][]]>([
    [
      "gpt2",
      gpt2,
      [
        ["transformer.wte.weight", [11, 16], "token_embd.weight", [11, 16]],
        ["transformer.wpe.weight", [64, 16], "position_embd.weight", [64, 16]],
        ["transformer.h.1.ln_1.weight", [16], "blk.1.attn_norm.weight", [16]],
        ["transformer.h.1.ln_1.bias", [16], "blk.1.attn_norm.bias", [16]],
        ["transformer.h.0.attn.c_attn.weight", [16, 48], "blk.0.attn_qkv.weight", [48, 16]],
        ["transformer.h.0.attn.c_attn.bias", [48], "blk.0.attn_qkv.bias", [48]],
        ["transformer.h.10.attn.c_proj.weight", [16, 16], "blk.10.attn_output.weight", [16, 16]],
        ["transformer.h.1.ln_2.bias", [16], "blk.1.ffn_norm.bias", [16]],
        ["transformer.h.1.mlp.c_fc.weight", [16, 40], "blk.1.ffn_up.weight", [40, 16]],
        ["transformer.h.1.mlp.c_proj.weight", [40, 16], "blk.1.ffn_down.weight", [16, 40]],
        ["transformer.ln_f.weight", [16], "output_norm.weight", [16]],
        ["lm_head.weight", [11, 16], "output.weight", [11, 16]],
      ],
    ],
    [
      "llama",
      llama,
      [
        ["model.embed_tokens.weight", [11, 16], "token_embd.weight", [11, 16]],
        ["model.layers.0.input_layernorm.weight", [16], "blk.0.attn_norm.weight", [16]],
        ["model.layers.0.self_attn.q_proj.weight", [16, 16], "blk.0.attn_q.weight", [16, 16]],
        ["model.layers.0.self_attn.k_proj.weight", [8, 16], "blk.0.attn_k.weight", [8, 16]],
        ["model.layers.0.self_attn.v_proj.weight", [8, 16], "blk.0.attn_v.weight", [8, 16]],
        ["model.layers.0.self_attn.o_proj.weight", [16, 16], "blk.0.attn_output.weight", [16, 16]],
        ["model.layers.31.post_attention_layernorm.weight", [16], "blk.31.ffn_norm.weight", [16]],
        ["model.layers.1.mlp.gate_proj.weight", [40, 16], "blk.1.ffn_gate.weight", [40, 16]],
        ["model.layers.1.mlp.up_proj.weight", [40, 16], "blk.1.ffn_up.weight", [40, 16]],
        ["model.layers.1.mlp.down_proj.weight", [16, 40], "blk.1.ffn_down.weight", [16, 40]],
        ["model.norm.weight", [16], "output_norm.weight", [16]],
        ["lm_head.weight", [11, 16], "output.weight", [11, 16]],
      ],
    ],
  ])("%s: llama.cpp's names, and back with the same numbers", async (_, model, rows) => {
    const tensors = rows.map(([name, shape, gguf, ggufShape]) => {
      const form = ggufForm(model, name, shape);
      expect([form.name, form.shape]).toEqual([gguf, ggufShape]);
      return tensorOf(form.name, "F32", form.shape, form.relay ? form.relay(values(name, shape)) : values(name, shape));
    });
    const file = await openBytes(await written(ggufDimensions("test", model), tensors));
    const back = huggingFaceTensors(file, configFromGguf(file.header));
    expect([...back.tensors.keys()]).toEqual(rows.map(([name]) => name));
    for (const [name, shape] of rows) {
      expect(back.tensors.get(name)).toMatchObject({ name, shape });
      expect(await back.read(name), name).toEqual(values(name, shape));
      expect(await back.read(name, 3, 9), name).toEqual(values(name, shape).subarray(3, 9));
    }
    await expect(back.read("lm_head.wait")).rejects.toThrow('did you mean "lm_head.weight"?');
  });

  test("query rows by hand: halves (0 1 | 2 3) of each head become neighbours (0 2)(1 3)", () => {
    const form = ggufForm({ architecture: "llama", heads: 2, kvHeads: 1 }, "model.layers.0.self_attn.q_proj.weight", [8, 1]);
    expect([...form.relay!(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7))]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
    const key = ggufForm({ architecture: "llama", heads: 2, kvHeads: 1 }, "model.layers.0.self_attn.k_proj.weight", [4, 1]);
    expect([...key.relay!(Float32Array.of(0, 1, 2, 3))]).toEqual([0, 2, 1, 3]);
  });

  test("Conv1D by hand, and of any size", () => {
    const form = ggufForm(gpt2, "transformer.h.0.mlp.c_fc.weight", [2, 3]);
    expect([...form.relay!(Float32Array.of(1, 2, 3, 4, 5, 6))]).toEqual([1, 4, 2, 5, 3, 6]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 70 }), (rows, columns) => {
        const there = ggufForm(gpt2, "transformer.h.0.mlp.c_fc.weight", [rows, columns]);
        const out = there.relay!(Float32Array.from({ length: rows * columns }, (_, i) => i));
        expect(out.every((value, i) => value === (i % rows) * columns + Math.floor(i / rows))).toBe(true);
      }),
    );
  });

  test("no place for other tensors", () => {
    for (const name of ["score.weight", "transformer.h.0.attn.bias", "transformer.h.N.ln_1.weight", "transformer.h.0.ln_1", "model.norm.weight"]) {
      expect(() => ggufForm(gpt2, name, [2, 2])).toThrow(VitrineError);
      expect(() => ggufForm(gpt2, name, [2, 2])).toThrow(`has no place for tensor "${name}"; export this model as safetensors`);
    }
  });
});

describe("dimensions", () => {
  test("gpt2: config.json and back", async () => {
    const config = configFromGguf((await fileOf(gpt2, { "tokenizer.ggml.eos_token_id": { u32: 7 } })).header);
    expect(config).toEqual({
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      vocab_size: 11,
      tie_word_embeddings: true,
      bos_token_id: null,
      eos_token_id: 7,
      n_positions: 64,
      n_embd: 16,
      n_inner: 40,
      n_layer: 2,
      n_head: 4,
      layer_norm_epsilon: 1e-5, // stored as fp32, and still 1e-5
      activation_function: "gelu_new",
    });
  });

  test("llama: config.json and back; an unembedding of its own, two ends", async () => {
    const ids = { "tokenizer.ggml.bos_token_id": { u32: 1 }, "tokenizer.ggml.eos_token_id": { u32: 2 }, "tokenizer.ggml.eot_token_id": { u32: 3 } };
    const file = await fileOf(llama, ids, { "token_embd.weight": [11, 16], "output.weight": [11, 16] });
    expect(configFromGguf(file.header)).toEqual({
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      vocab_size: 11,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: [2, 3],
      hidden_size: 16,
      intermediate_size: 40,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 4,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
      rope_theta: 500000,
      hidden_act: "silu",
      attention_bias: false,
      mlp_bias: false,
    });
  });

  test("every number survives fp32 as the decimal it was", async () => {
    for (const normEpsilon of [1e-5, 1e-6, 1e-12, 0.0625, 0.1, 12345.67]) {
      expect(configFromGguf((await fileOf({ ...llama, normEpsilon })).header).rms_norm_eps).toBe(normEpsilon);
    }
  });

  test("llama files that leave out what has a default", async () => {
    const left = [
      "attention.head_count_kv",
      "attention.key_length",
      "attention.value_length",
      "rope.dimension_count",
      "rope.freq_base",
      "vocab_size",
    ];
    const config = configFromGguf((await fileOf(llama, Object.fromEntries(left.map((key) => [`llama.${key}`, undefined])))).header);
    expect(config).toMatchObject({ num_key_value_heads: 4, head_dim: undefined, rope_theta: undefined });
  });

  test.each<[string, Record<string, TypedValue | undefined>, Record<string, Shape> | undefined, string]>([
    [
      "another architecture",
      { "general.architecture": { string: "qwen2" } },
      undefined,
      'its architecture is the text "qwen2"; from GGUF, gpt2 and llama can be loaded',
    ],
    ["no architecture", { "general.architecture": undefined }, undefined, "no general.architecture"],
    ["one part of several", { "split.count": { u32: 3 } }, undefined, "only a part of a model that was split"],
    ["no embedding", {}, { "blk.0.attn_norm.weight": [16] }, 'no tensor "token_embd.weight"'],
    ["scaled positions", { "llama.rope.scaling.type": { string: "yarn" } }, undefined, "its rotary positions are scaled"],
    ["factors for positions", {}, { "token_embd.weight": [11, 16], "rope_freqs.weight": [2] }, "its rotary positions are scaled"],
    ["partly turning heads", { "llama.rope.dimension_count": { u32: 2 } }, undefined, "only 2 numbers of a head turn"],
  ])("%s is refused", async (_, changes, tensors, message) => {
    const { header } = await fileOf(llama, changes, tensors);
    expect(() => configFromGguf(header)).toThrow(FormatError);
    expect(() => configFromGguf(header)).toThrow(message);
  });

  test.each<[string, Record<string, TypedValue | undefined>, Shape, string]>([
    ["heads that do not divide the rows", { "llama.attention.head_count": { u32: 3 } }, [16, 16], "which 3 heads of an even size cannot share"],
    ["no heads at all", { "llama.attention.head_count": { u32: 0 } }, [16, 16], "which 0 heads"],
    ["heads in words", { "llama.attention.head_count": { string: "four" } }, [16, 16], "which NaN heads"],
    ["a list of heads", { "llama.attention.head_count": { i32s: [4, 4] } }, [16, 16], "which NaN heads"],
    ["heads of odd size", { "llama.attention.head_count": { u32: 16 } }, [16, 16], "which 16 heads of an even size"],
    ["queries on one axis", {}, [16], "is (16), expected two axes"],
  ])("%s: tensors cannot be laid out", async (_, changes, shape, message) => {
    const open = { "llama.rope.dimension_count": undefined, "llama.attention.key_length": undefined };
    const file = await fileOf(llama, { ...open, ...changes }, { "token_embd.weight": [11, 16], "blk.0.attn_q.weight": shape });
    const config = configFromGguf(file.header);
    expect(() => huggingFaceTensors(file, config)).toThrow(FormatError);
    expect(() => huggingFaceTensors(file, config)).toThrow(message);
  });

  test("tensors of a newer kind are named", async () => {
    const file = await fileOf(llama, {}, { "token_embd.weight": [11, 16], "blk.0.ffn_gate_exps.weight": [2, 40, 16] });
    expect(() => huggingFaceTensors(file, configFromGguf(file.header))).toThrow('tensor "blk.0.ffn_gate_exps.weight" has no place in a llama model');
  });
});
