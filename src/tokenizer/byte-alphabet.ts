/**
 * GPT-2's byte alphabet: one printable character for each of the 256 bytes, so that a vocabulary of byte strings can be written as text.
 * Printable Latin-1 bytes stand for themselves, the other 68 are moved to U+0100 and up: a space is "Ġ", a newline "Ċ".
 * Source: `bytes_to_unicode` of openai/gpt-2's encoder.py.
 */
import { utf8Bytes } from "./utf8.ts";

/** The character of each byte. */
export const byteCharacters: readonly string[] = makeByteCharacters();

const byteOf: ReadonlyMap<string, number> = new Map(byteCharacters.map((character, byte) => [character, byte]));

function makeByteCharacters(): string[] {
  let moved = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : moved++));
}

function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
}

/** How a byte string is spelled in the vocabulary. */
export function spell(bytes: Uint8Array): string {
  let spelling = "";
  for (const byte of bytes) spelling += byteCharacters[byte];
  return spelling;
}

/** The bytes a piece of the vocabulary spells. A piece with a character outside the alphabet (added by hand) is meant literally. */
export function unspell(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length);
  for (let i = 0; i < piece.length; i++) {
    const byte = byteOf.get(piece[i]);
    if (byte === undefined) return utf8Bytes(piece);
    bytes[i] = byte;
  }
  return bytes;
}
