/**
 * From a model to a folder that Python's transformers opens too, and that load.ts opens again as the same model.
 */
import type { Folder, FolderWriter } from "../base/bytes.ts";
import type { FloatType } from "../base/dtype.ts";
import { openModel } from "../formats/open-model.ts";
import { tensorsToWrite, writeModelFolder } from "../formats/save-folder.ts";
import { configToFile } from "../model/config-file.ts";
import type { LanguageModel } from "../model/model.ts";

export interface SaveOptions {
  /** The folder whose tokenizer files are copied along, normally the one the model was loaded from. */
  readonly tokenizer?: Folder;
  /** How weights are stored: "F32" (default, exact), "F16" or "BF16". */
  readonly dtype?: FloatType;
  /** Notes for the metadata of the weights file, such as how long it was trained. */
  readonly notes?: Readonly<Record<string, string>>;
}

const tokenizerFiles = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"];

/** Writes config.json, generation_config.json, model.safetensors and the tokenizer's files, each whole or not at all. */
export async function saveModel(model: LanguageModel, writer: FolderWriter, options: SaveOptions = {}): Promise<void> {
  const { config } = model;
  await writeModelFolder(writer, {
    config: configToFile(config),
    weights: await tensorsToWrite(() => model.parameters(), options.dtype),
    tokenizerFiles: options.tokenizer && (await tokenizerFilesOf(options.tokenizer)),
    generationConfig: { bos_token_id: config.bosId ?? null, eos_token_id: config.eosIds.length === 1 ? config.eosIds[0] : config.eosIds },
    metadata: options.notes,
  });
}

/** The files of a folder that say how text becomes tokens, by name. A GGUF file's tokenizer comes as the files it amounts to. */
export async function tokenizerFilesOf(folder: Folder): Promise<Record<string, string>> {
  const model = await openModel(folder);
  const files: Record<string, string> = {};
  for (const file of tokenizerFiles) {
    const text = model.files.includes(file) ? await model.readText(file) : undefined;
    if (text !== undefined) files[file] = text;
  }
  return files;
}
