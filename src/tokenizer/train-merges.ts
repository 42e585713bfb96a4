/**
 * Learning merges (Sennrich et al. 2016, over bytes as in GPT-2): the pair of neighbouring symbols that occurs most often in all words
 * becomes a new symbol, again and again, until the vocabulary is full. Counts are kept up to date instead of counted anew (train-pairs.ts).
 *
 * The same choices as Hugging Face's `tokenizers`: overlapping pairs all count ("aaa" holds two), words are merged from left to right, and
 * ties go to the lower ids. No token is spelled by two rules: where it stands, nothing was merged across its edges, so its inside was merged
 * as if it stood alone.
 */
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import { byteCharacters } from "./byte-alphabet.ts";
import { PairQueue, PairTable } from "./train-pairs.ts";
import type { PairNumber } from "./train-pairs.ts";
import type { PieceTable } from "./train-table.ts";

export interface LearningOptions {
  /** Tokens in all: special ones, 256 bytes and what merges make. */
  readonly vocabulary: number;
  /** A pair must occur so often to be merged. */
  readonly minFrequency: number;
  readonly special: readonly string[];
  /** Tokens there are, of those asked for. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface LearnedMerges {
  /** In the order of their ids, spelled in GPT-2's byte alphabet: special tokens, the 256 bytes in the alphabet's order, products of merges. */
  readonly tokens: readonly string[];
  /** Rules in the order they were learned. */
  readonly merges: readonly (readonly [left: string, right: string])[];
  /** How often the last rule's pair occurred; 0 without rules. */
  readonly lastCount: number;
  /** Tokens that all words together became. */
  readonly wordTokens: number;
}

/** Bytes in the order of their characters' code points, which GPT-2's ids have too: "!" first, the space 220th. */
const alphabetOrder: readonly number[] = byteCharacters
  .map((character, byte) => ({ code: character.charCodeAt(0), byte }))
  .sort((a, b) => a.code - b.code)
  .map(({ byte }) => byte);

/** Throws VitrineError when `signal` is aborted. */
export async function learnMerges(pieces: PieceTable, options: LearningOptions): Promise<LearnedMerges> {
  const { vocabulary, minFrequency, special, onProgress, signal } = options;
  const tokens = [...special, ...alphabetOrder.map((byte) => byteCharacters[byte])];
  const merges: (readonly [string, string])[] = [];
  const reserved = new Set(special);
  const least = Math.max(1, minFrequency);
  const breathe = breather();
  let lastCount = 0;

  const words = new Words(pieces, special.length);
  await words.countPairs(breathe, signal);
  while (tokens.length < vocabulary) {
    const pair = words.mostFrequent(least);
    if (pair === undefined) break;
    const [left, right] = [tokens[pair.left], tokens[pair.right]];
    if (reserved.has(left + right)) continue; // text that is spelled like a special token ("Ġthe") stays apart from it
    merges.push([left, right]);
    lastCount = pair.count;
    words.merge(pair.number, tokens.length);
    tokens.push(left + right);
    onProgress?.(tokens.length, vocabulary);
    throwIfStopped(signal);
    await breathe();
  }
  return { tokens, merges, lastCount, wordTokens: words.tokens() };
}

function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new VitrineError("tokenizer training was stopped", { blame: "work", cause: signal.reason });
}

/** The different words, as symbols in one array; merging shortens a word in its place. */
class Words {
  readonly #symbols: Int32Array;
  readonly #starts: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #counts: Float64Array;
  /** How often words of one byte occur, which are not among the others: there is nothing to merge. */
  readonly #single: number;
  readonly #pairs = new PairTable();
  readonly #queue = new PairQueue(this.#pairs);
  readonly #touched: number[] = [];

  constructor(pieces: PieceTable, firstByteId: number) {
    const symbolOf = new Int32Array(256);
    for (const [i, byte] of alphabetOrder.entries()) symbolOf[byte] = firstByteId + i;
    let [count, total, single] = [0, 0, 0];
    for (let piece = 0; piece < pieces.size; piece++) {
      const length = pieces.end(piece) - pieces.start(piece);
      if (length < 2) {
        single += pieces.count(piece);
        continue;
      }
      count++;
      total += length;
    }
    this.#single = single;
    this.#symbols = new Int32Array(total);
    this.#starts = new Uint32Array(count);
    this.#lengths = new Uint32Array(count);
    this.#counts = new Float64Array(count);
    const { keys } = pieces;
    for (let piece = 0, word = 0, at = 0; piece < pieces.size; piece++) {
      const [start, end] = [pieces.start(piece), pieces.end(piece)];
      if (end - start < 2) continue;
      this.#starts[word] = at;
      this.#lengths[word] = end - start;
      this.#counts[word] = pieces.count(piece);
      for (let i = start; i < end; i++) this.#symbols[at++] = symbolOf[keys[i]];
      word++;
    }
  }

  async countPairs(breathe: () => Promise<void> | undefined, signal: AbortSignal | undefined): Promise<void> {
    for (let word = 0; word < this.#counts.length; word++) {
      const start = this.#starts[word];
      const end = start + this.#lengths[word];
      for (let i = start; i + 1 < end; i++) this.#pairs.add(this.#symbols[i], this.#symbols[i + 1], this.#counts[word], word);
      if ((word & 4095) === 0) {
        throwIfStopped(signal);
        await breathe();
      }
    }
    this.#queueFrom(0);
  }

  #queueFrom(first: PairNumber): void {
    for (let pair = first; pair < this.#pairs.size; pair++) this.#queue.push(pair);
  }

  mostFrequent(least: number): { number: PairNumber; left: number; right: number; count: number } | undefined {
    const number = this.#queue.pop(least);
    if (number === undefined) return undefined;
    return { number, left: this.#pairs.left(number), right: this.#pairs.right(number), count: this.#pairs.count(number) };
  }

  /** Joins the pair into the new symbol `product` wherever it stands. */
  merge(pair: PairNumber, product: number): void {
    const before = this.#pairs.size;
    const [left, right] = [this.#pairs.left(pair), this.#pairs.right(pair)];
    this.#pairs.take(pair, this.#touched);
    for (const word of this.#touched) this.#mergeWord(word, left, right, product);
    this.#queueFrom(before); // only pairs with the new symbol are new, and no other has come to occur more often
  }

  /** Symbols of all words, as often as each word occurs. */
  tokens(): number {
    return this.#lengths.reduce((sum, length, word) => sum + length * this.#counts[word], this.#single);
  }

  #mergeWord(word: number, left: number, right: number, product: number): void {
    const symbols = this.#symbols;
    const times = this.#counts[word];
    const start = this.#starts[word];
    const end = start + this.#lengths[word];
    let to = start;
    for (let from = start; from < end;) {
      const symbol = symbols[from];
      if (symbol !== left || from + 1 >= end || symbols[from + 1] !== right) {
        symbols[to++] = symbol;
        from++;
        continue;
      }
      if (to > start) {
        this.#pairs.remove(symbols[to - 1], left, times);
        this.#pairs.add(symbols[to - 1], product, times, word);
      }
      if (from + 2 < end) {
        this.#pairs.remove(right, symbols[from + 2], times);
        this.#pairs.add(product, symbols[from + 2], times, word);
      }
      symbols[to++] = product;
      from += 2;
    }
    this.#lengths[word] = to - start;
  }
}
