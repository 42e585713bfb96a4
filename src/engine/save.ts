/**
 * From a model to a folder that Python's transformers opens too, and that load.ts opens again as the same model.
 */
import { readText } from "../base/bytes.ts";
import type { Folder, FolderWriter } from "../base/bytes.ts";
import type { FloatType } from "../base/dtype.ts";
import { tensorsToWrite, writeModelFolder } from "../formats/save-folder.ts";
import { configToFile } from "../model/config-file.ts";
import type { LanguageModel } from "../model/model.ts";

export interface SaveOptions {
  /** The folder whose tokenizer files are copied along, normally the one the model was loaded from. */
  readonly tokenizer?: Folder;
  /** How weights are stored: "F32" (default, exact), "F16" or "BF16". */
  readonly dtype?: FloatType;
}

const tokenizerFiles = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"];
const mostBytes = 256 * 1024 * 1024;

/** Writes config.json, generation_config.json, model.safetensors and the tokenizer's files, each whole or not at all. */
export async function saveModel(model: LanguageModel, writer: FolderWriter, options: SaveOptions = {}): Promise<void> {
  const { config } = model;
  const copied: Record<string, string> = {};
  for (const file of tokenizerFiles) {
    const source = await options.tokenizer?.open(file);
    if (source === undefined) continue;
    copied[file] = await readText(source, mostBytes).finally(() => source.close());
  }
  await writeModelFolder(writer, {
    config: configToFile(config),
    weights: await tensorsToWrite(() => model.parameters(), options.dtype),
    tokenizerFiles: copied,
    generationConfig: { bos_token_id: config.bosId ?? null, eos_token_id: config.eosIds.length === 1 ? config.eosIds[0] : config.eosIds },
  });
}
