/**
 * config.json of a Hugging Face folder -> ModelConfig, and back. Everything a config may say is checked here, once;
 * what model types differ in are rows of the two tables below.
 */
import { FormatError } from "../base/errors.ts";
import { describe, isJsonObject } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";
import type { Activation } from "../device/device.ts";
import type { ModelConfig, RotaryConfig } from "./config.ts";

const SUPPORTED = "gpt2, llama (also SmolLM and TinyLlama), mistral, qwen2, qwen3";

/** What the Llama family's model types take for granted. A name in quotes is the field of config.json that decides. */
interface LlamaRow {
  readonly qkvBias: boolean | "attention_bias";
  readonly outputBias: boolean | "attention_bias";
  readonly mlpBias: boolean | "mlp_bias";
  readonly qkNorm: boolean;
  /** Default of head_dim; undefined = width / heads. */
  readonly headDimension: number | undefined;
  /** Default of num_key_value_heads; undefined = as many as heads. */
  readonly kvHeads: number | undefined;
  readonly contextLength: number;
  /** Where a sliding window is told, and its default; "switched" needs use_sliding_window as well. */
  readonly window: "none" | "sliding_window" | "switched";
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
}

const llamaRows: Readonly<Record<string, LlamaRow>> = {
  llama: {
    qkvBias: "attention_bias",
    outputBias: "attention_bias",
    mlpBias: "mlp_bias",
    qkNorm: false,
    headDimension: undefined,
    kvHeads: undefined,
    contextLength: 2048,
    window: "none",
    bosId: 1,
    eosId: 2,
  },
  mistral: {
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    qkNorm: false,
    headDimension: undefined,
    kvHeads: 8,
    contextLength: 131072,
    window: "sliding_window",
    bosId: 1,
    eosId: 2,
  },
  qwen2: {
    qkvBias: true,
    outputBias: false,
    mlpBias: false,
    qkNorm: false,
    headDimension: undefined,
    kvHeads: undefined,
    contextLength: 32768,
    window: "switched",
    bosId: undefined,
    eosId: undefined,
  },
  qwen3: {
    qkvBias: "attention_bias",
    outputBias: "attention_bias",
    mlpBias: false,
    qkNorm: true,
    headDimension: 128,
    kvHeads: undefined,
    contextLength: 32768,
    window: "switched",
    bosId: undefined,
    eosId: undefined,
  },
};

/** Names of activation functions in config files. gelu_fast and gelu_pytorch_tanh are gelu_new written differently. */
const activationNames: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  gelu_new: "gelu_new",
  gelu_fast: "gelu_new",
  gelu_pytorch_tanh: "gelu_new",
  silu: "silu",
  swish: "silu",
  relu: "relu",
};

/** No model of these families comes near; beyond it a config is broken or hostile. */
const MOST = { layers: 10_000, heads: 65_536, width: 1_048_576, context: 134_217_728, vocabulary: 16_777_216 };

/**
 * Reads a parsed config.json. `name` is what messages call it.
 * Throws FormatError for another architecture (naming those supported) and for dimensions that cannot be.
 */
export function readConfig(json: unknown, name = "config.json"): ModelConfig {
  if (!isJsonObject(json)) throw new FormatError(`${name}: holds ${describe(json)}, expected a JSON object; is it a model's config.json?`);
  const file = new Fields(json, name);
  const modelType = json.model_type;
  if (typeof modelType !== "string") throw new FormatError(`${name}: model_type is ${describe(modelType)}; supported are ${SUPPORTED}`);
  if (json.quantization_config !== undefined && json.quantization_config !== null)
    throw new FormatError(`${name}: the checkpoint is quantised (quantization_config); use the original in F32, F16 or BF16`);
  const row = Object.hasOwn(llamaRows, modelType) ? llamaRows[modelType] : undefined;
  if (modelType === "gpt2") return frozen(readGpt2(file));
  if (row) return frozen(readLlama(file, modelType, row));
  throw new FormatError(`${name}: model_type "${modelType}" is another architecture; supported are ${SUPPORTED}`);
}

function readGpt2(file: Fields): ModelConfig {
  const layers = file.integer("n_layer", MOST.layers);
  const heads = file.integer("n_head", MOST.heads);
  const width = file.integer("n_embd", MOST.width);
  const vocabularySize = file.integer("vocab_size", MOST.vocabulary);
  file.mustBe("scale_attn_weights", true);
  file.mustBe("scale_attn_by_inverse_layer_idx", false);
  file.mustBe("add_cross_attention", false);
  return {
    modelType: "gpt2",
    family: "gpt2",
    layers,
    heads,
    kvHeads: heads,
    width,
    headDimension: file.headDimension("n_embd", width, "n_head", heads),
    mlpWidth: file.integer("n_inner", MOST.width, 4 * width),
    contextLength: file.integer("n_positions", MOST.context, file.optionalInteger("n_ctx", MOST.context)),
    vocabularySize,
    activation: file.activation("activation_function", "gelu_new"),
    normEpsilon: file.positive("layer_norm_epsilon", 1e-5),
    tied: file.boolean("tie_word_embeddings", true),
    bosId: file.ids("bos_token_id", vocabularySize, 50256)[0],
    eosIds: file.ids("eos_token_id", vocabularySize, 50256),
    rotary: undefined,
    biases: { qkv: true, output: true, mlp: true },
    qkNorm: false,
    attentionWindow: 0,
  };
}

function readLlama(file: Fields, modelType: string, row: LlamaRow): ModelConfig {
  const layers = file.integer("num_hidden_layers", MOST.layers);
  const heads = file.integer("num_attention_heads", MOST.heads);
  const width = file.integer("hidden_size", MOST.width);
  const vocabularySize = file.integer("vocab_size", MOST.vocabulary);
  const kvHeads = file.integer("num_key_value_heads", MOST.heads, row.kvHeads ?? heads);
  if (heads % kvHeads !== 0)
    file.fail(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}; query heads share key heads evenly`);
  const headDimension =
    file.optionalInteger("head_dim", MOST.width) ?? row.headDimension ?? file.headDimension("hidden_size", width, "num_attention_heads", heads);
  const bias = (rule: boolean | "attention_bias" | "mlp_bias"): boolean => (typeof rule === "string" ? file.boolean(rule, false) : rule);
  return {
    modelType,
    family: "llama",
    layers,
    heads,
    kvHeads,
    width,
    headDimension,
    mlpWidth: file.integer("intermediate_size", MOST.width),
    contextLength: file.integer("max_position_embeddings", MOST.context, row.contextLength),
    vocabularySize,
    activation: file.activation("hidden_act", "silu"),
    normEpsilon: file.positive("rms_norm_eps", 1e-6),
    tied: file.boolean("tie_word_embeddings", false),
    bosId: file.ids("bos_token_id", vocabularySize, row.bosId)[0],
    eosIds: file.ids("eos_token_id", vocabularySize, row.eosId),
    rotary: readRotary(file, headDimension),
    biases: { qkv: bias(row.qkvBias), output: bias(row.outputBias), mlp: bias(row.mlpBias) },
    qkNorm: row.qkNorm,
    attentionWindow: readWindow(file, row, layers),
  };
}

/** rope_theta, rope_scaling and partial_rotary_factor, or the newer rope_parameters that holds all three. */
function readRotary(file: Fields, headDimension: number): RotaryConfig {
  const together = file.object("rope_parameters");
  const scaling = together ?? file.object("rope_scaling");
  const theta = together?.has("rope_theta") ? together.positive("rope_theta") : file.positive("rope_theta", 10_000);
  const share = together?.has("partial_rotary_factor") ? together.positive("partial_rotary_factor") : file.positive("partial_rotary_factor", 1);
  const dimensions = Math.floor(headDimension * share);
  if (dimensions < 2 || dimensions % 2 !== 0 || share > 1)
    file.fail(`${dimensions} of the ${headDimension} numbers of a head would turn; rotary positions need an even number of them`);
  return { theta, dimensions, scaling: scaling ? readScaling(scaling) : { kind: "none" } };
}

function readScaling(scaling: Fields): RotaryConfig["scaling"] {
  const kind = scaling.text("rope_type") ?? scaling.text("type") ?? "default";
  if (kind === "default") return { kind: "none" };
  if (kind === "linear") return { kind, factor: scaling.positive("factor") };
  if (kind !== "llama3") scaling.fail(`rotary scaling "${kind}" is not supported; supported are default, linear and llama3`);
  const [lowFrequency, highFrequency] = [scaling.positive("low_freq_factor"), scaling.positive("high_freq_factor")];
  if (!(lowFrequency < highFrequency)) scaling.fail(`low_freq_factor ${lowFrequency} must be less than high_freq_factor ${highFrequency}`);
  const originalContext = scaling.integer("original_max_position_embeddings", MOST.context);
  return { kind: "llama3", factor: scaling.positive("factor"), lowFrequency, highFrequency, originalContext };
}

/** One window for all layers, or none: models that mix both kinds of layers are refused. */
function readWindow(file: Fields, row: LlamaRow, layers: number): number {
  if (row.window === "none") return 0;
  if (row.window === "switched" && !file.boolean("use_sliding_window", false)) return 0;
  if (file.isNull("sliding_window")) return 0;
  const window = file.integer("sliding_window", MOST.context, 4096);
  if (row.window === "sliding_window") return window;
  const full = Math.min(layers, file.optionalInteger("max_window_layers", MOST.layers, 0) ?? 28); // the first layers see everything
  if (full === layers) return 0;
  if (full > 0) file.fail(`use_sliding_window from layer ${full} on mixes two kinds of attention, which is not supported`);
  return window;
}

/** Typed access to a JSON object, with errors that name the field. */
class Fields {
  readonly #json: JsonObject;
  readonly #name: string;

  constructor(json: JsonObject, name: string) {
    this.#json = json;
    this.#name = name;
  }

  fail(problem: string): never {
    throw new FormatError(`${this.#name}: ${problem}`);
  }

  has(field: string): boolean {
    return this.#json[field] !== undefined && this.#json[field] !== null;
  }

  isNull(field: string): boolean {
    return this.#json[field] === null;
  }

  /** A whole number from 1 to `most`; `otherwise` when absent or null. Fails when there is neither. */
  integer(field: string, most: number, otherwise?: number): number {
    return this.optionalInteger(field, most) ?? otherwise ?? this.fail(`${field} is missing; is it the config.json of these weights?`);
  }

  optionalInteger(field: string, most: number, least = 1): number | undefined {
    if (!this.has(field)) return undefined;
    const value = this.#json[field];
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    return this.fail(`${field} is ${describe(value)}, expected a whole number from ${least} to ${most}`);
  }

  positive(field: string, otherwise?: number): number {
    const value = this.has(field) ? this.#json[field] : otherwise;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    return this.fail(`${field} is ${describe(value)}, expected a number greater than 0`);
  }

  boolean(field: string, otherwise: boolean): boolean {
    const value = this.has(field) ? this.#json[field] : otherwise;
    return typeof value === "boolean" ? value : this.fail(`${field} is ${describe(value)}, expected true or false`);
  }

  mustBe(field: string, supported: boolean): void {
    if (this.boolean(field, supported) !== supported) this.fail(`${field} ${!supported} is a variant of GPT-2 that is not supported`);
  }

  text(field: string): string | undefined {
    if (!this.has(field)) return undefined;
    const value = this.#json[field];
    return typeof value === "string" ? value : this.fail(`${field} is ${describe(value)}, expected a text`);
  }

  object(field: string): Fields | undefined {
    if (!this.has(field)) return undefined;
    const value = this.#json[field];
    return isJsonObject(value) ? new Fields(value, `${this.#name}: ${field}`) : this.fail(`${field} is ${describe(value)}, expected an object`);
  }

  activation(field: string, otherwise: Activation): Activation {
    const name = this.text(field) ?? otherwise;
    if (Object.hasOwn(activationNames, name)) return activationNames[name];
    return this.fail(`${field} "${name}" is not supported; supported are ${Object.keys(activationNames).join(", ")}`);
  }

  /** One id, a list, or none (null). Those outside the vocabulary can never come and are left out. */
  ids(field: string, vocabularySize: number, otherwise: number | undefined): readonly number[] {
    const value = this.#json[field] === undefined ? otherwise : this.#json[field];
    if (value === undefined || value === null) return [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    for (const id of list) if (!Number.isInteger(id)) this.fail(`${field} is ${describe(value)}, expected a token id or a list of them`);
    return (list as number[]).filter((id) => id >= 0 && id < vocabularySize);
  }

  headDimension(widthField: string, width: number, headsField: string, heads: number): number {
    if (width % heads !== 0)
      this.fail(`${widthField} ${width} is not divisible by ${headsField} ${heads}; every head needs an equal share of the width`);
    return width / heads;
  }
}

function frozen(config: ModelConfig): ModelConfig {
  Object.freeze(config.biases);
  Object.freeze(config.eosIds);
  Object.freeze(config.rotary?.scaling);
  Object.freeze(config.rotary);
  return Object.freeze(config);
}

/** The config.json of a config, as Python's transformers would write it: `readConfig(configToFile(c))` equals `c`. */
export function configToFile(config: ModelConfig): Record<string, unknown> {
  const shared = {
    model_type: config.modelType,
    vocab_size: config.vocabularySize,
    tie_word_embeddings: config.tied,
    bos_token_id: config.bosId ?? null,
    eos_token_id: config.eosIds.length === 1 ? config.eosIds[0] : config.eosIds.length === 0 ? null : config.eosIds,
    torch_dtype: "float32",
  };
  if (config.family === "gpt2")
    return {
      ...shared,
      architectures: ["GPT2LMHeadModel"],
      n_layer: config.layers,
      n_head: config.heads,
      n_embd: config.width,
      n_inner: config.mlpWidth === 4 * config.width ? null : config.mlpWidth,
      n_positions: config.contextLength,
      activation_function: config.activation,
      layer_norm_epsilon: config.normEpsilon,
    };
  const className = config.modelType[0].toUpperCase() + config.modelType.slice(1);
  return {
    ...shared,
    architectures: [`${className}ForCausalLM`],
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDimension,
    hidden_size: config.width,
    intermediate_size: config.mlpWidth,
    max_position_embeddings: config.contextLength,
    hidden_act: config.activation,
    rms_norm_eps: config.normEpsilon,
    attention_bias: config.biases.output,
    mlp_bias: config.biases.mlp,
    sliding_window: config.attentionWindow > 0 ? config.attentionWindow : null,
    ...(llamaRows[config.modelType].window === "switched" ? { use_sliding_window: config.attentionWindow > 0, max_window_layers: 0 } : {}),
    ...rotaryToFile(config.rotary as RotaryConfig, config.headDimension),
  };
}

function rotaryToFile({ theta, dimensions, scaling }: RotaryConfig, headDimension: number): Record<string, unknown> {
  const share = dimensions === headDimension ? {} : { partial_rotary_factor: dimensions / headDimension };
  switch (scaling.kind) {
    case "none":
      return { rope_theta: theta, rope_scaling: null, ...share };
    case "linear":
      return { rope_theta: theta, rope_scaling: { rope_type: "linear", factor: scaling.factor }, ...share };
    case "llama3":
      return {
        rope_theta: theta,
        rope_scaling: {
          rope_type: "llama3",
          factor: scaling.factor,
          low_freq_factor: scaling.lowFrequency,
          high_freq_factor: scaling.highFrequency,
          original_max_position_embeddings: scaling.originalContext,
        },
        ...share,
      };
    default:
      return scaling satisfies never;
  }
}
