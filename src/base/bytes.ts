/**
 * Where bytes come from: one file-like thing, or a folder of them.
 * Parsers take these, hosts make them (files in Node, Blobs or fetch in a page), tests make them from arrays.
 */
import { FormatError, internal } from "./errors.ts";

export interface ByteSource {
  /** What messages call it, for example `gpt2/model.safetensors`. */
  readonly name: string;
  readonly size: number;
  /**
   * The bytes from `start` up to `end`; throws when the range is not inside the file. A source may put them into `into`, which is
   * long enough, and give that part of it: reading a large file piece by piece then leaves no garbage.
   */
  read(start: number, end: number, into?: Uint8Array): Promise<Uint8Array>;
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
      checkRange(name, bytes.length, start, end);
      return bytes.subarray(start, end);
    },
    close: async () => {},
  };
}

/** For every `ByteSource.read`: parsers check what files claim before they ask, so a range outside the file is a bug of ours. */
export function checkRange(name: string, size: number, start: number, end: number): void {
  const inside = Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= size;
  if (!inside) throw internal(`${name}: bytes ${start} to ${end} of ${size}`);
}

/**
 * True for a plain file name: no separators, no `..`, no drive letter, nothing invisible.
 * Names that come out of downloaded files must pass before they are joined to a folder.
 */
export function isFileName(file: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return file !== "" && file !== "." && file !== ".." && file.length <= 255 && !/[/\\:\u0000-\u001f\u007f]/.test(file);
}

/** All of a source as text. Throws FormatError when it is not UTF-8 or larger than `maxBytes` (nothing is read then). A leading byte order mark is dropped. */
export async function readText(source: ByteSource, maxBytes: number): Promise<string> {
  if (source.size > maxBytes) {
    throw new FormatError(`${source.name}: ${source.size} bytes, expected at most ${maxBytes} for a file of this kind; is it the right file?`);
  }
  return decodeUtf8(source.name, await source.read(0, source.size));
}

/** Throws FormatError naming `name` when the bytes are not UTF-8. A leading byte order mark is dropped. */
export function decodeUtf8(name: string, bytes: Uint8Array): string {
  try {
    // A copy where the bytes lie in shared memory, which TextDecoder refuses in browsers.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice());
  } catch (cause) {
    throw new FormatError(`${name}: not UTF-8 text; fetch the file again or save it as UTF-8`, { cause });
  }
}
