/**
 * A GGUF file shown as the Hugging Face folder it amounts to: config.json, tokenizer.json and tokenizer_config.json are made
 * from its metadata, its tensors get their Hugging Face names. hf-folder.ts opens real folders.
 */
import type { ByteSource, Folder } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { ggufTensors, readGgufHeader } from "./gguf.ts";
import { configFromGguf, huggingFaceTensors } from "./gguf-model.ts";
import { hasVocabulary, tokenizerConfigFromGguf, tokenizerFromGguf } from "./gguf-tokenizer.ts";
import type { ModelFolder } from "./hf-folder.ts";

/**
 * The GGUF file that a folder's model is in: the only one of a folder without config.json. Undefined for other folders.
 * Throws FormatError where there are several.
 */
export function ggufFileOf(folder: string, files: readonly string[]): string | undefined {
  const ggufs = files.filter((file) => /\.gguf$/i.test(file));
  if (files.includes("config.json") || ggufs.length === 0) return undefined;
  if (ggufs.length === 1) return ggufs[0];
  throw new FormatError(
    `${folder}: holds ${ggufs.length} GGUF files (${ggufs.slice(0, 4).sort().join(", ")}${ggufs.length > 4 ? " ..." : ""}); name one of them`,
  );
}

/**
 * Opens a GGUF file of a folder, reading its header alone; the file is open only meanwhile, and while its weights are.
 * Throws FormatError for a file that is damaged or holds a model of another kind.
 */
export async function openGgufFolder(folder: Folder, file: string): Promise<ModelFolder> {
  const source = await opened(folder, file);
  try {
    const header = await readGgufHeader(source);
    const config = configFromGguf(header);
    const vocabulary = hasVocabulary(header);
    const tokenizerConfig = vocabulary ? tokenizerConfigFromGguf(header) : undefined;
    const made: Readonly<Record<string, () => JsonObject>> = {
      "config.json": () => config,
      ...(vocabulary ? { "tokenizer.json": () => tokenizerFromGguf(header), "tokenizer_config.json": () => tokenizerConfig as JsonObject } : {}),
    };
    return {
      name: source.name,
      files: Object.keys(made).sort(),
      config,
      generationConfig: undefined,
      tokenizerConfig,
      openWeights: async () => {
        const again = await opened(folder, file);
        try {
          if (again.size !== source.size) throw new FormatError(`${source.name}: changed while it was read; try again`);
          return huggingFaceTensors(ggufTensors(again, header), config);
        } catch (error) {
          await again.close();
          throw error;
        }
      },
      readText: async (name) => (Object.hasOwn(made, name) ? JSON.stringify(made[name]()) : undefined),
    };
  } finally {
    await source.close();
  }
}

async function opened(folder: Folder, file: string): Promise<ByteSource> {
  const source = await folder.open(file);
  if (!source) throw new FormatError(`${folder.name}: ${file} is not there; check the path`);
  return source;
}
