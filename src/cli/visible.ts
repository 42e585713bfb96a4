/**
 * Making every token visible: quotes show its spaces, escapes its line breaks and control characters,
 * hexadecimal bytes the pieces of a character. Nothing a model says can move the cursor or turn the line around.
 */
import type { Token } from "../tokenizer/tokenizer.ts";

/** What must not reach a terminal as it is: controls, format and bidi characters, odd spaces, unassigned and private ones. */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]|(?! )\p{Zs}/gu;
/** In running text: controls but line breaks and tabs, and what turns the writing direction of a whole line. */
const unsafeInText = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
const beyondAscii = /[^\x20-\x7e]/gu;
const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeOf(character: string): string {
  const short = shortEscapes[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0)!;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`;
}

/** Text on one line: what would break the line or hide is escaped; without `unicode`, everything but ASCII is. */
export function escaped(text: string, unicode: boolean): string {
  const safe = text.replaceAll(unsafe, escapeOf);
  return unicode ? safe : safe.replaceAll(beyondAscii, escapeOf);
}

/** Text for a terminal to print as it is: line breaks and tabs stay, control and bidi characters are shown as escapes. */
export function harmless(text: string): string {
  return text.replaceAll("\r\n", "\n").replaceAll(unsafeInText, escapeOf);
}

/** `" there"` for text, `<|endoftext|>` for a special token, `<E2 96>` for part of a character. */
export function tokenLabel(token: Token, unicode: boolean): string {
  return token.special || isBroken(token) ? piece(token, unicode) : `"${piece(token, unicode).replaceAll('"', '\\"')}"`;
}

/** The same without quotes, for where bars stand between the pieces. */
export function piece(token: Token, unicode: boolean): string {
  if (token.special) return escaped(token.text, unicode);
  if (isBroken(token)) return `<${hexBytes(token.bytes)}>`;
  const text = escaped(token.text.replaceAll("\\", "\\\\"), unicode);
  return /^\p{M}/u.test(text) ? `\u25cc${text}` : text; // a combining mark needs something to stand on
}

/** Bytes that are no text by themselves. */
function isBroken(token: Token): boolean {
  return token.bytes.length > 0 && token.text.includes("\ufffd") && !equalBytes(token.bytes, new TextEncoder().encode(token.text));
}

/** "E6 9D B1". */
export function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
