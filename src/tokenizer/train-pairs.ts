/**
 * Neighbouring symbols of the words BPE learns from: how often each pair stands together, in which words, and which pair is the most
 * frequent. The books that train-merges.ts keeps while it merges.
 */

/** One number for each pair, in the order they were first met. */
export type PairNumber = number;

/** Symbols, counts and words of every pair that was ever met. */
export class PairTable {
  #slots = new Int32Array(1 << 15); // pair + 1; 0 = free
  #lefts = new Int32Array(1 << 14);
  #rights = new Int32Array(1 << 14);
  #counts = new Float64Array(1 << 14);
  #lists = new Int32Array(1 << 14); // the first node of the pair's words; 0 = none
  #size = 0;
  // Nodes of all lists of words. Node 0 is nobody's.
  #words = new Int32Array(1 << 16);
  #next = new Int32Array(1 << 16);
  #nodes = 1;
  #free = 0;

  get size(): number {
    return this.#size;
  }

  left(pair: PairNumber): number {
    return this.#lefts[pair];
  }

  right(pair: PairNumber): number {
    return this.#rights[pair];
  }

  count(pair: PairNumber): number {
    return this.#counts[pair];
  }

  /** The pair stands `times` times more in `word`. */
  add(left: number, right: number, times: number, word: number): void {
    const pair = this.#find(left, right);
    this.#counts[pair] += times;
    const first = this.#lists[pair];
    if (first === 0 || this.#words[first] !== word) this.#lists[pair] = this.#node(word, first);
  }

  /** The pair stands `times` times less. Its words stay listed: one that has lost it is found out when it is looked at. */
  remove(left: number, right: number, times: number): void {
    this.#counts[this.#find(left, right)] -= times;
  }

  /** Puts the words that may hold the pair into `into`, each at least once, and takes them from the pair. */
  take(pair: PairNumber, into: number[]): void {
    into.length = 0;
    let last = 0;
    for (let node = this.#lists[pair]; node !== 0; node = this.#next[node]) {
      into.push(this.#words[node]);
      last = node;
    }
    if (last !== 0) {
      this.#next[last] = this.#free;
      this.#free = this.#lists[pair];
    }
    this.#lists[pair] = 0;
  }

  #find(left: number, right: number): PairNumber {
    const mask = this.#slots.length - 1;
    let slot = hashOf(left, right) & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const pair = this.#slots[slot] - 1;
      if (this.#lefts[pair] === left && this.#rights[pair] === right) return pair;
    }
    const pair = this.#size++;
    this.#slots[slot] = pair + 1;
    this.#lefts[pair] = left;
    this.#rights[pair] = right;
    if (this.#size === this.#counts.length) this.#grow();
    return pair;
  }

  #grow(): void {
    const room = this.#size * 2;
    this.#lefts = moved(this.#lefts, new Int32Array(room));
    this.#rights = moved(this.#rights, new Int32Array(room));
    this.#counts = moved(this.#counts, new Float64Array(room));
    this.#lists = moved(this.#lists, new Int32Array(room));
    this.#slots = new Int32Array(room * 2);
    const mask = this.#slots.length - 1;
    for (let pair = 0; pair < this.#size; pair++) {
      let slot = hashOf(this.#lefts[pair], this.#rights[pair]) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = pair + 1;
    }
  }

  #node(word: number, next: number): number {
    let node = this.#free;
    if (node !== 0) this.#free = this.#next[node];
    else {
      node = this.#nodes++;
      if (node === this.#words.length) {
        this.#words = moved(this.#words, new Int32Array(node * 2));
        this.#next = moved(this.#next, new Int32Array(node * 2));
      }
    }
    this.#words[node] = word;
    this.#next[node] = next;
    return node;
  }
}

function hashOf(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

function moved<A extends Int32Array | Float64Array>(old: A, larger: A): A {
  larger.set(old);
  return larger;
}

/**
 * The most frequent pair first; among equals the one whose left symbol has the lower id, then whose right one has.
 * A lazy heap: a pair is pushed when all its occurrences are known, and a count that fell since is noticed when it comes to the top.
 */
export class PairQueue {
  readonly #pairs: PairTable;
  readonly #heap: PairNumber[] = [];
  readonly #counts: number[] = []; // as they were when pushed

  constructor(pairs: PairTable) {
    this.#pairs = pairs;
  }

  push(pair: PairNumber): void {
    const count = this.#pairs.count(pair);
    let at = this.#heap.length;
    this.#heap.push(pair);
    this.#counts.push(count);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(pair, count, this.#heap[parent], this.#counts[parent])) break;
      this.#set(at, this.#heap[parent], this.#counts[parent]);
      at = parent;
    }
    this.#set(at, pair, count);
  }

  /** Takes out the first pair that counts at least `least`; undefined when there is none. */
  pop(least: number): PairNumber | undefined {
    while (this.#heap.length > 0) {
      const [pair, pushed] = [this.#heap[0], this.#counts[0]];
      const count = this.#pairs.count(pair);
      if (pushed < least) return undefined; // no other counts more
      if (count === pushed) {
        this.#removeFirst();
        return pair;
      }
      if (count >= least) this.#sink(pair, count);
      else this.#removeFirst();
    }
    return undefined;
  }

  #removeFirst(): void {
    const pair = this.#heap.pop()!;
    const count = this.#counts.pop()!;
    if (this.#heap.length > 0) this.#sink(pair, count);
  }

  /** Puts a pair in the place of the first. */
  #sink(pair: PairNumber, count: number): void {
    const { length } = this.#heap;
    let at = 0;
    for (let child = 1; child < length; child = 2 * at + 1) {
      if (child + 1 < length && this.#before(this.#heap[child + 1], this.#counts[child + 1], this.#heap[child], this.#counts[child])) child++;
      if (!this.#before(this.#heap[child], this.#counts[child], pair, count)) break;
      this.#set(at, this.#heap[child], this.#counts[child]);
      at = child;
    }
    this.#set(at, pair, count);
  }

  #set(at: number, pair: PairNumber, count: number): void {
    this.#heap[at] = pair;
    this.#counts[at] = count;
  }

  #before(a: PairNumber, countA: number, b: PairNumber, countB: number): boolean {
    if (countA !== countB) return countA > countB;
    const pairs = this.#pairs;
    return pairs.left(a) !== pairs.left(b) ? pairs.left(a) < pairs.left(b) : pairs.right(a) < pairs.right(b);
  }
}
