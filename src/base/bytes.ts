/**
 * Where bytes come from: one file-like thing, or a folder of them.
 * Parsers take these, hosts make them (files in Node, Blobs or fetch in a page), tests make them from arrays.
 */

export interface ByteSource {
  /** What messages call it, for example `gpt2/model.safetensors`. */
  readonly name: string;
  readonly size: number;
  /** The bytes from `start` up to `end`; throws when the range is not inside the file. */
  read(start: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface Folder {
  /** What messages call it: a path or an URL. */
  readonly name: string;
  /** The names of the files it holds (not of folders), in no particular order. */
  list(): Promise<string[]>;
  /** Undefined when there is no such file. */
  open(file: string): Promise<ByteSource | undefined>;
}

/** Writes files into one folder; each appears whole under its name or not at all. */
export interface FolderWriter {
  readonly name: string;
  write(file: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>;
}

/** A source over bytes already in memory. */
export function bytesOf(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.length,
    read: async (start, end) => {
      if (start < 0 || end < start || end > bytes.length) throw new RangeError(`${name}: bytes ${start} to ${end} of ${bytes.length}`);
      return bytes.subarray(start, end);
    },
    close: async () => {},
  };
}
