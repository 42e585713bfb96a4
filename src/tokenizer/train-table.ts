/**
 * How often each piece of text occurs: a hash table over bytes, with all keys in one array, so that a million different words cost
 * some ten megabytes. Filled by train-pieces.ts, on one thread or on several; read by train-merges.ts.
 */
import { VitrineError } from "../base/errors.ts";

/** A table as plain arrays, for handing it from thread to thread. Piece i is keys[ends[i - 1] .. ends[i]). */
export interface PieceTableData {
  readonly keys: Uint8Array<ArrayBuffer>;
  readonly ends: Uint32Array<ArrayBuffer>;
  readonly counts: Float64Array<ArrayBuffer>;
}

/** Positions in the keys are 32-bit numbers. */
const mostKeyBytes = 2 ** 32 - 1;

export class PieceTable {
  #slots = new Int32Array(1 << 15); // piece + 1; 0 = free
  #hashes = new Int32Array(1 << 14);
  #ends = new Uint32Array(1 << 14);
  #counts = new Float64Array(1 << 14);
  #keys = new Uint8Array(1 << 17);
  #size = 0;

  /** How many different pieces. */
  get size(): number {
    return this.#size;
  }

  start(piece: number): number {
    return piece === 0 ? 0 : this.#ends[piece - 1];
  }

  end(piece: number): number {
    return this.#ends[piece];
  }

  count(piece: number): number {
    return this.#counts[piece];
  }

  /** The bytes of all pieces, one after the other. Grows by being replaced: ask again after `add`. */
  get keys(): Uint8Array {
    return this.#keys;
  }

  /** Counts the piece bytes[start..end) `times` times more. Throws VitrineError when the different pieces together are larger than 4 GB. */
  add(bytes: Uint8Array, start: number, end: number, times: number): void {
    let hash = end - start;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x5bd1e995) ^ (hash >>> 15);
    hash ^= hash >>> 13;

    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const piece = slots[slot] - 1;
      if (this.#hashes[piece] === hash && this.#isPiece(piece, bytes, start, end)) {
        this.#counts[piece] += times;
        return;
      }
    }
    this.#insert(slot, hash, bytes, start, end, times);
  }

  /** Adds what another table counted. */
  addAll({ keys, ends, counts }: PieceTableData): void {
    for (let piece = 0, start = 0; piece < counts.length; piece++) {
      this.add(keys, start, ends[piece], counts[piece]);
      start = ends[piece];
    }
  }

  /** Copies, which may be transferred. */
  data(): PieceTableData {
    return {
      keys: this.#keys.slice(0, this.#size === 0 ? 0 : this.#ends[this.#size - 1]),
      ends: this.#ends.slice(0, this.#size),
      counts: this.#counts.slice(0, this.#size),
    };
  }

  #isPiece(piece: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.start(piece);
    const length = end - start;
    if (this.#ends[piece] - from !== length) return false;
    const keys = this.#keys;
    for (let i = 0; i < length; i++) if (keys[from + i] !== bytes[start + i]) return false;
    return true;
  }

  #insert(slot: number, hash: number, bytes: Uint8Array, start: number, end: number, times: number): void {
    const from = this.#size === 0 ? 0 : this.#ends[this.#size - 1];
    const to = from + end - start;
    if (to > mostKeyBytes)
      throw new VitrineError("tokenizer train: the different words of these files take more than 4 GB; train on a part of them", { blame: "work" });
    if (to > this.#keys.length) {
      const keys = new Uint8Array(Math.min(mostKeyBytes, Math.max(to, this.#keys.length * 2)));
      keys.set(this.#keys);
      this.#keys = keys;
    }
    for (let i = start, into = from; i < end; i++) this.#keys[into++] = bytes[i]; // pieces are a few bytes long: quicker than set()
    this.#slots[slot] = this.#size + 1;
    this.#hashes[this.#size] = hash;
    this.#ends[this.#size] = to;
    this.#counts[this.#size] = times;
    this.#size++;
    if (this.#size === this.#counts.length) this.#grow();
  }

  #grow(): void {
    const room = this.#size * 2;
    const [hashes, ends, counts] = [new Int32Array(room), new Uint32Array(room), new Float64Array(room)];
    hashes.set(this.#hashes);
    ends.set(this.#ends);
    counts.set(this.#counts);
    [this.#hashes, this.#ends, this.#counts] = [hashes, ends, counts];
    const slots = new Int32Array(room * 2);
    const mask = slots.length - 1;
    for (let piece = 0; piece < this.#size; piece++) {
      let slot = hashes[piece] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = piece + 1;
    }
    this.#slots = slots;
  }
}
