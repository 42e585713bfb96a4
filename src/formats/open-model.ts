/**
 * A model's files, in whichever form its folder holds them: Hugging Face's many (hf-folder.ts) or a single GGUF file (gguf-folder.ts).
 */
import type { Folder } from "../base/bytes.ts";
import { ggufFileOf, openGgufFolder } from "./gguf-folder.ts";
import { type ModelFolder, openModelFolder } from "./hf-folder.ts";

/** A GGUF file answers like the folder it amounts to. Throws FormatError as the two do. */
export async function openModel(folder: Folder): Promise<ModelFolder> {
  const files = await folder.list();
  const gguf = ggufFileOf(folder.name, files);
  if (gguf !== undefined) return openGgufFolder(folder, gguf);
  return openModelFolder({ name: folder.name, list: async () => files, open: (file) => folder.open(file) }); // over a network, listing is many questions
}
