/**
 * Remembers the ids of pieces met before: text is made of few different words, so most pieces need no merging.
 * Keyed by the piece's bytes in place, without making a string of them; bounded: when full it forgets everything and learns again.
 */

/** Longer pieces are rare and not kept. */
const longestKey = 40;
const mostEntries = 1 << 16;

/** One entry: hash, where its key bytes begin, their number, where its ids begin, their number. */
const STRIDE = 5;

/** A hash table of pieces of up to 40 bytes and their ids, 65,536 of them at most. */
export class PieceCache {
  #slots = new Int32Array(1 << 12); // entry number + 1; 0 = free
  #entries = new Int32Array(STRIDE << 11);
  #keys = new Uint8Array(1 << 14);
  #ids = new Int32Array(1 << 13);
  #entryCount = 0;
  #keyBytes = 0;
  #idCount = 0;
  /** Hash of the piece last looked for, so that `remember` need not work it out again. */
  #hash = 0;

  /** Appends the piece's ids to `out` and says true, or says false when it does not know them. */
  recall(bytes: Uint8Array, start: number, end: number, out: number[]): boolean {
    const length = end - start;
    if (length > longestKey) return false;
    let hash = length;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x5bd1e995) ^ (hash >>> 15);
    hash ^= hash >>> 13;
    this.#hash = hash;

    const slots = this.#slots;
    const entries = this.#entries;
    const keys = this.#keys;
    const mask = slots.length - 1;
    search: for (let slot = hash & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const entry = (slots[slot] - 1) * STRIDE;
      if (entries[entry] !== hash || entries[entry + 2] !== length) continue;
      const key = entries[entry + 1];
      for (let i = 0; i < length; i++) if (keys[key + i] !== bytes[start + i]) continue search;
      const first = entries[entry + 3];
      const last = first + entries[entry + 4];
      for (let i = first; i < last; i++) out.push(this.#ids[i]);
      return true;
    }
    return false;
  }

  /** Keeps ids[0..count) for the piece that `recall` just did not know. */
  remember(bytes: Uint8Array, start: number, end: number, ids: Int32Array, count: number): void {
    const length = end - start;
    if (length > longestKey) return;
    if (this.#entryCount === mostEntries) this.#forget();
    if ((this.#entryCount + 1) * STRIDE > this.#entries.length) this.#grow();
    if (this.#keyBytes + length > this.#keys.length) this.#keys = doubled(this.#keys, new Uint8Array(this.#keys.length * 2));
    while (this.#idCount + count > this.#ids.length) this.#ids = doubled(this.#ids, new Int32Array(this.#ids.length * 2));

    this.#keys.set(bytes.subarray(start, end), this.#keyBytes);
    this.#ids.set(ids.subarray(0, count), this.#idCount);
    this.#entries.set([this.#hash, this.#keyBytes, length, this.#idCount, count], this.#entryCount * STRIDE);
    this.#place(this.#hash, this.#entryCount);
    this.#entryCount++;
    this.#keyBytes += length;
    this.#idCount += count;
  }

  #place(hash: number, entry: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = entry + 1;
  }

  #grow(): void {
    this.#entries = doubled(this.#entries, new Int32Array(this.#entries.length * 2));
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let entry = 0; entry < this.#entryCount; entry++) this.#place(this.#entries[entry * STRIDE], entry);
  }

  #forget(): void {
    this.#slots.fill(0);
    this.#entryCount = this.#keyBytes = this.#idCount = 0;
  }
}

function doubled<A extends Uint8Array | Int32Array>(old: A, larger: A): A {
  larger.set(old);
  return larger;
}
