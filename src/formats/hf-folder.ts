/**
 * A Hugging Face model folder: which files it holds, its JSON files parsed, its weights as one TensorSource.
 * What config.json must say and how tensors map to parameters is model/'s business, the tokenizer files are tokenizer/'s;
 * writing such a folder is save-folder.ts's.
 */
import type { Folder } from "../base/bytes.ts";
import { readText } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { type JsonObject, readJsonObject } from "../base/json.ts";
import { openSafetensors } from "./safetensors.ts";
import { openSharded } from "./sharded.ts";
import type { TensorSource } from "./tensor-source.ts";

export interface ModelFolder {
  /** What messages call it: the folder's name. */
  readonly name: string;
  /** Names of the files in it, sorted. */
  readonly files: readonly string[];
  /** config.json; undefined in a folder with only a tokenizer. Its fields are not checked: see requireConfig. */
  readonly config: JsonObject | undefined;
  readonly generationConfig: JsonObject | undefined;
  readonly tokenizerConfig: JsonObject | undefined;
  /**
   * Opens the weights: model.safetensors, else the sharded index, else the only .safetensors file there is. The caller closes them.
   * Throws FormatError saying what is there instead and the cure. Only headers are read.
   */
  openWeights(): Promise<TensorSource>;
  /** A file's text; undefined when there is no such file. Throws FormatError when it is not UTF-8 or larger than `maxBytes` (default 256 MiB). */
  readText(file: string, maxBytes?: number): Promise<string | undefined>;
}

const MAX_CONFIG_BYTES = 16 * 1024 * 1024; // tokenizer_config.json repeats all added tokens; megabytes occur
const MAX_TEXT_BYTES = 256 * 1024 * 1024;

/**
 * Lists the folder and parses config.json, generation_config.json and tokenizer_config.json where present.
 * Nothing is required here, so a folder with only a tokenizer opens. Throws FormatError for a present but malformed JSON file.
 */
export async function openModelFolder(folder: Folder): Promise<ModelFolder> {
  const files = (await folder.list()).toSorted();
  const object = async (file: string): Promise<JsonObject | undefined> => {
    const source = files.includes(file) ? await folder.open(file) : undefined;
    if (!source) return undefined;
    try {
      return await readJsonObject(source, MAX_CONFIG_BYTES);
    } finally {
      await source.close();
    }
  };
  return {
    name: folder.name,
    files,
    config: await object("config.json"),
    generationConfig: await object("generation_config.json"),
    tokenizerConfig: await object("tokenizer_config.json"),
    openWeights: () => openWeights(folder, files),
    readText: async (file, maxBytes = MAX_TEXT_BYTES) => {
      const source = await folder.open(file);
      if (!source) return undefined;
      try {
        return await readText(source, maxBytes);
      } finally {
        await source.close();
      }
    },
  };
}

/** The folder's config.json, or a FormatError that says what the folder is instead. */
export function requireConfig(folder: ModelFolder): JsonObject {
  if (folder.config) return folder.config;
  const tokenizer = folder.files.some((file) => file === "tokenizer.json" || file === "vocab.json");
  if (tokenizer)
    throw new FormatError(`${folder.name}: a tokenizer without a model (no config.json); give a folder with config.json and model.safetensors`);
  throw new FormatError(`${folder.name}: no config.json, so not a model folder (it holds ${listed(folder.files)}); give the folder that has it`);
}

async function openWeights(folder: Folder, files: readonly string[]): Promise<TensorSource> {
  const open = async (file: string): Promise<TensorSource> => {
    const source = await folder.open(file);
    if (!source) throw new FormatError(`${folder.name}: ${file} is gone; fetch it again`);
    return file.endsWith(".json") ? openSharded(folder, source) : openSafetensors(source);
  };
  for (const file of ["model.safetensors", "model.safetensors.index.json"]) if (files.includes(file)) return open(file);

  const safetensors = files.filter((file) => file.endsWith(".safetensors"));
  const shard = safetensors.find((file) => /-\d+-of-\d+\.safetensors$/.test(file));
  if (shard !== undefined) throw new FormatError(`${folder.name}: holds ${shard} and no model.safetensors.index.json; fetch the index too`);
  const adapter = safetensors.find((file) => file.startsWith("adapter_"));
  if (adapter !== undefined && safetensors.length === 1) {
    throw new FormatError(
      `${folder.name}: holds only ${adapter}, a change to another model's weights; make a model of both with vitrine merge MODEL ADAPTER --out DIR`,
    );
  }
  if (safetensors.length === 1) return open(safetensors[0]);
  if (safetensors.length > 1)
    throw new FormatError(`${folder.name}: cannot tell which of ${listed(safetensors)} are the weights; name one of them model.safetensors`);
  throw new FormatError(`${folder.name}: no weights in safetensors format; ${otherWeights(files)}`);
}

/** What stands where the weights were expected, and the cure. */
function otherWeights(files: readonly string[]): string {
  const find = (pattern: RegExp): string | undefined => files.find((file) => pattern.test(file));
  const gguf = find(/\.gguf$/);
  if (gguf !== undefined) return `${gguf} is there, a model by itself; give that file instead of the folder`;
  const pickle = find(/^pytorch_model.*\.bin/) ?? find(/\.(bin|pth?|ckpt)$/);
  if (pickle !== undefined) {
    return `${pickle} is there, a format that can run code when opened and is not read; convert it in Python: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder)`;
  }
  const other = find(/\.(h5|msgpack|onnx|npz)$/);
  if (other !== undefined) return `${other} is there, which is not read; use the model's safetensors version`;
  return `it holds ${listed(files)}; fetch model.safetensors into it`;
}

function listed(files: readonly string[]): string {
  if (files.length === 0) return "no files";
  return files.length <= 6 ? files.join(", ") : `${files.slice(0, 5).join(", ")} and ${files.length - 5} more`;
}
