/**
 * From ids back to text: the bytes each piece of a vocabulary stands for, and decoders that turn a stream of bytes into whole characters.
 */
import { unspell } from "./byte-alphabet.ts";
import { arrayField, objectField, textField } from "./fields.ts";
import { newUtf8Decoder, utf8Bytes, utf8Text } from "./utf8.ts";
import type { StreamDecoder } from "./tokenizer.ts";

/** What tokenizer.json's `decoder` says, as far as BPE models use it. */
export interface Decoding {
  /** The bytes of a piece inside the text. */
  bytesOf(piece: string): Uint8Array;
  /** The bytes of a piece at the start of the text, where they differ (Metaspace). */
  firstBytesOf?(piece: string): Uint8Array;
  /** One space at the very start is the tokenizer's own, not the text's (Llama). */
  readonly stripsSpace: boolean;
}

export const byteLevelDecoding: Decoding = { bytesOf: unspell, stripsSpace: false };

/**
 * `json` is tokenizer.json's `decoder`. Undefined when it is a combination only the library knows.
 * A byte-level file that names none is decoded by bytes all the same: joining its pieces with spaces, as the format has it, helps nobody.
 */
export function decodingOf(json: unknown, where: string, byteLevel: boolean): Decoding | undefined {
  const steps = json === null || json === undefined ? [] : flatten(json, where);
  const kinds = steps.map((step) => step.type).join(" ");
  if (byteLevel) return kinds === "ByteLevel" || kinds === "" ? byteLevelDecoding : undefined;
  if (/^(?:ByteFallback )?Metaspace$/.test(kinds)) return metaspaceDecoding(steps, where);
  if (/^(?:Replace )*(?:ByteFallback )?Fuse(?: Strip)?$/.test(kinds)) return replaceDecoding(steps, where);
  return undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function flatten(json: unknown, where: string): Fields[] {
  const fields = objectField(json, where);
  if (textField(fields.type, `${where}.type`) !== "Sequence") return [fields];
  return arrayField(fields.decoders, `${where}.decoders`).flatMap((part, i) => flatten(part, `${where}.decoders[${i}]`));
}

/** "▁" is a space, except in the first token, where it is the one put in front. */
function metaspaceDecoding(steps: readonly Fields[], where: string): Decoding {
  const fields = steps[steps.length - 1];
  const mark = textField(fields.replacement ?? "▁", `${where}.replacement`);
  const never = fields.prepend_scheme === "never" || (fields.prepend_scheme === undefined && fields.add_prefix_space === false);
  const byteFallback = steps.length > 1;
  const withMarkAs =
    (space: string) =>
    (piece: string): Uint8Array =>
      (byteFallback ? byteTokenBytes(piece) : undefined) ?? utf8Bytes(piece.replaceAll(mark, space));
  return { bytesOf: withMarkAs(" "), firstBytesOf: never ? undefined : withMarkAs(""), stripsSpace: false };
}

function replaceDecoding(steps: readonly Fields[], where: string): Decoding | undefined {
  const replacements: [string, string][] = [];
  let [byteFallback, stripsSpace] = [false, false];
  for (const fields of steps) {
    if (fields.type === "Replace") {
      const pattern = objectField(fields.pattern, `${where}: Replace.pattern`);
      if (typeof pattern.Regex === "string") return undefined;
      const from = textField(pattern.String, `${where}: Replace.pattern.String`);
      if (from === "") return undefined;
      replacements.push([from, textField(fields.content, `${where}: Replace.content`)]);
    } else if (fields.type === "ByteFallback") byteFallback = true;
    else if (fields.type === "Strip") {
      if (fields.content !== " " || fields.start !== 1 || fields.stop !== 0) return undefined;
      stripsSpace = true;
    }
  }
  const bytesOf = (piece: string): Uint8Array => {
    let text = piece;
    for (const [from, to] of replacements) text = text.replaceAll(from, () => to);
    return (byteFallback ? byteTokenBytes(text) : undefined) ?? utf8Bytes(text);
  };
  return { bytesOf, stripsSpace };
}

function byteTokenBytes(piece: string): Uint8Array | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(piece) ? Uint8Array.of(parseInt(piece.slice(3, 5), 16)) : undefined;
}

/** The bytes an id adds to the text; `first` while no id has added any. Undefined for an id that is left out. */
export type IdBytes = (id: number, first: boolean) => Uint8Array | undefined;

/** Applies the rules for the start of a text to one id after the other. */
function byteStream(bytesOf: IdBytes, stripsSpace: boolean): (id: number) => Uint8Array {
  let firstToken = true;
  let firstByte = true;
  return (id) => {
    const bytes = bytesOf(id, firstToken);
    if (bytes === undefined) return nothing;
    firstToken = false;
    if (!firstByte || bytes.length === 0) return bytes;
    firstByte = false;
    return stripsSpace && bytes[0] === 32 ? bytes.subarray(1) : bytes;
  };
}

const nothing = new Uint8Array(0);

/** Whole characters out of a stream of ids; incomplete ones wait for their missing bytes. */
export function streamDecoder(bytesOf: IdBytes, stripsSpace: boolean): StreamDecoder {
  const next = byteStream(bytesOf, stripsSpace);
  const utf8 = newUtf8Decoder();
  return {
    push: (id) => utf8.decode(next(id), { stream: true }),
    end: () => utf8.decode(),
  };
}

/** All of the text at once. */
export function decodeAll(ids: readonly number[], bytesOf: IdBytes, stripsSpace: boolean): string {
  const next = byteStream(bytesOf, stripsSpace);
  let all = new Uint8Array(ids.length * 6 + 16);
  let length = 0;
  for (const id of ids) {
    const bytes = next(id);
    if (length + bytes.length > all.length) {
      const larger = new Uint8Array((length + bytes.length) * 2);
      larger.set(all);
      all = larger;
    }
    all.set(bytes, length);
    length += bytes.length;
  }
  return utf8Text(all.subarray(0, length));
}
