/**
 * One model, two spellings: the tensors and config.json of a Hugging Face folder, and the names, layouts and metadata that
 * GGUF gives them (gguf.md of ggml; the gpt2 and llama architectures as llama.cpp reads them).
 * Bytes are gguf.ts's and write-gguf.ts's business; the vocabulary is gguf-tokenizer.ts's.
 */
import { FormatError, nearest, quoted, VitrineError } from "../base/errors.ts";
import { describe, type JsonObject } from "../base/json.ts";
import { type Shape, showShape } from "../base/shape.ts";
import type { GgufHeader } from "./gguf.ts";
import type { GgufValue } from "./gguf-header-reader.ts";
import type { TensorInfo, TensorSource } from "./tensor-source.ts";
import type { TypedValue } from "./write-gguf.ts";

type GgufArchitecture = "gpt2" | "llama";

/** What GGUF says of a model, with the names of ModelConfig. */
export interface GgufModel {
  readonly architecture: GgufArchitecture;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  readonly headDimension: number;
  readonly mlpWidth: number;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly normEpsilon: number;
  /** Of llama's rotary positions. */
  readonly rotaryTheta?: number;
}

/**
 * How a tensor's layout differs. "same": not at all. "transposed": Hugging Face keeps (inputs, outputs), GGUF (outputs, inputs).
 * "query" and "key": GGUF interleaves the two halves of each head's rows, since llama.cpp turns neighbours where Hugging Face turns halves.
 */
type Layout = "same" | "transposed" | "query" | "key";

interface Spelling {
  /** `N` stands for the layer. Without their last part where that is the same in both: "weight" or "bias". */
  readonly huggingFace: string;
  readonly gguf: string;
  /** Of the weight; biases are all the same. */
  readonly layout: Layout;
}

const spellings: Readonly<Record<GgufArchitecture, readonly Spelling[]>> = {
  gpt2: [
    { huggingFace: "transformer.wte", gguf: "token_embd", layout: "same" },
    { huggingFace: "transformer.wpe", gguf: "position_embd", layout: "same" },
    { huggingFace: "transformer.h.N.ln_1", gguf: "blk.N.attn_norm", layout: "same" },
    { huggingFace: "transformer.h.N.attn.c_attn", gguf: "blk.N.attn_qkv", layout: "transposed" },
    { huggingFace: "transformer.h.N.attn.c_proj", gguf: "blk.N.attn_output", layout: "transposed" },
    { huggingFace: "transformer.h.N.ln_2", gguf: "blk.N.ffn_norm", layout: "same" },
    { huggingFace: "transformer.h.N.mlp.c_fc", gguf: "blk.N.ffn_up", layout: "transposed" },
    { huggingFace: "transformer.h.N.mlp.c_proj", gguf: "blk.N.ffn_down", layout: "transposed" },
    { huggingFace: "transformer.ln_f", gguf: "output_norm", layout: "same" },
    { huggingFace: "lm_head", gguf: "output", layout: "same" },
  ],
  llama: [
    { huggingFace: "model.embed_tokens", gguf: "token_embd", layout: "same" },
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
    { huggingFace: "lm_head", gguf: "output", layout: "same" },
  ],
};

/** The other spelling of a tensor's name: `blk.3.ffn_up.weight` of `transformer.h.3.mlp.c_fc.weight`. Undefined when there is none. */
function respell(architecture: GgufArchitecture, name: string, from: "huggingFace" | "gguf"): { name: string; layout: Layout } | undefined {
  const [, stem, part] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  if (stem === undefined) return undefined;
  const layer = /\.(\d+)\./.exec(stem)?.[1];
  const spelling = spellings[architecture].find((each) => (layer === undefined ? each[from] : each[from].replace(".N.", `.${layer}.`)) === stem);
  if (!spelling || (layer === undefined && spelling[from].includes(".N."))) return undefined;
  const other = spelling[from === "gguf" ? "huggingFace" : "gguf"].replace(".N.", `.${layer}.`);
  return { name: `${other}.${part}`, layout: part === "weight" ? spelling.layout : "same" };
}

/** A tensor as GGUF wants it: its name and shape, and what to do to its numbers before they are written. */
export interface GgufForm {
  readonly name: string;
  readonly shape: Shape;
  /** Undefined where the numbers stay as they are, so that pieces of whole rows can be written as they come; else it wants all of them. */
  readonly relay: ((values: Float32Array) => Float32Array) | undefined;
}

/** Throws VitrineError for a tensor llama.cpp has no place for. */
export function ggufForm(model: Heads & Pick<GgufModel, "architecture">, name: string, shape: Shape): GgufForm {
  const other = respell(model.architecture, name, "huggingFace");
  if (!other) {
    throw new VitrineError(
      `export: GGUF's ${model.architecture} architecture has no place for tensor ${quoted(name)}; export this model as safetensors`,
    );
  }
  const { layout } = other;
  const relay = layout === "same" ? undefined : (values: Float32Array) => relaid(layout, model, shape, values, "toGguf");
  return { name: other.name, shape: layout === "transposed" ? shape.toReversed() : shape, relay };
}

/**
 * A GGUF file's tensors under Hugging Face's names and layouts, so that models load from it as from a folder. `config` is configFromGguf's.
 * The result owns `source`. Throws FormatError for tensors that the architecture does not have, or whose shape cannot be laid out anew.
 */
export function huggingFaceTensors(source: TensorSource, config: JsonObject): TensorSource {
  const architecture = config.model_type as GgufArchitecture;
  const heads = { heads: Number(config.num_attention_heads), kvHeads: Number(config.num_key_value_heads) };
  const tensors = new Map<string, TensorInfo>();
  const origins = new Map<string, { readonly info: TensorInfo; readonly layout: Layout }>();
  for (const info of source.tensors.values()) {
    const other = respell(architecture, info.name, "gguf");
    if (!other)
      throw new FormatError(
        `${source.name}: tensor ${quoted(info.name)} has no place in a ${architecture} model; it is of a kind that is not supported`,
      );
    checkLayout(source.name, info, other.layout, heads);
    tensors.set(other.name, { ...info, name: other.name, shape: other.layout === "transposed" ? info.shape.toReversed() : info.shape });
    origins.set(other.name, { info, layout: other.layout });
  }

  let last: { readonly name: string; readonly values: Promise<Float32Array> } | undefined; // kept while a tensor laid out anew is read piece by piece
  return {
    name: source.name,
    tensors,
    metadata: {},
    read: async (name, start = 0, end) => {
      const origin = origins.get(name);
      if (!origin) {
        const meant = nearest(name, tensors.keys());
        throw new FormatError(
          `${source.name}: no tensor ${quoted(name)} among its ${tensors.size}${meant === undefined ? "" : `; did you mean ${quoted(meant)}?`}`,
        );
      }
      const { info, layout } = origin;
      if (layout === "same") return source.read(info.name, start, end);
      if (last?.name !== name)
        last = { name, values: source.read(info.name).then((values) => relaid(layout, heads, info.shape, values, "fromGguf")) };
      const values = await last.values;
      if (end === undefined || end === values.length) last = undefined;
      return values.slice(start, end);
    },
    close: () => source.close(),
  };
}

type Heads = Pick<GgufModel, "heads" | "kvHeads">;

function checkLayout(file: string, { name, shape }: TensorInfo, layout: Layout, heads: Heads): void {
  if (layout === "same") return;
  const refuse = (problem: string): never => {
    throw new FormatError(`${file}: tensor ${quoted(name)} is ${showShape(shape)}, ${problem}; the file is damaged: fetch it again`);
  };
  if (shape.length !== 2) refuse("expected two axes");
  if (layout === "transposed") return;
  const count = layout === "query" ? heads.heads : heads.kvHeads;
  if (!(Number.isInteger(count) && count > 0 && shape[0] % (2 * count) === 0)) refuse(`which ${count} heads of an even size cannot share`);
}

function relaid(layout: Exclude<Layout, "same">, heads: Heads, shape: Shape, values: Float32Array, way: "toGguf" | "fromGguf"): Float32Array {
  if (layout === "transposed") return transpose(values, shape[0], shape[1]);
  const count = layout === "query" ? heads.heads : heads.kvHeads;
  return interleave(values, count, shape[0] / count, shape[1], way);
}

/** (rows, columns) -> (columns, rows), in tiles that fit the processor's cache. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  const TILE = 32;
  for (let row0 = 0; row0 < rows; row0 += TILE) {
    for (let column0 = 0; column0 < columns; column0 += TILE) {
      const [rowEnd, columnEnd] = [Math.min(rows, row0 + TILE), Math.min(columns, column0 + TILE)];
      for (let column = column0; column < columnEnd; column++) {
        for (let row = row0; row < rowEnd; row++) out[column * rows + row] = values[row * columns + column];
      }
    }
  }
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

/** The metadata that describes a model's dimensions. */
export function ggufDimensions(name: string, model: GgufModel): Map<string, TypedValue> {
  const { architecture: a } = model;
  const values = new Map<string, TypedValue>([
    ["general.architecture", { string: a }],
    ["general.name", { string: name }],
    [`${a}.context_length`, { u32: model.contextLength }],
    [`${a}.embedding_length`, { u32: model.width }],
    [`${a}.feed_forward_length`, { u32: model.mlpWidth }],
    [`${a}.block_count`, { u32: model.layers }],
    [`${a}.attention.head_count`, { u32: model.heads }],
  ]);
  if (a === "gpt2") return values.set("gpt2.attention.layer_norm_epsilon", { f32: model.normEpsilon });
  return values
    .set("llama.attention.head_count_kv", { u32: model.kvHeads })
    .set("llama.attention.key_length", { u32: model.headDimension })
    .set("llama.attention.value_length", { u32: model.headDimension })
    .set("llama.attention.layer_norm_rms_epsilon", { f32: model.normEpsilon })
    .set("llama.rope.dimension_count", { u32: model.headDimension })
    .set("llama.rope.freq_base", { f32: model.rotaryTheta ?? 10_000 })
    .set("llama.vocab_size", { u32: model.vocabularySize });
}

/**
 * The config.json that a GGUF file's metadata amounts to. Its fields are not checked here, like those of any config.json.
 * Throws FormatError for what config.json could not say: another architecture, part of a split file, scaled positions.
 */
export function configFromGguf(file: GgufHeader): JsonObject {
  const refuse = (problem: string): never => {
    throw new FormatError(`${file.name}: ${problem}`);
  };
  const architecture = file.values.get("general.architecture");
  if (architecture !== "gpt2" && architecture !== "llama") {
    return refuse(
      architecture === undefined
        ? "no general.architecture in its metadata; it holds no language model"
        : `its architecture is ${describe(architecture)}; from GGUF, gpt2 and llama can be loaded: use the model's safetensors version`,
    );
  }
  if (Number(file.values.get("split.count") ?? 1) > 1) refuse("only a part of a model that was split; join its parts with llama-gguf-split --merge");
  const embedding = file.tensors.get("token_embd.weight") ?? refuse('no tensor "token_embd.weight"; it holds no language model');
  const value = (key: string): GgufValue | undefined => exact(file.values.get(`${architecture}.${key}`));

  const eos = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"].map((key) => file.values.get(key)).filter((id) => id !== undefined);
  const common = {
    model_type: architecture,
    vocab_size: embedding.shape[0],
    tie_word_embeddings: !file.tensors.has("output.weight"),
    bos_token_id: file.values.get("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: eos.length > 1 ? eos : (eos[0] ?? null),
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
      layer_norm_epsilon: value("attention.layer_norm_epsilon"),
      activation_function: "gelu_new",
    };
  }
  const scaling = value("rope.scaling.type") ?? "none";
  if (scaling !== "none" || file.tensors.has("rope_freqs.weight"))
    refuse("its rotary positions are scaled, which is not read from GGUF; use the model's safetensors version");
  const [D, turning] = [value("attention.key_length"), value("rope.dimension_count")];
  const headDimension = D ?? Number(value("embedding_length")) / Number(value("attention.head_count"));
  if (turning !== undefined && turning !== headDimension)
    refuse(`only ${describe(turning)} numbers of a head turn, which is not read from GGUF; use the model's safetensors version`);
  return {
    ...common,
    architectures: ["LlamaForCausalLM"],
    hidden_size: value("embedding_length"),
    intermediate_size: value("feed_forward_length"),
    num_hidden_layers: value("block_count"),
    num_attention_heads: value("attention.head_count"),
    num_key_value_heads: value("attention.head_count_kv") ?? value("attention.head_count"),
    head_dim: D,
    max_position_embeddings: value("context_length"),
    rms_norm_eps: value("attention.layer_norm_rms_epsilon"),
    rope_theta: value("rope.freq_base"),
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
  };
}

/** The shortest decimal that fp32 holds as this number: an epsilon of 1e-5 comes back as 1e-5, not as 0.000009999999747378752. */
function exact(value: GgufValue | undefined): GgufValue | undefined {
  if (typeof value !== "number" || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
