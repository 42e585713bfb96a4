/**
 * Reading files of any size for BPE training: a stream of bytes is cut into pieces exactly as the finished tokenizer will cut the text,
 * and the pieces are counted (train-table.ts). Blocks and threads part the bytes at seams, where a piece ends whatever stands around,
 * so the counts are the same however a file is read.
 *
 * Special tokens written in the text part it and are not counted. Bytes that are not UTF-8 part it too: each stays a token by itself,
 * which is how they are encoded, and takes no part in merging.
 */
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import type { ByteSource } from "../base/bytes.ts";
import { OTHER, SPACE, classAt } from "./character-class.ts";
import { cutCl100k, cutGpt2 } from "./cutters.ts";
import type { PieceTable } from "./train-table.ts";
import { characterAt, previousStart, utf8Bytes } from "./utf8.ts";

/** "gpt2": GPT-2's own. "cl100k": GPT-4's and Llama 3's, numbers in groups of up to three digits. */
export type TrainingPattern = "gpt2" | "cl100k";

export interface Cutting {
  readonly pattern: TrainingPattern;
  /** Found in the text as it stands, the longest first. */
  readonly special: readonly string[];
  /** Every line is a text of its own, as when Hugging Face's `tokenizers` trains from files. */
  readonly lines: boolean;
}

/** What was read, beside the table. */
export interface PieceTotals {
  readonly bytes: number;
  readonly pieces: number;
  /** Bytes that are not UTF-8. */
  readonly invalidBytes: number;
}

export interface ReadingOptions {
  /** Bytes read since the last call. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Bytes read at once. For tests. */
  readonly block?: number;
  /** Bytes without a seam that are too many. For tests. */
  readonly longest?: number;
}

const BLOCK = 1 << 20;
/** Bytes without a seam must fit into memory. */
const LONGEST_STRETCH = 1 << 28;
/** A longer piece is counted in parts, cut between characters: no token comes near it. */
const LONGEST_PIECE = 1 << 20;
/** Bytes looked at for a seam before more are read. */
const WINDOW = 1 << 14;

const BLANK = 32;
const NEWLINE = 10;

/** Cuts stretches of bytes and counts their pieces. */
export class PieceCounter {
  readonly table: PieceTable;
  readonly seams: Seams;
  readonly #cutting: Cutting;
  readonly #cut: typeof cutGpt2;
  readonly #special: readonly Uint8Array[];
  readonly #firsts: readonly number[];
  #bytes = 0;
  #pieces = 0;
  #invalidBytes = 0;

  constructor(cutting: Cutting, table: PieceTable) {
    this.table = table;
    this.seams = seamsOf(cutting);
    this.#cutting = cutting;
    this.#cut = cutting.pattern === "gpt2" ? cutGpt2 : cutCl100k(3);
    this.#special = specialBytes(cutting);
    this.#firsts = [...new Set(this.#special.map((bytes) => bytes[0]))];
  }

  get totals(): PieceTotals {
    return { bytes: this.#bytes, pieces: this.#pieces, invalidBytes: this.#invalidBytes };
  }

  /** bytes[0..end) must begin and end at seams, or where the file does. */
  count(bytes: Uint8Array, end: number): void {
    this.#bytes += end;
    const next = this.#firsts.map((first) => indexOf(bytes, first, 0, end)); // where each first byte of a special token comes next
    for (let at = 0; at < end;) {
      let [found, length] = [end, 0];
      for (;;) {
        const candidate = next.length === 0 ? end : Math.min(...next);
        if (candidate >= end) break;
        length = this.#specialAt(bytes, candidate, end);
        for (let i = 0; i < next.length; i++) {
          const past = candidate + Math.max(1, length);
          if (next[i] < past) next[i] = indexOf(bytes, this.#firsts[i], past, end);
        }
        if (length > 0) {
          found = candidate;
          break;
        }
      }
      this.#countBytes(bytes, at, found);
      at = found + length;
      if (length === 0) break;
    }
  }

  /** Length of the longest special token at `at`; 0 when there is none. */
  #specialAt(bytes: Uint8Array, at: number, end: number): number {
    return this.#special.find((special) => at + special.length <= end && matches(bytes, at, special))?.length ?? 0;
  }

  /** Without special tokens: parted at bytes that are not UTF-8. */
  #countBytes(bytes: Uint8Array, start: number, end: number): void {
    while (start < end) {
      const valid = validUntil(bytes, start, end);
      this.#countText(bytes, start, valid);
      start = valid;
      while (start < end && characterAt(bytes, start, end) === 0) {
        this.#invalidBytes++;
        this.#pieces++;
        start++;
      }
    }
  }

  #countText(bytes: Uint8Array, start: number, end: number): void {
    while (start < end) {
      const stop = this.#cutting.lines ? Math.min(indexOf(bytes, NEWLINE, start, end) + 1, end) : end;
      while (start < stop) {
        const cut = this.#cut(bytes, start, stop);
        this.#countPiece(bytes, start, cut);
        start = cut;
      }
    }
  }

  #countPiece(bytes: Uint8Array, start: number, end: number): void {
    while (end - start > LONGEST_PIECE) {
      const cut = previousStart(bytes, start + LONGEST_PIECE);
      this.table.add(bytes, start, cut, 1);
      this.#pieces++;
      start = cut;
    }
    this.table.add(bytes, start, end, 1);
    this.#pieces++;
  }
}

/**
 * Reads source[from..to), which begins and ends at seams or at the file's ends, and counts its pieces.
 * Throws VitrineError when `signal` is aborted, and for a text that goes on without end and without a space.
 */
export async function countRange(source: ByteSource, from: number, to: number, into: PieceCounter, options: ReadingOptions = {}): Promise<void> {
  const { block = BLOCK, longest = LONGEST_STRETCH, signal, onBytes } = options;
  const breathe = breather();
  let bytes = new Uint8Array(Math.min(2 * block, to - from));
  let held = 0; // bytes[0..held) were read and not counted yet
  let searched = 0; // no seam before
  for (let at = from; at < to;) {
    if (signal?.aborted) throw new VitrineError("tokenizer training was stopped", { blame: "work", cause: signal.reason });
    const size = Math.min(block, to - at);
    if (held + size > bytes.length) {
      const larger = new Uint8Array(Math.max(held + size, bytes.length * 2));
      larger.set(bytes);
      bytes = larger;
    }
    const read = await source.read(at, at + size, bytes.subarray(held));
    if (read.buffer !== bytes.buffer) bytes.set(read, held);
    at += size;
    held += size;

    const cut = at === to ? held : into.seams.last(bytes, searched, held);
    if (cut === undefined) {
      searched = Math.max(0, held - into.seams.margin);
      if (held >= longest)
        throw new VitrineError(`${source.name}: ${held} bytes from byte ${at - held} on without a space or a line break; break the text into lines`);
    } else {
      into.count(bytes, cut);
      bytes.copyWithin(0, cut, held);
      held -= cut;
      searched = 0;
    }
    onBytes?.(size);
    await breathe();
  }
}

/** The first seam of the file at or after `position`, its size when there is none. */
export async function seamAfter(source: ByteSource, position: number, cutting: Cutting): Promise<number> {
  const seams = seamsOf(cutting);
  if (position <= 0) return 0;
  for (let at = position; at < source.size; at += WINDOW) {
    const from = Math.max(0, at - seams.margin);
    const bytes = await source.read(from, Math.min(source.size, at + WINDOW + seams.margin));
    const found = seams.first(bytes, at - from, Math.min(bytes.length, at - from + WINDOW));
    if (found !== undefined) return from + found;
  }
  return source.size;
}

interface Seams {
  /** Bytes to be seen on both sides of a seam. */
  readonly margin: number;
  /** The last seam of bytes[0..end) behind `least` that shows its margin. */
  last(bytes: Uint8Array, least: number, end: number): number | undefined;
  /** The first seam in bytes[start..end). */
  first(bytes: Uint8Array, start: number, end: number): number | undefined;
}

/**
 * A seam stands between a character that is not white space and a space or a line break behind it: there every pattern ends a piece, and begins
 * the next without looking back. Only cl100k joins line breaks to punctuation. A special token with white space in it may lie across: then it is none.
 */
function seamsOf(cutting: Cutting): Seams {
  const special = specialBytes(cutting).filter((bytes) => bytes.includes(BLANK) || bytes.includes(NEWLINE));
  const margin = Math.max(4, ...special.map((bytes) => bytes.length));
  const isSeam = (bytes: Uint8Array, at: number, end: number): boolean => {
    const right = bytes[at];
    if ((right !== BLANK && right !== NEWLINE) || at === 0) return false;
    let start = at - 1;
    while (start > 0 && (bytes[start] & 0xc0) === 0x80) start--;
    if (characterAt(bytes, start, at) !== at - start) return false;
    const left = classAt(bytes, start);
    if (left === SPACE || (left === OTHER && right === NEWLINE && cutting.pattern === "cl100k")) return false;
    return !special.some((token) => liesAcross(bytes, token, at, end));
  };
  return {
    margin,
    last: (bytes, least, end) => {
      for (let at = end - margin; at > least; at--) if (isSeam(bytes, at, end)) return at;
      return undefined;
    },
    first: (bytes, start, end) => {
      for (let at = start; at < end; at++) if (isSeam(bytes, at, bytes.length)) return at;
      return undefined;
    },
  };
}

function liesAcross(bytes: Uint8Array, token: Uint8Array, at: number, end: number): boolean {
  for (let start = Math.max(0, at - token.length + 1); start < at; start++)
    if (start + token.length <= end && matches(bytes, start, token)) return true;
  return false;
}

/** Longest first, as the finished tokenizer looks for them. */
function specialBytes({ special }: Cutting): Uint8Array[] {
  return special.map(utf8Bytes).sort((a, b) => b.length - a.length);
}

function matches(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

function indexOf(bytes: Uint8Array, byte: number, from: number, end: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 || at > end ? end : at;
}

/** Where the first byte is that belongs to no well-formed character; `end` when there is none. */
function validUntil(bytes: Uint8Array, at: number, end: number): number {
  while (at < end) {
    if (bytes[at] < 0x80) at++;
    else {
      const width = characterAt(bytes, at, end);
      if (width === 0) return at;
      at += width;
    }
  }
  return end;
}
