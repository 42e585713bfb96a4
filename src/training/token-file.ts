/**
 * Token ids in a file, so that a text is encoded once: a checked header of 96 bytes, then the ids, little endian, two bytes each
 * for vocabularies of up to 65,536 tokens, else four. What a file claims is believed only after all of it was checked.
 *
 *   0 "VITRTOKN"   8 u32 version (1)   12 u32 bytes an id (2 or 4)   16 u32 vocabulary size   20 u32 documents
 *  24 u64 ids     32 u64 bytes of text    40 u64 bytes that were not UTF-8
 *  48 fingerprint of tokenizer and texts   64 fingerprint of the ids   80 fingerprint of these 80 bytes
 */
import type { ByteSource } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import type { EncodedFiles } from "./encode.ts";
import { fingerprint } from "./fingerprint.ts";
import { tokenArray } from "./token-list.ts";
import type { TokenArray } from "./token-list.ts";

const MAGIC = "VITRTOKN";
const VERSION = 1;
const HEADER = 96;
/** Bytes read and written at once. */
const BLOCK = 1 << 22;

/** The bytes of such a file; `origin` is the fingerprint of tokenizer and texts, 32 hexadecimal digits. */
export function* tokenFile(encoded: EncodedFiles, vocabularySize: number, origin: string): Generator<Uint8Array, void> {
  const { tokens } = encoded;
  const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  const header = new Uint8Array(HEADER);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode(MAGIC));
  [VERSION, tokens.BYTES_PER_ELEMENT, vocabularySize, encoded.documents].forEach((value, i) => view.setUint32(8 + 4 * i, value, true));
  [tokens.length, encoded.textBytes, encoded.invalidBytes].forEach((value, i) => view.setBigUint64(24 + 8 * i, BigInt(value), true));
  header.set(digits(origin), 48);
  header.set(digits(digestOf(bytes)), 64);
  header.set(digits(digestOf(header.subarray(0, 80))), 80);
  yield header;
  for (let at = 0; at < bytes.length; at += BLOCK) yield bytes.subarray(at, at + BLOCK);
}

/** Throws FormatError for anything but a whole, undamaged file of this vocabulary and origin. Does not close the source. */
export async function readTokenFile(source: ByteSource, vocabularySize: number, origin: string): Promise<EncodedFiles> {
  const refuse = (problem: string): never => {
    throw new FormatError(`${source.name}: ${problem}; delete the file, it is made again from the text`);
  };
  if (source.size < HEADER) return refuse(`${source.size} bytes, too short for a token file`);
  const header = (await source.read(0, HEADER)).slice();
  const view = new DataView(header.buffer);
  if (new TextDecoder("latin1").decode(header.subarray(0, 8)) !== MAGIC) return refuse("not a token file");
  if (hex(header.subarray(80)) !== digestOf(header.subarray(0, 80))) return refuse("its header is damaged");
  const [version, width, vocabulary, documents] = [8, 12, 16, 20].map((at) => view.getUint32(at, true));
  const [count, textBytes, invalidBytes] = [24, 32, 40].map((at) => Number(view.getBigUint64(at, true)));
  if (version !== VERSION) return refuse(`version ${version}, this program reads ${VERSION}`);
  if (vocabulary !== vocabularySize || hex(header.subarray(48, 64)) !== origin) return refuse("made from other texts or with another tokenizer");
  const expected = tokenArray(vocabularySize, 0).BYTES_PER_ELEMENT;
  if (width !== expected) return refuse(`${width} bytes an id, expected ${expected}`);
  if (source.size !== HEADER + count * width) return refuse(`${source.size} bytes, expected ${HEADER + count * width} for ${count} ids`);

  const tokens = tokenArray(vocabularySize, count);
  const bytes = new Uint8Array(tokens.buffer);
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const end = Math.min(at + BLOCK, bytes.length);
    bytes.set(await source.read(HEADER + at, HEADER + end), at);
  }
  if (hex(header.subarray(64, 80)) !== digestOf(bytes)) return refuse("its ids are damaged");
  const wrong = firstOutside(tokens, vocabularySize);
  if (wrong !== undefined) return refuse(`id ${wrong} is outside the vocabulary of ${vocabularySize}`);
  return { tokens, documents, textBytes, invalidBytes };
}

function firstOutside(tokens: TokenArray, vocabularySize: number): number | undefined {
  for (const id of tokens) if (id >= vocabularySize) return id;
  return undefined;
}

function digestOf(bytes: Uint8Array): string {
  const all = fingerprint();
  all.update(bytes);
  return all.digest();
}

function digits(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
