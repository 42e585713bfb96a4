/**
 * UTF-8, the common ground of text and tokens: everything below the tokenizers' surface works on these bytes.
 * A lone surrogate becomes U+FFFD's bytes (EF BF BD), as TextEncoder defines it.
 */

const encoder = new TextEncoder();

/** Text as UTF-8; a lone surrogate as U+FFFD's bytes. */
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

/** Bytes of the well-formed character at `at` (Unicode 15, table 3-7), 0 when there is none or it does not end before `end`. */
export function characterAt(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const width = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (width === 0 || at + width > end) return 0;
  const second = bytes[at + 1];
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i = 2; i < width; i++) if ((bytes[at + i] & 0xc0) !== 0x80) return 0;
  return width;
}
