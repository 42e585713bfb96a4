/**
 * UTF-8, the common ground of text and tokens: everything below the tokenizers' surface works on these bytes.
 * A lone surrogate becomes U+FFFD's bytes (EF BF BD), as TextEncoder defines it.
 */

const encoder = new TextEncoder();

export function utf8Bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Bytes that are not UTF-8 show as U+FFFD; a leading U+FEFF is kept. */
export function utf8Text(bytes: Uint8Array): string {
  return newUtf8Decoder().decode(bytes);
}

/** A decoder that can be fed in parts with `{ stream: true }`. */
export function newUtf8Decoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

/** How many bytes the character takes that begins with this byte. */
export function utf8Width(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** The code point that begins at `at`. The bytes must be UTF-8, which all that `utf8Bytes` made are. */
export function codePointAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return lead;
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | (bytes[at + 1] & 0x3f);
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | ((bytes[at + 1] & 0x3f) << 6) | (bytes[at + 2] & 0x3f);
  return ((lead & 0x07) << 18) | ((bytes[at + 1] & 0x3f) << 12) | ((bytes[at + 2] & 0x3f) << 6) | (bytes[at + 3] & 0x3f);
}

/** Where the character begins that ends just before `end`. */
export function previousStart(bytes: Uint8Array, end: number): number {
  let at = end - 1;
  while ((bytes[at] & 0xc0) === 0x80) at--;
  return at;
}
