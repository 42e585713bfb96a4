/**
 * Weights spread over several safetensors files, joined by `model.safetensors.index.json` into one TensorSource.
 * Every shard's header is read and checked at once, its data only when asked for.
 */
import { type ByteSource, type Folder, isFileName } from "../base/bytes.ts";
import { FormatError, quoted } from "../base/errors.ts";
import { describe, isJsonObject, readJsonObject } from "../base/json.ts";
import { openSafetensors, tensorNamed } from "./safetensors.ts";
import type { TensorInfo, TensorSource } from "./tensor-source.ts";

const MAX_INDEX_BYTES = 64 * 1024 * 1024;

/**
 * Opens all shards that `index` names, from `folder`. Takes over `index` and closes it.
 * The index decides which shard a tensor is read from; tensors it does not name do not exist. Its `metadata.total_size` is not
 * compared with the files: published models disagree with it, and nothing here is allocated by it.
 * Throws FormatError when the index is malformed, names a file outside the folder, or a shard or tensor is missing.
 */
export async function openSharded(folder: Folder, index: ByteSource): Promise<TensorSource> {
  const shardOf = await readIndex(index);
  const shards = new Map<string, TensorSource>();
  const close = async (): Promise<void> => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    const files = [...new Set(shardOf.values())];
    for (const file of files) {
      const source = await folder.open(file);
      if (!source)
        throw new FormatError(`${index.name}: shard ${quoted(file)}, one of ${files.length}, is not in ${folder.name}; fetch it into the folder`);
      shards.set(file, await openSafetensors(source));
    }
    const tensors = new Map<string, TensorInfo>();
    for (const [name, file] of shardOf) {
      const info = shards.get(file)?.tensors.get(name);
      if (!info)
        throw new FormatError(
          `${index.name}: tensor ${quoted(name)} is not in ${file}, where the index puts it; fetch index and shards of one revision`,
        );
      tensors.set(name, info);
    }
    return {
      name: folder.name,
      tensors,
      metadata: shards.get(files[0])?.metadata ?? {},
      read: async (name, start, end, into) => {
        tensorNamed(folder.name, tensors, name);
        return (shards.get(shardOf.get(name) as string) as TensorSource).read(name, start, end, into);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Tensor name -> shard file name. */
async function readIndex(index: ByteSource): Promise<Map<string, string>> {
  try {
    const { weight_map: weightMap } = await readJsonObject(index, MAX_INDEX_BYTES);
    if (!isJsonObject(weightMap))
      throw new FormatError(`${index.name}: weight_map is ${describe(weightMap)}, expected an object of tensor names and files`);
    const shardOf = new Map<string, string>();
    for (const [tensor, file] of Object.entries(weightMap)) {
      if (typeof file !== "string")
        throw new FormatError(`${index.name}: weight_map of ${quoted(tensor)} is ${describe(file)}, expected a file name`);
      if (!isFileName(file))
        throw new FormatError(`${index.name}: weight_map of ${quoted(tensor)} is ${quoted(file)}, expected a file of the same folder; refused`);
      shardOf.set(tensor, file);
    }
    return shardOf;
  } finally {
    await index.close();
  }
}
