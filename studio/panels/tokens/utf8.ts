/** Where characters lie in the bytes of pieces: a character of several bytes may be split over several pieces. */

/** A character, or the part of it, that one piece holds. */
export interface Part {
  /** The whole character; U+FFFD for bytes that are none. */
  readonly character: string;
  /** Its bytes in this piece, 1 = its first. */
  readonly from: number;
  readonly to: number;
  /** Bytes it has in all. */
  readonly of: number;
}

const decoder = new TextDecoder();

/** Bytes that a character takes which begins with this one; 1 for a byte that cannot begin one. */
export function lengthOf(lead: number): number {
  return lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc0 && lead < 0xe0 ? 2 : 1;
}

/** Of every byte: how many of its high bits say what it is (0 of 0xxxxxxx, 110 of 110xxxxx ...). */
export function markBits(byte: number): number {
  return byte < 0x80 ? 1 : byte < 0xc0 ? 2 : byte < 0xe0 ? 3 : byte < 0xf0 ? 4 : 5;
}

/** For every piece its characters, the split ones in parts. */
export function partsOf(pieces: readonly Uint8Array[]): readonly (readonly Part[])[] {
  const total = pieces.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(total);
  let end = 0;
  for (const piece of pieces) {
    bytes.set(piece, end);
    end += piece.length;
  }
  const parts: Part[][] = [];
  let start = 0; // of the character that is being walked
  let size = 0;
  let character = "";
  let at = 0;
  for (const piece of pieces) {
    const own: Part[] = [];
    for (const last = at + piece.length; at < last;) {
      if (at === start + size) {
        start = at;
        size = characterAt(bytes, at);
        character = bytes[at] < 0x80 ? String.fromCharCode(bytes[at]) : decoder.decode(bytes.subarray(at, at + size));
      }
      const to = Math.min(last, start + size);
      own.push({ character, from: at - start + 1, to: to - start, of: size });
      at = to;
    }
    parts.push(own);
  }
  return parts;
}

/** Length of the whole character here; 1 where the bytes are none. */
function characterAt(bytes: Uint8Array, at: number): number {
  const size = lengthOf(bytes[at]);
  for (let i = 1; i < size; i++) if (at + i >= bytes.length || (bytes[at + i] & 0xc0) !== 0x80) return 1;
  return size;
}

export function isSplit({ from, to, of }: Part): boolean {
  return to - from + 1 < of;
}

/** 東 2/3; a sign that is not seen by its number. */
export function partText({ character, from, to, of }: Part): string {
  const shown = /^\p{C}$/u.test(character) ? `U+${character.codePointAt(0)!.toString(16).toUpperCase()}` : character;
  return `${shown} ${from === to ? from : `${from}–${to}`}/${of}`;
}

export function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0").toUpperCase();
}

/**
 * Pieces in groups that are drawn by themselves, so that a long text costs what is in sight: after a line break once there are some,
 * and after `most` in any case. Each group as [first, end).
 */
export function groupsOf(pieces: readonly Uint8Array[], most: number): readonly (readonly [number, number])[] {
  const groups: [number, number][] = [];
  let first = 0;
  for (const [at, bytes] of pieces.entries()) {
    const size = at + 1 - first;
    if (size < most && !(size >= most / 4 && bytes.includes(0x0a))) continue;
    groups.push([first, at + 1]);
    first = at + 1;
  }
  if (first < pieces.length) groups.push([first, pieces.length]);
  return groups;
}
