/**
 * The tokens to train on, from text files: read from the cache where these files were encoded with this tokenizer before, else
 * encoded (encode.ts) and kept (token-file.ts). Cutting off a validation part is split.ts's, drawing batches batch.ts's.
 */
import type { ByteSource, Folder, FolderWriter } from "../base/bytes.ts";
import { breather } from "../base/breath.ts";
import { FormatError, VitrineError } from "../base/errors.ts";
import { characterTokenizerJson } from "../tokenizer/characters.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { checkIsText, checkNotEmpty, encodeFiles } from "./encode.ts";
import type { EncodedFiles } from "./encode.ts";
import { fingerprint, fingerprintOf } from "./fingerprint.ts";
import { stretches } from "./text-stream.ts";
import { readTokenFile, tokenFile } from "./token-file.ts";
import type { TokenData } from "./token-list.ts";

/** The tokens of some files. */
export interface Corpus extends TokenData {
  readonly documents: number;
  /** Bytes of all files. */
  readonly textBytes: number;
  /** Bytes among them that are not UTF-8. */
  readonly invalidBytes: number;
  /** Of the files (names, sizes, contents, order) and the tokenizer: 32 hexadecimal digits. */
  readonly fingerprint: string;
  readonly fromCache: boolean;
}

export interface EncodeCorpusOptions {
  /** Where ids are kept between runs, as `tokens-....bin`. Default: nowhere. */
  readonly cache?: { readonly folder: Folder; readonly writer: FolderWriter };
  /** Bytes done, of all: first every file is read for its fingerprint, then, unless cached, encoded. */
  readonly onProgress?: (done: number, total: number, phase: "reading" | "encoding") => void;
  /** One line for people about something odd but harmless. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
}

/** Read at once when fingerprinting. */
const BLOCK = 1 << 22;

/**
 * The ids of the files' text, in the order of the files. Every file is a document, and a written-out end-of-text token parts documents.
 * Throws VitrineError for no files, an empty or a binary one (named), a character without a token, or an aborted `signal`.
 * A cache that cannot be read or written is told in a note and does no harm. The sources are not closed.
 */
export async function encodeCorpus(files: readonly ByteSource[], tokenizer: Tokenizer, options: EncodeCorpusOptions = {}): Promise<Corpus> {
  checkNotEmpty(files);
  const identity = fingerprintOf(`${await fingerprintOfFiles(files, options)} ${fingerprintOfTokenizer(tokenizer)}`);
  const file = `tokens-${identity.slice(0, 16)}.bin`;
  const cached = await readCache(file, tokenizer, identity, options);
  const encoded =
    cached ??
    (await encodeFiles(files, tokenizer, { signal: options.signal, onProgress: (done, total) => options.onProgress?.(done, total, "encoding") }));
  if (encoded.tokens.length === 0)
    throw new VitrineError(`${files.map(({ name }) => name).join(", ")}: no text, nothing but marks of its end; leave it out or put text into it`);
  if (cached === undefined) await writeCache(file, encoded, tokenizer, identity, options);
  if (encoded.invalidBytes > 0) {
    const kept = tokenizer.kind === "byte-level-bpe" ? "they are kept byte for byte" : "each is read as U+FFFD";
    options.onNote?.(`${encoded.invalidBytes} of ${encoded.textBytes} bytes are not UTF-8: ${kept}`);
  }
  return { ...encoded, fingerprint: identity, fromCache: cached !== undefined };
}

/** The tokenizer.json of the characters of these files; bytes that are not UTF-8 count as U+FFFD. Throws VitrineError as `encodeCorpus` does. */
export async function characterTokenizerOf(files: readonly ByteSource[], specialTokens: readonly string[] = []): Promise<string> {
  checkNotEmpty(files);
  const characters = new Set<string>();
  const breathe = breather();
  const longest = Math.max(0, ...specialTokens.map((token) => token.length));
  for (const file of files) {
    let first = true;
    let held = ""; // may be the beginning of a special token
    const onBytes = (bytes: Uint8Array): void => {
      if (first) checkIsText(file.name, bytes);
      first = false;
    };
    for await (const stretch of stretches(file, onBytes)) {
      if ("invalid" in stretch) characters.add("\ufffd");
      else {
        // A written-out special token is one token, whatever its letters; without them the vocabulary stays the text's own.
        const text = specialTokens.reduce((rest, token) => rest.replaceAll(token, ""), held + stretch.text);
        let end = Math.max(0, text.length - longest);
        if (/[\udc00-\udfff]/.test(text[end] ?? "")) end--;
        for (const character of text.slice(0, end)) characters.add(character);
        held = text.slice(end);
      }
      await breathe();
    }
    for (const character of held) characters.add(character);
  }
  return characterTokenizerJson([...characters].join(""), specialTokens);
}

async function fingerprintOfFiles(files: readonly ByteSource[], { onProgress, signal }: EncodeCorpusOptions): Promise<string> {
  const all = fingerprint();
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const room = new Uint8Array(BLOCK);
  let done = 0;
  for (const file of files) {
    const { name, size } = file;
    // Only the file's own name: the same files in another folder are the same text.
    all.update(new TextEncoder().encode(`${JSON.stringify(name.split(/[/\\]/).at(-1))} ${size} `));
    for (let at = 0; at < size; at += BLOCK) {
      if (signal?.aborted) throw new VitrineError("reading the text was stopped", { blame: "work", cause: signal.reason });
      const bytes = await file.read(at, Math.min(at + BLOCK, size), room);
      all.update(bytes);
      onProgress?.((done += bytes.length), total, "reading");
    }
  }
  return all.digest();
}

/** Every token, and the ids of a text that asks for many merges: two tokenizers that agree in both are taken for one. */
export function fingerprintOfTokenizer(tokenizer: Tokenizer): string {
  const all = fingerprint();
  const utf8 = new TextEncoder();
  all.update(utf8.encode(`${tokenizer.kind} ${tokenizer.vocabularySize} ${tokenizer.bosId} ${tokenizer.eosId}\n`));
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const { text, bytes, special } = tokenizer.token(id);
    all.update(utf8.encode(`${id} ${special ? text : ""} ${bytes.length} `));
    all.update(bytes);
  }
  all.update(utf8.encode(probe(tokenizer).join(" ")));
  return all.digest();
}

function probe(tokenizer: Tokenizer): number[] {
  const text = 'Once upon a time, there was a little girl who didn\'t know 1,234 words. She said: "Internationalisation!"\n';
  try {
    return tokenizer.encode(text, { special: false });
  } catch {
    return []; // not all of these characters are in its vocabulary
  }
}

async function readCache(
  file: string,
  tokenizer: Tokenizer,
  identity: string,
  { cache, onNote }: EncodeCorpusOptions,
): Promise<EncodedFiles | undefined> {
  try {
    const source = await cache?.folder.open(file);
    if (source === undefined) return undefined;
    try {
      return await readTokenFile(source, tokenizer.vocabularySize, identity);
    } finally {
      await source.close();
    }
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    onNote?.(error instanceof FormatError ? `${error.message.split("; delete")[0]}; the text is encoded again` : error.message);
    return undefined;
  }
}

async function writeCache(
  file: string,
  encoded: EncodedFiles,
  tokenizer: Tokenizer,
  identity: string,
  { cache, onNote }: EncodeCorpusOptions,
): Promise<void> {
  try {
    await cache?.writer.write(file, tokenFile(encoded, tokenizer.vocabularySize, identity));
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    onNote?.(`tokens are not kept for next time: ${error.message}`);
  }
}
