/** Test helpers of this room: folders in memory, and sources that remember what was read. */
import { type ByteSource, bytesOf, type Folder, type FolderWriter } from "../base/bytes.ts";

export type Files = Map<string, Uint8Array>;

/** A folder in memory that counts how many of its files are open. */
export function memoryFolder(
  files: Files | Record<string, Uint8Array | string>,
  name = "model",
): Folder & { open: Folder["open"]; opened(): number } {
  const map =
    files instanceof Map
      ? files
      : new Map(Object.entries(files).map(([file, content]) => [file, typeof content === "string" ? utf8(content) : content]));
  let opened = 0;
  return {
    name,
    list: async () => [...map.keys()],
    open: async (file) => {
      const bytes = map.get(file);
      if (!bytes) return undefined;
      opened++;
      const source = bytesOf(`${name}/${file}`, bytes);
      return { ...source, close: async () => void opened-- };
    },
    opened: () => opened,
  };
}

/** Writes into a map; a file appears when all its chunks came. */
export function memoryWriter(files: Files): FolderWriter {
  return {
    name: "memory",
    write: async (file, chunks) => {
      files.set(file, await joined(chunks));
    },
  };
}

export interface CountedSource extends ByteSource {
  readonly reads: [number, number][];
  closed(): number;
}

export function counted(source: ByteSource): CountedSource {
  const reads: [number, number][] = [];
  let closed = 0;
  return {
    ...source,
    reads,
    closed: () => closed,
    read: (start, end) => {
      if (end > start) reads.push([start, end]);
      return source.read(start, end);
    },
    close: async () => {
      closed++;
      await source.close();
    },
  };
}

export async function joined(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A safetensors file of any header, honest or not. */
export function fileOf(header: unknown, dataBytes: number | Uint8Array): Uint8Array {
  const json = typeof header === "string" ? utf8(header) : utf8(JSON.stringify(header));
  const data = typeof dataBytes === "number" ? new Uint8Array(dataBytes) : dataBytes;
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}
