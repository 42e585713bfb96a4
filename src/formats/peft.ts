/**
 * A LoRA adapter as PEFT, Hugging Face's library for it, keeps one: a folder with adapter_config.json and adapter_model.safetensors.
 * Python's `PeftModel.from_pretrained` opens what is written here. What the matrices do is model/adapters.ts's business; here they have
 * names, `base_model.model.MODULE.lora_A.weight` (rank, inputs) and `...lora_B.weight` (outputs, rank), and nothing in a file is believed.
 */
import type { Folder, FolderWriter } from "../base/bytes.ts";
import { FormatError, quoted } from "../base/errors.ts";
import { describe, isJsonObject, readJsonObject } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";
import { showShape } from "../base/shape.ts";
import { openSafetensors } from "./safetensors.ts";
import { isFloatType } from "./stored-type.ts";
import type { TensorSource } from "./tensor-source.ts";
import { writeSafetensors } from "./write-safetensors.ts";
import type { TensorToWrite } from "./write-safetensors.ts";

export const adapterConfigFile = "adapter_config.json";
export const adapterWeightsFile = "adapter_model.safetensors";

export interface AdapterConfig {
  /** The model it changes, a path or a name; undefined where the file does not say. */
  readonly base: string | undefined;
  readonly rank: number;
  /** The change is multiplied by alpha / rank. */
  readonly alpha: number;
}

export interface AdapterFolder extends AdapterConfig {
  /** What messages call it. */
  readonly name: string;
  /** Modules that have an adapter, "transformer.h.0.attn.c_attn", in the order of their names; each has A and B of the right rank. */
  readonly modules: readonly string[];
  /** The matrices; the caller closes it. */
  readonly weights: TensorSource;
}

export function isAdapterFolder(files: readonly string[]): boolean {
  return files.includes(adapterConfigFile) && !files.includes("config.json");
}

const MAX_CONFIG_BYTES = 1 << 20;

/** Checks both files in full but for the numbers, which the caller reads. Throws FormatError naming the file and the cure. */
export async function openAdapterFolder(folder: Folder): Promise<AdapterFolder> {
  const config = await readAdapterConfig(folder);
  const file = await folder.open(adapterWeightsFile);
  if (file === undefined) throw new FormatError(`${folder.name}: no ${adapterWeightsFile}; ${await instead(folder)}`);
  const weights = await openSafetensors(file);
  try {
    return { name: folder.name, ...config, modules: modulesOf(weights, config.rank), weights };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function instead(folder: Folder): Promise<string> {
  const pickle = (await folder.list()).includes("adapter_model.bin");
  return pickle
    ? "adapter_model.bin is there, a format that can run code when opened and is not read; save the adapter again with a newer PEFT"
    : "fetch it into the folder";
}

/** adapter_config.json alone. Throws FormatError for what it asks for and we cannot do: a change left out would be another model. */
export async function readAdapterConfig(folder: Folder): Promise<AdapterConfig> {
  const file = await folder.open(adapterConfigFile);
  if (file === undefined) throw new FormatError(`${folder.name}: no ${adapterConfigFile}, so not an adapter's folder; give the one that has it`);
  try {
    return checkConfig(file.name, await readJsonObject(file, MAX_CONFIG_BYTES));
  } finally {
    await file.close();
  }
}

function checkConfig(name: string, json: JsonObject): AdapterConfig {
  const refuse = (field: string, expected: string): never => {
    throw new FormatError(`${name}: ${field} is ${describe(json[field])}; expected ${expected}`);
  };
  if (json.peft_type !== "LORA") refuse("peft_type", '"LORA", the only kind of adapter that is read');
  const { r: rank, lora_alpha: alpha, base_model_name_or_path: base } = json;
  if (typeof rank !== "number" || !Number.isInteger(rank) || rank < 1 || rank > 65_536) return refuse("r", "the rank, a whole number from 1");
  if (typeof alpha !== "number" || !Number.isFinite(alpha) || alpha === 0) return refuse("lora_alpha", "a number other than 0");
  if (base !== undefined && base !== null && typeof base !== "string") refuse("base_model_name_or_path", "the name of the model it changes");
  if (isSet(json.use_dora)) refuse("use_dora", "false: DoRA is not read; merge it in Python (merge_and_unload)");
  if (json.bias !== undefined && json.bias !== "none") refuse("bias", '"none": learned biases are not read; merge it in Python (merge_and_unload)');
  for (const field of ["modules_to_save", "rank_pattern", "alpha_pattern", "target_parameters", "trainable_token_indices", "layer_replication"])
    if (isSet(json[field])) refuse(field, "nothing: it is not read; merge it in Python (merge_and_unload)");
  const scaled = isSet(json.use_rslora) ? alpha * Math.sqrt(rank) : alpha; // rank-stabilised: alpha / sqrt(rank) (Kalajdzievski 2023)
  return { base: typeof base === "string" && base !== "" ? base : undefined, rank, alpha: scaled };
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (Array.isArray(value)) return value.length > 0;
  return isJsonObject(value) ? Object.keys(value).length > 0 : true;
}

const pattern = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

function modulesOf({ name: file, tensors }: TensorSource, rank: number): string[] {
  const found = new Map<string, Set<string>>();
  for (const [name, { shape, dtype }] of tensors) {
    const [, module, letter] = pattern.exec(name) ?? [];
    if (module === undefined)
      throw new FormatError(`${file}: tensor ${quoted(name)}; expected only base_model.model.MODULE.lora_A.weight and ...lora_B.weight`);
    if (!isFloatType(dtype)) throw new FormatError(`${file}: tensor ${quoted(name)} is ${dtype}; expected F32, F16 or BF16`);
    const own = letter === "A" ? shape[0] : shape[1];
    if (shape.length !== 2 || own !== rank)
      throw new FormatError(
        `${file}: tensor ${quoted(name)} is ${showShape(shape)}; expected ${letter === "A" ? `(${rank}, inputs)` : `(outputs, ${rank})`}, as r is ${rank} in ${adapterConfigFile}`,
      );
    found.set(module, (found.get(module) ?? new Set()).add(letter));
  }
  if (found.size === 0) throw new FormatError(`${file}: holds no adapter; fetch it again`);
  for (const [module, letters] of found)
    if (letters.size < 2)
      throw new FormatError(`${file}: ${module} has lora_${[...letters].join()} and lacks lora_${letters.has("A") ? "B" : "A"}; fetch it again`);
  return [...found.keys()].toSorted((a, b) => (a < b ? -1 : 1));
}

export interface AdapterToWrite {
  readonly base: string;
  readonly rank: number;
  readonly alpha: number;
  /** Ends of module names: "c_attn", "q_proj". */
  readonly targets: readonly string[];
  /** Whether the base keeps the matrices beside which it stands as (inputs, outputs), as GPT-2's Conv1D does. */
  readonly fanInFanOut: boolean;
  readonly weights: readonly TensorToWrite[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Writes the two files, the config last: a new folder that has it is complete. */
export async function writeAdapterFolder(writer: FolderWriter, adapter: AdapterToWrite): Promise<void> {
  await writer.write(adapterWeightsFile, writeSafetensors(adapter.weights, { format: "pt", ...adapter.metadata }));
  const config = {
    auto_mapping: null,
    base_model_name_or_path: adapter.base,
    bias: "none",
    fan_in_fan_out: adapter.fanInFanOut,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: adapter.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: "LORA",
    r: adapter.rank,
    revision: null,
    target_modules: adapter.targets,
    task_type: "CAUSAL_LM",
  };
  await writer.write(adapterConfigFile, [new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)]);
}
