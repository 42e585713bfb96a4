/**
 * A file as a stream of text and of bytes that are no text: read in blocks, never cut inside a character, nothing lost.
 * What becomes of either is encode.ts's business.
 */
import type { ByteSource } from "../base/bytes.ts";

/** A stretch of whole characters, or of bytes that are not UTF-8. Joined they are the file. */
export type Stretch = { readonly text: string } | { readonly invalid: Uint8Array };

/** Read at once: large enough that reading is no matter, small enough that progress moves. */
const BLOCK = 1 << 20;

/** The stretches of `source`, in order. A byte order mark is text like any other. `onBytes` hears every block as it was read. */
export async function* stretches(source: ByteSource, onBytes?: (bytes: Uint8Array) => void, block: number = BLOCK): AsyncGenerator<Stretch, void> {
  let held = new Uint8Array(0); // the beginning of a character whose end has not been read yet
  for (let at = 0; at < source.size; at += block) {
    const read = await source.read(at, Math.min(at + block, source.size));
    onBytes?.(read);
    const bytes = new Uint8Array(held.length + read.length); // also a copy: a source may use its own room again
    bytes.set(held);
    bytes.set(read, held.length);
    const last = at + read.length >= source.size;
    const end = last ? bytes.length : wholeUntil(bytes);
    held = bytes.slice(end);
    yield* stretchesOf(bytes.subarray(0, end));
  }
}

/** The same for bytes in memory; a character cut off at the end is invalid. */
export function* stretchesOf(bytes: Uint8Array<ArrayBuffer>): Generator<Stretch, void> {
  if (bytes.length === 0) return;
  try {
    yield { text: decode(bytes) };
    return;
  } catch {
    // looked at byte by byte below: rare
  }
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const width = characterAt(bytes, at);
    if (width > 0) {
      at += width;
      continue;
    }
    if (at > from) yield { text: decode(bytes.subarray(from, at)) };
    from = at;
    while (at < bytes.length && characterAt(bytes, at) === 0) at++;
    yield { invalid: bytes.slice(from, at) };
    from = at;
  }
  if (from < bytes.length) yield { text: decode(bytes.subarray(from)) };
}

function decode(bytes: Uint8Array<ArrayBuffer>): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Where the last character begins that might go on behind the end; the length when there is none. */
function wholeUntil(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at >= Math.max(0, bytes.length - 3); at--) {
    const byte = bytes[at];
    if (byte < 0x80) break;
    if (byte >= 0xc0) return at + (byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4) > bytes.length ? at : bytes.length;
  }
  return bytes.length;
}

/** Bytes of the well-formed character at `at`, 0 when there is none (Unicode 15, table 3-7). */
export function characterAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const width = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (width === 0 || at + width > bytes.length) return 0;
  const second = bytes[at + 1];
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i = 2; i < width; i++) if ((bytes[at + i] & 0xc0) !== 0x80) return 0;
  return width;
}
