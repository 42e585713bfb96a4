/**
 * One model, two spellings: the tensors and config of a Hugging Face folder, and the names, layouts and metadata that
 * GGUF gives them (gguf.md of ggml; the gpt2 and llama architectures as llama.cpp reads them).
 * Bytes are gguf.ts's and write-gguf.ts's business; the vocabulary is gguf-tokenizer.ts's.
 */
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { elements, type Shape } from "../base/shape.ts";
import type { GgufFile, GgufValue } from "./gguf.ts";
import type { TensorInfo, TensorSource } from "./tensor-source.ts";
import type { TypedValue } from "./write-gguf.ts";

/**
 * How a tensor's layout differs. "same": not at all. "transposed": Hugging Face keeps (inputs, outputs), GGUF (outputs, inputs).
 * "query" and "key": GGUF interleaves the two halves of each head's rows, since llama.cpp turns neighbours where Hugging Face turns halves.
 */
type Layout = "same" | "transposed" | "query" | "key";

interface Spelling {
  readonly huggingFace: string;
  readonly gguf: string;
  readonly layout: Layout;
}

/** `N` stands for the layer. */
const spellings: Readonly<Record<"gpt2" | "llama", readonly Spelling[]>> = {
  gpt2: [
    { huggingFace: "transformer.wte.weight", gguf: "token_embd.weight", layout: "same" },
    { huggingFace: "transformer.wpe.weight", gguf: "position_embd.weight", layout: "same" },
    { huggingFace: "transformer.h.N.ln_1", gguf: "blk.N.attn_norm", layout: "same" },
    { huggingFace: "transformer.h.N.attn.c_attn", gguf: "blk.N.attn_qkv", layout: "transposed" },
    { huggingFace: "transformer.h.N.attn.c_proj", gguf: "blk.N.attn_output", layout: "transposed" },
    { huggingFace: "transformer.h.N.ln_2", gguf: "blk.N.ffn_norm", layout: "same" },
    { huggingFace: "transformer.h.N.mlp.c_fc", gguf: "blk.N.ffn_up", layout: "transposed" },
    { huggingFace: "transformer.h.N.mlp.c_proj", gguf: "blk.N.ffn_down", layout: "transposed" },
    { huggingFace: "transformer.ln_f", gguf: "output_norm", layout: "same" },
    { huggingFace: "lm_head.weight", gguf: "output.weight", layout: "same" },
  ],
  llama: [
    { huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight", layout: "same" },
    { huggingFace: "model.layers.N.input_layernorm", gguf: "blk.N.attn_norm", layout: "same" },
    { huggingFace: "model.layers.N.self_attn.q_proj", gguf: "blk.N.attn_q", layout: "query" },
    { huggingFace: "model.layers.N.self_attn.k_proj", gguf: "blk.N.attn_k", layout: "key" },
    { huggingFace: "model.layers.N.self_attn.v_proj", gguf: "blk.N.attn_v", layout: "same" },
    { huggingFace: "model.layers.N.self_attn.o_proj", gguf: "blk.N.attn_output", layout: "same" },
    { huggingFace: "model.layers.N.post_attention_layernorm", gguf: "blk.N.ffn_norm", layout: "same" },
    { huggingFace: "model.layers.N.mlp.gate_proj", gguf: "blk.N.ffn_gate", layout: "same" },
    { huggingFace: "model.layers.N.mlp.up_proj", gguf: "blk.N.ffn_up", layout: "same" },
    { huggingFace: "model.layers.N.mlp.down_proj", gguf: "blk.N.ffn_down", layout: "same" },
    { huggingFace: "model.norm", gguf: "output_norm", layout: "same" },
    { huggingFace: "lm_head.weight", gguf: "output.weight", layout: "same" },
  ],
};

/** What both directions need of a config.json. */
export interface GgufShape {
  readonly architecture: "gpt2" | "llama";
  readonly heads: number;
  readonly kvHeads: number;
}

/** The other spelling of a tensor's name: `blk.3.ffn_up.weight` of `transformer.h.3.mlp.c_fc.weight`. Undefined when there is none. */
function respell(architecture: "gpt2" | "llama", name: string, from: "huggingFace" | "gguf"): { name: string; layout: Layout } | undefined {
  const to = from === "gguf" ? "huggingFace" : "gguf";
  const layer = /\.(\d+)\./.exec(name)?.[1];
  const general = layer === undefined ? name : name.replace(`.${layer}.`, ".N.");
  for (const spelling of spellings[architecture]) {
    const suffix = general.startsWith(spelling[from]) ? general.slice(spelling[from].length) : undefined;
    if (suffix !== "" && suffix !== ".weight" && suffix !== ".bias") continue;
    const isMatrix = suffix !== ".bias" && spelling.layout === "transposed";
    const layout = spelling.layout === "transposed" && !isMatrix ? "same" : spelling.layout;
    return { name: (spelling[to] + suffix).replace(".N.", `.${layer}.`), layout };
  }
  return undefined;
}

/** Name, shape and numbers of a tensor as GGUF wants them. Throws VitrineError for a tensor llama.cpp has no place for. */
export function toGguf(model: GgufShape, name: string, shape: Shape, values: Float32Array): { name: string; shape: Shape; values: Float32Array } {
  const other = respell(model.architecture, name, "huggingFace");
  if (!other) throw new VitrineError(`export: GGUF's ${model.architecture} architecture has no place for tensor ${quoted(name)}; save this model as safetensors`);
  const [newShape, newValues] = relay(other.layout, model, shape, values, "toGguf");
  return { name: other.name, shape: newShape, values: newValues };
}

/** A GGUF file's tensors under Hugging Face's names and layouts, so that models load from it as from a folder. */
export function huggingFaceTensors(file: GgufFile, model: GgufShape): TensorSource {
  const tensors = new Map<string, TensorInfo>();
  const origins = new Map<string, { info: TensorInfo; layout: Layout }>();
  for (const info of file.tensors.values()) {
    if (info.name === "rope_freqs.weight") continue; // llama.cpp's precomputed rotary factors: config says the same
    const other = respell(model.architecture, info.name, "gguf");
    if (!other) throw new FormatError(`${file.name}: unexpected tensor ${quoted(info.name)} for architecture ${model.architecture}; a newer variant than is supported?`);
    const shape = other.layout === "transposed" ? info.shape.toReversed() : info.shape;
    tensors.set(other.name, { ...info, name: other.name, shape });
    origins.set(other.name, { info, layout: other.layout });
  }
  let last: { name: string; values: Promise<Float32Array> } | undefined; // a tensor laid out anew is kept while it is read piece by piece
  return {
    name: file.name,
    tensors,
    metadata: {},
    read: async (name, start = 0, end) => {
      const origin = origins.get(name);
      if (!origin) throw new FormatError(`${file.name}: no tensor ${quoted(name)}`);
      const { info, layout } = origin;
      if (layout === "same") return file.read(info.name, start, end);
      if (last?.name !== name) last = { name, values: file.read(info.name).then((values) => relay(layout, model, info.shape, values, "fromGguf")[1]) };
      return (await last.values).slice(start, end ?? elements(info.shape));
    },
    close: () => file.close(),
  };
}

function relay(layout: Layout, model: GgufShape, shape: Shape, values: Float32Array, way: "toGguf" | "fromGguf"): [Shape, Float32Array] {
  if (layout === "same") return [shape, values];
  if (layout === "transposed") return [shape.toReversed(), transpose(values, shape[0], shape[1])];
  const heads = layout === "query" ? model.heads : model.kvHeads;
  return [shape, interleave(values, heads, shape[0] / heads, elements(shape) / shape[0], way)];
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column];
  return out;
}

/** Within each head, Hugging Face's rows i and i + D / 2 (a pair that turns together) stand at 2i and 2i + 1 in GGUF. */
function interleave(values: Float32Array, heads: number, D: number, width: number, way: "toGguf" | "fromGguf"): Float32Array {
  const out = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < D; row++) {
      const halves = head * D + row;
      const neighbours = head * D + (row < D / 2 ? 2 * row : 2 * row - D + 1);
      const [from, to] = way === "toGguf" ? [halves, neighbours] : [neighbours, halves];
      out.set(values.subarray(from * width, (from + 1) * width), to * width);
    }
  }
  return out;
}

/** The metadata that describes a model's dimensions, from its config.json. */
export function ggufDimensions(name: string, config: JsonObject): Map<string, TypedValue> {
  const number = (key: string, otherwise?: number): number => {
    const value = config[key] ?? otherwise;
    if (typeof value !== "number") throw new VitrineError(`export: config.json has no ${key}, which GGUF needs`);
    return value;
  };
  if (config.model_type === "gpt2") {
    return new Map<string, TypedValue>([
      ["general.architecture", { string: "gpt2" }],
      ["general.name", { string: name }],
      ["gpt2.context_length", { u32: number("n_positions") }],
      ["gpt2.embedding_length", { u32: number("n_embd") }],
      ["gpt2.feed_forward_length", { u32: number("n_inner", 4 * number("n_embd")) }],
      ["gpt2.block_count", { u32: number("n_layer") }],
      ["gpt2.attention.head_count", { u32: number("n_head") }],
      ["gpt2.attention.layer_norm_epsilon", { f32: number("layer_norm_epsilon", 1e-5) }],
    ]);
  }
  if (config.model_type !== "llama" || (config.rope_scaling ?? null) !== null || config.attention_bias === true || config.mlp_bias === true) {
    throw new VitrineError(`export: GGUF is written for gpt2 and plain llama models, this is ${String(config.model_type)}${config.model_type === "llama" ? " with biases or scaled positions" : ""}; save it as safetensors`);
  }
  const heads = number("num_attention_heads");
  const D = number("head_dim", number("hidden_size") / heads);
  return new Map<string, TypedValue>([
    ["general.architecture", { string: "llama" }],
    ["general.name", { string: name }],
    ["llama.context_length", { u32: number("max_position_embeddings") }],
    ["llama.embedding_length", { u32: number("hidden_size") }],
    ["llama.feed_forward_length", { u32: number("intermediate_size") }],
    ["llama.block_count", { u32: number("num_hidden_layers") }],
    ["llama.attention.head_count", { u32: heads }],
    ["llama.attention.head_count_kv", { u32: number("num_key_value_heads", heads) }],
    ["llama.attention.key_length", { u32: D }],
    ["llama.attention.value_length", { u32: D }],
    ["llama.attention.layer_norm_rms_epsilon", { f32: number("rms_norm_eps", 1e-6) }],
    ["llama.rope.dimension_count", { u32: D }],
    ["llama.rope.freq_base", { f32: number("rope_theta", 10000) }],
    ["llama.vocab_size", { u32: number("vocab_size") }],
  ]);
}

/** The config.json that a GGUF file's metadata amounts to. Throws FormatError naming what is missing or not supported. */
export function configFromGguf(file: GgufFile): JsonObject {
  const architecture = file.values.get("general.architecture");
  if (architecture !== "gpt2" && architecture !== "llama") {
    throw new FormatError(`${file.name}: its architecture is ${quoted(String(architecture))}; from GGUF, gpt2 and llama can be loaded`);
  }
  const value = (key: string, otherwise?: GgufValue): GgufValue => {
    const found = file.values.get(key.startsWith("tokenizer.") ? key : `${architecture}.${key}`) ?? otherwise;
    if (found === undefined) throw new FormatError(`${file.name}: metadata ${quoted(`${architecture}.${key}`)} is missing; convert the model anew`);
    return found;
  };
  const embedding = file.tensors.get("token_embd.weight");
  if (!embedding) throw new FormatError(`${file.name}: no tensor "token_embd.weight"; it holds no language model`);
  const common = {
    model_type: architecture,
    vocab_size: embedding.shape[0],
    tie_word_embeddings: !file.tensors.has("output.weight"),
    bos_token_id: file.values.get("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: file.values.get("tokenizer.ggml.eos_token_id") ?? null,
  };
  if (architecture === "gpt2") {
    return {
      ...common,
      architectures: ["GPT2LMHeadModel"],
      n_positions: value("context_length"),
      n_embd: value("embedding_length"),
      n_inner: value("feed_forward_length"),
      n_layer: value("block_count"),
      n_head: value("attention.head_count"),
      layer_norm_epsilon: value("attention.layer_norm_epsilon", 1e-5),
      activation_function: "gelu_new",
    } as JsonObject;
  }
  const scaling = file.values.get("llama.rope.scaling.type");
  if (scaling !== undefined && scaling !== "none") throw new FormatError(`${file.name}: rope scaling ${quoted(String(scaling))} cannot be read from GGUF; use the model's safetensors version`);
  if (file.tensors.has("rope_freqs.weight")) throw new FormatError(`${file.name}: scaled rotary positions (rope_freqs) cannot be read from GGUF; use the model's safetensors version`);
  const heads = value("attention.head_count");
  return {
    ...common,
    architectures: ["LlamaForCausalLM"],
    hidden_size: value("embedding_length"),
    intermediate_size: value("feed_forward_length"),
    num_hidden_layers: value("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: value("attention.head_count_kv", heads),
    head_dim: value("attention.key_length", Number(value("embedding_length")) / Number(heads)),
    max_position_embeddings: value("context_length"),
    rms_norm_eps: value("attention.layer_norm_rms_epsilon"),
    rope_theta: value("rope.freq_base", 10000),
    hidden_act: "silu",
  } as JsonObject;
}
