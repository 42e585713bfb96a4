/**
 * The four classes of characters that pre-tokenizers tell apart: letters \p{L}, numbers \p{N}, white space and the rest.
 * White space is Unicode's White_Space as in tiktoken and the Rust and Python tokenizers; JavaScript's \s differs in U+0085 and U+FEFF.
 */
import { codePointAt, utf8Width } from "./utf8.ts";

export const LETTER = 1;
export const NUMBER = 2;
export const SPACE = 3;
export const OTHER = 4;

/** One byte per code point, 0 = not asked for yet. Untouched pages of it cost no memory. */
const classes = new Uint8Array(0x110000);
for (let ascii = 0; ascii < 128; ascii++) classes[ascii] = classify(ascii);

function classify(codePoint: number): number {
  const character = String.fromCodePoint(codePoint);
  if (/^\p{L}$/u.test(character)) return LETTER;
  if (/^\p{N}$/u.test(character)) return NUMBER;
  return /^\p{White_Space}$/u.test(character) ? SPACE : OTHER;
}

function classOf(codePoint: number): number {
  return classes[codePoint] || (classes[codePoint] = classify(codePoint));
}

/** The class of the character that begins at `at`. */
export function classAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  return lead < 128 ? classes[lead] : classOf(codePointAt(bytes, at));
}

/** Where the run of characters of this class ends that begins at `at`. */
export function runEnd(bytes: Uint8Array, at: number, end: number, wanted: number): number {
  while (at < end) {
    const lead = bytes[at];
    if (lead < 128) {
      if (classes[lead] !== wanted) return at;
      at++;
    } else {
      if (classOf(codePointAt(bytes, at)) !== wanted) return at;
      at += utf8Width(lead);
    }
  }
  return at;
}
