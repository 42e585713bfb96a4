/**
 * Fine-tuned models as folders: the model with its tokenizer's files, where the chat template stands among them, and where its texts end.
 * Adapters by themselves are adapters.ts's.
 */
import type { Folder, FolderWriter } from "../base/bytes.ts";
import type { FloatType } from "../base/dtype.ts";
import { parseJsonObject } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";
import { openModel } from "../formats/open-model.ts";
import { tensorsToWrite, writeModelFolder } from "../formats/save-folder.ts";
import { configToFile } from "../model/config-file.ts";
import type { LanguageModel } from "../model/model.ts";
import { chatTemplateOf } from "../tokenizer/chat-template.ts";
import type { ChatTemplate } from "../tokenizer/chat-template.ts";
import { tokenizerFilesOf } from "./save.ts";

const jinjaFile = "chat_template.jinja";

/** The chat template that a folder brings; undefined when it has none. Throws FormatError when it is damaged. */
export async function folderTemplate(folder: Folder): Promise<{ readonly source: string | undefined; readonly config: JsonObject | undefined }> {
  const files = await openModel(folder);
  const jinja = files.files.includes(jinjaFile) ? await files.readText(jinjaFile) : undefined;
  return { source: chatTemplateOf(files.tokenizerConfig, jinja), config: files.tokenizerConfig };
}

/** A folder's tokenizer files, with this chat template in tokenizer_config.json (as it was without one). */
export async function tokenizerFilesWith(folder: Folder, template: ChatTemplate | undefined): Promise<Record<string, string>> {
  const files = await tokenizerFilesOf(folder);
  const source = template?.source ?? (await folderTemplate(folder)).source;
  if (source === undefined) return files;
  const file = "tokenizer_config.json";
  const config = parseJsonObject(file, files[file] ?? "{}");
  // What the template calls by name must be found there by others too.
  const { bosToken, eosToken } = template?.tokens ?? {};
  const named = { bos_token: config.bos_token ?? bosToken, eos_token: config.eos_token ?? eosToken };
  return { ...files, [file]: `${JSON.stringify({ ...config, ...named, chat_template: source }, null, 2)}\n` };
}

/** generation_config.json of a model that was made from `base`, which ends its texts also with `ends`: the tokens that end a turn. */
export async function generationConfigFrom(base: Folder, model: LanguageModel, ends: readonly number[] = []): Promise<JsonObject> {
  const { bosId, eosIds } = model.config;
  const old = (await openModel(base)).generationConfig ?? { bos_token_id: bosId ?? null, eos_token_id: eosIds.length === 1 ? eosIds[0] : eosIds };
  const listed: unknown[] = Array.isArray(old.eos_token_id)
    ? old.eos_token_id
    : old.eos_token_id === undefined || old.eos_token_id === null
      ? []
      : [old.eos_token_id];
  const more = ends.filter((id) => !listed.includes(id));
  if (more.length === 0) return old;
  const all = [...listed, ...more];
  return { ...old, eos_token_id: all.length === 1 ? all[0] : all };
}

export interface SaveFinetunedOptions {
  readonly tokenizerFiles?: Readonly<Record<string, string>>;
  readonly generationConfig: JsonObject;
  readonly notes?: Readonly<Record<string, string>>;
  /** How weights are stored; default "F32". */
  readonly dtype?: FloatType;
}

/** Writes the whole model as a standard folder. */
export async function saveFinetuned(model: LanguageModel, writer: FolderWriter, options: SaveFinetunedOptions): Promise<void> {
  await writeModelFolder(writer, {
    config: configToFile(model.config),
    weights: await tensorsToWrite(() => model.parameters(), options.dtype),
    tokenizerFiles: options.tokenizerFiles,
    generationConfig: options.generationConfig,
    metadata: options.notes,
  });
}
