/**
 * Folders and files for a page: over HTTP with ranges, or of Files a visitor chose or dropped.
 * node-files.ts is its sister in Node. Nothing is cached here beyond a file's first bytes; the browser's own cache does that.
 */
import { type ByteSource, bytesOf, checkRange, type Folder, isFileName } from "../base/bytes.ts";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";

/** The names that `urlFolder` asks a server for, which cannot list a folder. */
export const modelFiles: readonly string[] = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "vocab.json",
  "merges.txt",
];

/** Asked for with the first request: small files, and most headers, need no second one. */
const FIRST_BYTES = 64 * 1024;

/**
 * The files below an http(s) address. `list()` asks for each of `known` and names those that are there; any other file can be opened too.
 * Files are read in ranges; a server that ignores ranges gives each file whole, on its first read.
 * Missing files (404, 410, or the start page that single-page servers send for everything) are undefined.
 * Throws VitrineError: blame "work" when the server cannot be reached or answers with an error, FormatError when an answer contradicts itself.
 */
export function urlFolder(address: string | URL, options: { known?: readonly string[]; fetch?: typeof fetch } = {}): Folder {
  const base = new URL(address);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const ask = options.fetch ?? ((input: string | URL | Request, init?: RequestInit) => fetch(input, init));
  const begun = new Map<string, Promise<Begun | undefined>>(); // what list() already learned, for the open() that follows

  const begin = (file: string): Promise<Begun | undefined> => {
    if (!isFileName(file)) throw new VitrineError(`${base.href}: ${quoted(file)} is not the name of a file in this folder`);
    const url = new URL(base);
    url.pathname += encodeURIComponent(file);
    return beginFile(ask, url);
  };
  return {
    name: base.href,
    list: async () => {
      const known = options.known ?? modelFiles;
      const there = await Promise.all(
        known.map(async (file) => {
          const answer = begin(file);
          begun.set(file, answer);
          return (await answer) !== undefined;
        }),
      );
      return known.filter((_, index) => there[index]);
    },
    open: async (file) => {
      const learned = begun.get(file);
      begun.delete(file); // a later open asks again: the file may have changed
      const answer = await (learned ?? begin(file));
      return answer && urlSource(ask, answer);
    },
  };
}

/** What the first request to a file told. */
interface Begun {
  readonly url: URL;
  /** Undefined when the server ignores ranges and did not say. */
  readonly size: number | undefined;
  readonly first: Uint8Array;
}

async function beginFile(ask: typeof fetch, url: URL): Promise<Begun | undefined> {
  const response = await request(ask, url, { start: 0, end: FIRST_BYTES });
  const abandon = async (): Promise<undefined> => void (await response.body?.cancel());
  if (response.status === 404 || response.status === 410) return abandon();
  if (response.status === 416) {
    await abandon(); // no first byte: an empty file
    return { url, size: 0, first: new Uint8Array(0) };
  }
  await checkStatus(url, response);
  if (/^text\/html/i.test(response.headers.get("content-type") ?? "")) return abandon();
  if (response.status === 206) {
    const range = contentRange(response);
    if (range?.start === 0 && range.size !== undefined) {
      const first = await body(url, response);
      if (first.length === Math.min(FIRST_BYTES, range.size)) return { url, size: range.size, first };
    } else await abandon(); // a range whose size the server does not show us (CORS): take the file whole
    return { url, size: undefined, first: new Uint8Array(0) };
  }
  await abandon();
  return { url, size: undefined, first: new Uint8Array(0) };
}

async function urlSource(ask: typeof fetch, { url, size, first }: Begun): Promise<ByteSource> {
  const name = url.href;
  if (size === undefined) {
    const response = await request(ask, url);
    await checkStatus(url, response);
    return bytesOf(name, await body(url, response));
  }
  return {
    name,
    size,
    read: async (start, end) => {
      checkRange(name, size, start, end);
      if (end <= first.length) return first.slice(start, end);
      if (start === end) return new Uint8Array(0);
      const response = await request(ask, url, { start, end });
      await checkStatus(url, response);
      const range = contentRange(response);
      if (response.status !== 206 || range?.start !== start || range.size !== size) {
        await response.body?.cancel();
        throw new FormatError(
          `${name}: asked for bytes ${start} to ${end} of ${size}, the server sent something else; did the file change? Load it again`,
        );
      }
      const bytes = await body(url, response);
      if (bytes.length !== end - start) {
        throw new FormatError(`${name}: asked for ${end - start} bytes, the server sent ${bytes.length}; load it again`);
      }
      return bytes;
    },
    close: async () => {},
  };
}

async function request(ask: typeof fetch, url: URL, range?: { start: number; end: number }): Promise<Response> {
  try {
    return await ask(url, range ? { headers: { Range: `bytes=${range.start}-${range.end - 1}` } } : {});
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

async function body(url: URL, response: Response): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

function unreachable(url: URL, cause: unknown): VitrineError {
  return new VitrineError(
    `${url.href}: cannot be fetched (no network, or the server does not allow this page); check the address and the connection`,
    {
      blame: "work",
      cause,
    },
  );
}

async function checkStatus(url: URL, response: Response): Promise<void> {
  if (response.ok) return;
  await response.body?.cancel();
  const status = `${response.status} ${response.statusText}`.trim();
  const cure =
    response.status === 401 || response.status === 403 ? "this server wants a login or does not allow it" : "try again later or check the address";
  throw new VitrineError(`${url.href}: the server answers ${status}; ${cure}`, { blame: "work" });
}

/** `Content-Range: bytes 0-99/1234`; size is undefined where the server writes `*`. */
function contentRange(response: Response): { start: number; size: number | undefined } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  if (!match) return undefined;
  const size = match[2] === "*" ? undefined : Number(match[2]);
  return { start: Number(match[1]), size: size !== undefined && Number.isSafeInteger(size) ? size : undefined };
}

/**
 * The files a visitor chose or dropped, or blobs by name. Of a chosen folder only the files directly in it count, not those of its subfolders.
 * Throws VitrineError, when reading, for a file that changed or vanished since it was chosen.
 */
export function blobFolder(name: string, files: Iterable<File> | ReadonlyMap<string, Blob>): Folder {
  const blobs = new Map<string, Blob>();
  if (files instanceof Map) for (const [file, blob] of files as ReadonlyMap<string, Blob>) blobs.set(file, blob);
  else {
    for (const file of files as Iterable<File>) {
      const depth = (file.webkitRelativePath ?? "").split("/").length; // "folder/file" of a chosen folder, "" of a chosen file
      if (depth <= 2) blobs.set(file.name, file);
    }
  }
  return {
    name,
    list: async () => [...blobs.keys()],
    open: async (file) => {
      const blob = blobs.get(file);
      return blob && blobSource(`${name}/${file}`, blob);
    },
  };
}

function blobSource(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (start, end) => {
      checkRange(name, blob.size, start, end);
      try {
        return new Uint8Array(await blob.slice(start, end).arrayBuffer());
      } catch (cause) {
        throw new VitrineError(`${name}: cannot be read any more; choose the file again`, { cause });
      }
    },
    close: async () => {},
  };
}
