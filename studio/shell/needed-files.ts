/** Which files of a folder make a model, and which of them are worth keeping. How they are read is src/formats' business. */

/** What of a folder is read: clones of a repository hold the same weights several times, in formats of other programs. */
const read =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^(merges\.txt|chat_template\.jinja)$|\.(safetensors|safetensors\.index\.json|gguf)$/i;
/** What makes files a model. It is kept last, so that one whose keeping was cut off does not count. */
export const heart: RegExp = /^config\.json$|\.gguf$/i;

/** The files that are worth keeping: those that opening the folder reads. */
export function neededFiles<Named extends { readonly name: string }>(files: readonly Named[]): Named[] {
  const names = new Set(files.map(({ name }) => name));
  const [whole, sharded] = [names.has("model.safetensors"), names.has("model.safetensors.index.json")];
  const spare = (name: string): boolean => {
    if (/\.gguf$/i.test(name)) return names.has("config.json");
    if (!/\.safetensors(\.index\.json)?$/i.test(name)) return false;
    if (whole) return name !== "model.safetensors";
    return sharded && !/-\d+-of-\d+\.safetensors$|\.index\.json$/i.test(name);
  };
  return files.filter(({ name }) => read.test(name) && !spare(name)).toSorted((a, b) => Number(heart.test(a.name)) - Number(heart.test(b.name)));
}
