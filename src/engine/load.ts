/**
 * From a model folder to an engine: config.json, tokenizer and weights joined, and what disagrees between them refused.
 * Which folder a name means is the host's business; what each file may say, that of formats/, tokenizer/ and model/.
 */
import type { Folder } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { describe } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";
import type { Device, MatrixFormat } from "../device/device.ts";
import { requireConfig } from "../formats/hf-folder.ts";
import type { ModelFolder } from "../formats/hf-folder.ts";
import { openModel } from "../formats/open-model.ts";
import type { BlockType } from "../formats/quantised-blocks.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { readConfig } from "../model/config-file.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadWeights, matchTensors } from "../model/load.ts";
import { tally } from "../model/tally.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { localEngine } from "./local.ts";
import type { LocalEngine } from "./local.ts";
import { checkVocabularies } from "./vocabulary.ts";

export interface LoadEngineOptions {
  /** What to call the model. Default: the folder's name. */
  readonly name?: string;
  /** Weights loaded so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** One line for people about something odd but harmless, in the files or in a prompt. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
  /**
   * How matrices keep their numbers; "f16", "int8" and "int4" take a half, a quarter and an eighth of the memory of "f32".
   * Default: as the file has them where nothing is lost by it, "int8" for GGUF's Q8_0 and "int4" for its Q4_0; for all others "f32".
   */
  readonly weights?: MatrixFormat;
  /** Called when the engine is disposed, for example to end the device. */
  readonly onDispose?: () => void;
}

/**
 * Opens a model folder on a device: Hugging Face's, or one that holds a single GGUF file.
 * Small files are read and checked before the weights, so that mistakes show at once.
 * Throws FormatError or VitrineError, with the cure, for whatever is missing, damaged or does not belong together.
 */
export async function loadEngine(folder: Folder, device: Device, options: LoadEngineOptions = {}): Promise<LocalEngine> {
  const files = await openModel(folder);
  const config = readConfig(requireConfig(files), `${folder.name}/config.json`);
  const tokenizer = await tokenizerOf(files);
  const name = options.name ?? folder.name;
  const warning = checkVocabularies(name, tokenizer, config.vocabularySize);
  if (warning !== undefined) options.onNote?.(warning);
  const { bosId, eosIds } = textEnds(folder.name, config, files.generationConfig);

  const weights = await files.openWeights();
  try {
    const { onProgress, signal, onNote, onDispose, weights: format = storedFormat(config, weights) } = options;
    const model = await loadWeights(config, weights, device, { onProgress, onWarning: onNote, signal, weights: format });
    return localEngine({ model, tokenizer, name, weights: format, bosId, eosIds, tally: (rule) => tally(config, rule, name), onNote, onDispose });
  } finally {
    await weights.close();
  }
}

const formatOfBlocks: Readonly<Record<BlockType, MatrixFormat>> = { Q8_0: "int8", Q4_0: "int4" };

/**
 * The format that keeps a file's blocks to the bit, as llama.cpp computes with them: where all matrices are in blocks of one kind. Else "f32".
 * Positions do not count: they are added as they are, and no file has them in blocks.
 */
function storedFormat(config: ModelConfig, weights: TensorSource): MatrixFormat {
  const matrices = matchTensors(config, weights).filter(
    ({ parameter: { place, shares } }) => place.kind === "matrix" && shares[0][0] !== "Positions",
  );
  const kinds = new Set(matrices.map(({ tensor }) => tensor.blocks));
  const [only] = kinds;
  return kinds.size === 1 && only !== undefined ? formatOfBlocks[only] : "f32";
}

/** The tokenizer of a folder, be there a model in it or not. Throws FormatError naming the files it needs. */
export async function loadTokenizerOnly(folder: Folder): Promise<Tokenizer> {
  return tokenizerOf(await openModel(folder));
}

/** Only files that the folder lists are asked for: over a network each miss would be another question. */
export function tokenizerOf(files: ModelFolder): Promise<Tokenizer> {
  return loadTokenizer(async (file) => (files.files.includes(file) ? files.readText(file) : undefined), files.name);
}

/** generation_config.json knows best where texts begin and end (Llama 3 has several ends); config.json is the older place. */
function textEnds(folder: string, config: ModelConfig, generation: JsonObject | undefined): { bosId: number | undefined; eosIds: readonly number[] } {
  const idsOf = (field: string): number[] => {
    const value = generation?.[field];
    const ids = value === undefined || value === null ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
    for (const id of ids) {
      if (!Number.isInteger(id))
        throw new FormatError(`${folder}/generation_config.json: ${field} is ${describe(value)}; expected a token id or a list of them`);
    }
    return (ids as number[]).filter((id) => id >= 0 && id < config.vocabularySize);
  };
  return { bosId: idsOf("bos_token_id")[0] ?? config.bosId, eosIds: [...new Set([...config.eosIds, ...idsOf("eos_token_id")])] };
}
