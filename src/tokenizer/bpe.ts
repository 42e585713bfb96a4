/**
 * A BPE model: a piece of text as UTF-8 bytes -> ids. Symbols, merges and the cache of known pieces in one place;
 * how text becomes pieces is the tokenizer's business (bpe-tokenizer.ts).
 */
import { VitrineError } from "../base/errors.ts";
import { merge, mergeWatched } from "./merge.ts";
import { PieceCache } from "./piece-cache.ts";
import type { MergeRules } from "./merge-rules.ts";
import type { Symbols } from "./symbols.ts";
import type { MergeStep } from "./tokenizer.ts";

export interface BpeParts {
  readonly rules: MergeRules;
  readonly symbols: Symbols;
  /** The id of a piece that is in the vocabulary as a whole and then is not merged (`ignore_merges`); undefined for other pieces. */
  readonly wholePiece: ((bytes: Uint8Array) => number | undefined) | undefined;
  /** The vocabulary's spelling of an id. */
  readonly spelling: (id: number) => string;
}

/** Pieces with more symbols are not shown merge by merge: the steps of one would fill the memory. */
const longestShown = 4096;

/** Larger scratch space is given back after use. */
const scratchKept = 1 << 16;

/** Pieces into ids, by merging or from memory. One piece after the other: it owns scratch space. */
export class Bpe {
  readonly #parts: BpeParts;
  readonly #cache = new PieceCache();
  #scratch = new Int32Array(256);

  constructor(parts: BpeParts) {
    this.#parts = parts;
  }

  /** Appends the ids of the piece bytes[start..end) to `out`. */
  encode(bytes: Uint8Array, start: number, end: number, out: number[]): void {
    if (this.#cache.recall(bytes, start, end, out)) return;
    const symbols = this.#room(end - start);
    const count = this.#merged(bytes, start, end, symbols);
    for (let i = 0; i < count; i++) out.push(symbols[i]);
    this.#cache.remember(bytes, start, end, symbols, count);
  }

  /** The merges of one piece, from its single symbols on. Throws VitrineError for a piece too long to show. */
  steps(bytes: Uint8Array, start: number, end: number): MergeStep[] {
    const { rules, symbols, spelling, wholePiece } = this.#parts;
    const whole = wholePiece?.(bytes.subarray(start, end));
    if (whole !== undefined) return [{ pieces: [spelling(whole)], at: -1, rank: -1 }];
    const room = this.#room(end - start);
    const count = symbols(bytes, start, end, room);
    if (count > longestShown)
      throw new VitrineError(`merges: one piece has ${count} symbols, at most ${longestShown} can be shown; give a shorter text`);
    const standing = Array.from(room.subarray(0, count));
    const steps: MergeStep[] = [{ pieces: standing.map(spelling), at: -1, rank: -1 }];
    mergeWatched(rules, standing, (rank, at) => steps.push({ pieces: standing.map(spelling), at, rank }));
    return steps;
  }

  #merged(bytes: Uint8Array, start: number, end: number, into: Int32Array): number {
    const whole = this.#parts.wholePiece?.(bytes.subarray(start, end));
    if (whole !== undefined) {
      into[0] = whole;
      return 1;
    }
    return merge(this.#parts.rules, into, this.#parts.symbols(bytes, start, end, into));
  }

  #room(size: number): Int32Array {
    if (size <= this.#scratch.length) return this.#scratch;
    const room = new Int32Array(size);
    if (size <= scratchKept) this.#scratch = room;
    return room;
  }
}
