/**
 * Files to token ids, of any size: text comes in blocks, goes out as ids, and is never all in memory. Every file is a document;
 * the tokenizer's end-of-text token written out in a file ends a document too. After each document its id is put in, before each
 * the start token where the tokenizer begins texts with one (Llama).
 * Keeping the ids for next time is token-file.ts's.
 */
import type { ByteSource } from "../base/bytes.ts";
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import { byteCharacters } from "../tokenizer/byte-alphabet.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { endOfTextId } from "./split.ts";
import { cuttingFor, plainIds } from "./text-cuts.ts";
import { stretches } from "./text-stream.ts";
import { TokenList } from "./token-list.ts";
import type { TokenArray } from "./token-list.ts";

export interface EncodeFilesOptions {
  /** Bytes read so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Characters gathered before a cut is looked for. For tests. */
  readonly chunk?: number;
  /** Bytes read at once. For tests. */
  readonly block?: number;
}

export interface EncodedFiles {
  readonly tokens: TokenArray;
  readonly documents: number;
  readonly textBytes: number;
  /** Bytes that are not UTF-8: a byte-level tokenizer keeps them as they are, for others each becomes U+FFFD. */
  readonly invalidBytes: number;
}

const CHUNK = 1 << 18;
/** Left behind a cut: what it must see, and more than any end-of-text token takes. */
const TAIL = 256;
/** Text without a place to cut is gathered up to here: the longest string there can be is 2^29 - 24 characters. */
const LONGEST = 1 << 27;

/** The id that the tokenizer puts in front of every text; undefined when it puts none. */
export function startId(tokenizer: Tokenizer): number | undefined {
  const { bosId } = tokenizer;
  return bosId !== undefined && tokenizer.encode("")[0] === bosId ? bosId : undefined;
}

/**
 * Throws VitrineError when there are no files, a file is empty or binary, a character has no token, or `signal` is aborted.
 * Sources are not closed.
 */
export async function encodeFiles(files: readonly ByteSource[], tokenizer: Tokenizer, options: EncodeFilesOptions = {}): Promise<EncodedFiles> {
  checkNotEmpty(files);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const encoder = new DocumentEncoder(tokenizer, options.chunk ?? CHUNK);
  const breathe = breather();
  let done = 0;
  for (const file of files) {
    let first = true;
    const onBytes = (bytes: Uint8Array): void => {
      if (first) checkIsText(file.name, bytes);
      first = false;
      done += bytes.length;
    };
    try {
      for await (const stretch of stretches(file, onBytes, options.block)) {
        if (options.signal?.aborted) throw new VitrineError("encoding was stopped", { blame: "work", cause: options.signal.reason });
        if ("text" in stretch) encoder.text(stretch.text);
        else encoder.invalid(stretch.invalid);
        options.onProgress?.(done, total);
        await breathe();
      }
      encoder.end();
    } catch (error) {
      if (error instanceof VitrineError && error.message.startsWith("encode: "))
        throw new VitrineError(`${file.name}: ${error.message}`, { cause: error });
      throw error;
    }
  }
  return { tokens: encoder.out.done(), documents: encoder.documents, textBytes: total, invalidBytes: encoder.invalidBytes };
}

/** Throws VitrineError when there is nothing to learn from. */
export function checkNotEmpty(files: readonly ByteSource[]): void {
  if (files.length === 0) throw new VitrineError("training: no text files; name at least one");
  for (const { name, size } of files) if (size === 0) throw new VitrineError(`${name}: the file is empty; leave it out or put text into it`);
}

/** `start`: the first bytes of the file. A byte of value 0 is in no text but UTF-16's. */
export function checkIsText(name: string, start: Uint8Array): void {
  const zero = start.subarray(0, 1 << 16).indexOf(0);
  if (zero < 0) return;
  const wide = (start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff);
  if (wide) throw new VitrineError(`${name}: text in UTF-16, expected UTF-8; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)`);
  throw new VitrineError(`${name}: a binary file (byte ${zero} is 0), expected text; name text files only`);
}

/** Takes text as it comes and gives ids; knows documents. */
class DocumentEncoder {
  readonly out: TokenList;
  documents = 0;
  invalidBytes = 0;
  readonly #tokenizer: Tokenizer;
  readonly #chunk: number;
  readonly #end: { readonly id: number; readonly text: string } | undefined;
  readonly #start: number | undefined;
  readonly #cutting: ReturnType<typeof cuttingFor>;
  /** The id of every byte, when the tokenizer can write any run of bytes. */
  readonly #byteIds: readonly number[] | undefined;
  #held = "";
  /** Where in `#held` an end-of-text token may begin that was not looked for yet. */
  #searched = 0;
  /** No cut was found in the first so many characters of `#held`. */
  #uncut = 0;
  /** Something of the current document is out already. */
  #inside = false;
  /** An end-of-text token came last: a line break right behind it belongs to it. */
  #ended = false;

  constructor(tokenizer: Tokenizer, chunk: number) {
    this.#tokenizer = tokenizer;
    this.#chunk = chunk;
    this.out = new TokenList(tokenizer.vocabularySize);
    const end = endOfTextId(tokenizer);
    this.#end = end === undefined ? undefined : { id: end, text: tokenizer.token(end).text };
    this.#start = startId(tokenizer);
    this.#cutting = cuttingFor(tokenizer);
    this.#byteIds = byteIdsOf(tokenizer);
  }

  text(text: string): void {
    this.#held += text;
    this.#splitDocuments();
    while (this.#held.length >= this.#uncut + this.#chunk) {
      const cut = this.#cutting.lastCut(this.#held, this.#uncut, TAIL);
      if (cut === undefined) {
        this.#uncut = Math.max(0, this.#held.length - TAIL);
        if (this.#held.length > LONGEST)
          throw new VitrineError(`encode: ${LONGEST} characters without a place to cut; break the text into lines and words, or into several files`);
        return;
      }
      const rest = this.#held.slice(cut.from);
      this.#encode(this.#held.slice(0, cut.end));
      this.#hold(rest);
    }
  }

  invalid(bytes: Uint8Array): void {
    this.invalidBytes += bytes.length;
    if (this.#byteIds === undefined) return this.text("\ufffd".repeat(bytes.length));
    this.#encode(this.#held);
    this.#hold("");
    this.#ended = false;
    this.#begin();
    for (const byte of bytes) this.out.push(this.#byteIds[byte]);
  }

  /** The file ends. */
  end(): void {
    this.#endDocument(this.#held);
    this.#hold("");
    this.#ended = false;
  }

  #splitDocuments(): void {
    if (this.#end === undefined) return;
    for (;;) {
      this.#dropLineBreak();
      const at = this.#held.indexOf(this.#end.text, this.#searched);
      if (at < 0) break;
      const rest = this.#held.slice(at + this.#end.text.length);
      this.#endDocument(this.#held.slice(0, at));
      this.#hold(rest);
      this.#ended = true;
    }
    this.#searched = Math.max(0, this.#held.length - this.#end.text.length + 1);
  }

  /** An end-of-text token on a line of its own: that line's break is no text. */
  #dropLineBreak(): void {
    if (!this.#ended || this.#held === "" || this.#held === "\r") return;
    this.#ended = false;
    const width = this.#held.startsWith("\r\n") ? 2 : this.#held.startsWith("\n") ? 1 : 0;
    if (width > 0) this.#hold(this.#held.slice(width));
  }

  #endDocument(rest: string): void {
    this.#encode(rest);
    if (!this.#inside) return; // nothing stood between two ends
    if (this.#end !== undefined) this.out.push(this.#end.id);
    this.#inside = false;
  }

  #encode(text: string): void {
    if (text === "") return;
    this.#begin();
    this.out.add(plainIds(this.#tokenizer, text));
  }

  #begin(): void {
    if (this.#inside) return;
    this.#inside = true;
    this.documents++;
    if (this.#start !== undefined) this.out.push(this.#start);
  }

  #hold(text: string): void {
    this.#held = text;
    this.#searched = 0;
    this.#uncut = 0;
  }
}

/** Undefined for a tokenizer that has no token for some byte, or adds to a text. */
function byteIdsOf(tokenizer: Tokenizer): readonly number[] | undefined {
  if (tokenizer.kind !== "byte-level-bpe") return undefined;
  const ids = byteCharacters.map((character) => tokenizer.idOf(character));
  if (!ids.every((id): id is number => id !== undefined)) return undefined;
  return tokenizer.decode(plainIds(tokenizer, "a")) === "a" ? ids : undefined;
}
