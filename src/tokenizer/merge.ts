/**
 * Byte-pair encoding of one piece: of all neighbours that a rule joins, the rule learned first wins, leftmost first, until none applies.
 * Two ways to the same result: a plain scan for words, and rank-by-rank rounds over a linked list for pieces of any length.
 */
import { NO_RULE } from "./merge-rules.ts";
import type { MergeRules } from "./merge-rules.ts";

/** Told after each merge: the rank of its rule, the symbol positions (in the list before the merge) of its left part. Used to show merges. */
export type MergeWatcher = (rank: number, at: number) => void;

/** Above this length the rounds win over the scan. */
const longest = 96;

const ranks = new Int32Array(longest + 1);

/** Merges symbols[0..count) in place and returns how many are left. */
export function merge(rules: MergeRules, symbols: Int32Array, count: number): number {
  return count > longest ? mergeInRounds(rules, symbols, count) : mergeByScan(rules, symbols, count);
}

function mergeByScan(rules: MergeRules, symbols: Int32Array, count: number): number {
  for (let i = 0; i + 1 < count; i++) ranks[i] = rules.rank(symbols[i], symbols[i + 1]);
  for (;;) {
    let best = NO_RULE;
    let at = -1;
    for (let i = 0; i + 1 < count; i++) if (ranks[i] < best) [best, at] = [ranks[i], i];
    if (at < 0) return count;
    count--;
    symbols[at] = rules.products[best];
    for (let i = at + 1; i < count; i++) symbols[i] = symbols[i + 1];
    for (let i = at + 1; i + 1 < count; i++) ranks[i] = ranks[i + 1];
    if (at > 0) ranks[at - 1] = rules.rank(symbols[at - 1], symbols[at]);
    if (at + 1 < count) ranks[at] = rules.rank(symbols[at], symbols[at + 1]);
  }
}

/** The same scan, telling each step; for pieces short enough to be shown. */
export function mergeWatched(rules: MergeRules, symbols: number[], watch: MergeWatcher): void {
  for (;;) {
    let best = NO_RULE;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = rules.rank(symbols[i], symbols[i + 1]);
      if (rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return;
    symbols.splice(at, 2, rules.products[best]);
    watch(best, at);
  }
}

/** The places where the rule of one rank may apply. `next` walks them from left to right. */
interface Round {
  places: number[];
  next: number;
  sorted: boolean;
}

/**
 * Rounds by rank: gather the places of every rule, take the lowest rank, merge at its places from left to right, gather the new neighbours, go on.
 * In learned merge lists a rule that uses a product comes after the rule that makes it, so each round runs through once;
 * where a list breaks that order, the round pauses for the lower rank, so the result is that of the plain scan for any list.
 * Time grows as n log n (the sort of places), memory is four integers per symbol and one per place.
 */
export function mergeInRounds(rules: MergeRules, symbols: Int32Array, count: number): number {
  const before = new Int32Array(count); // linked list of the symbols still standing
  const after = new Int32Array(count);
  const waiting = new Int32Array(count).fill(NO_RULE); // rank of the pair that begins here
  const rounds = new Map<number, Round>();
  const queue: number[] = []; // heap of the ranks that have a round

  const gather = (at: number): number => {
    const right = after[at];
    const rank = right < count ? rules.rank(symbols[at], symbols[right]) : NO_RULE;
    waiting[at] = rank;
    if (rank === NO_RULE) return rank;
    const round = rounds.get(rank);
    if (round === undefined) {
      rounds.set(rank, { places: [at], next: 0, sorted: true });
      pushRank(queue, rank);
    } else {
      if (at < round.places[round.places.length - 1]) round.sorted = false;
      round.places.push(at);
    }
    return rank;
  };

  for (let at = 0; at < count; at++) [before[at], after[at]] = [at - 1, at + 1];
  for (let at = 0; at + 1 < count; at++) gather(at);

  while (queue.length > 0) {
    const rank = queue[0];
    const round = rounds.get(rank)!;
    if (!round.sorted) sortRest(round);
    let lower = NO_RULE;
    while (round.next < round.places.length && lower > rank) {
      const at = round.places[round.next++];
      if (waiting[at] !== rank) continue; // merged away meanwhile, or part of another pair now
      const right = after[at];
      symbols[at] = rules.products[rank];
      waiting[right] = NO_RULE;
      after[at] = after[right];
      if (after[at] < count) before[after[at]] = at;
      lower = gather(at);
      if (before[at] >= 0) lower = Math.min(lower, gather(before[at]));
    }
    if (lower > rank) {
      rounds.delete(rank);
      popRank(queue);
    }
  }

  let left = 0;
  for (let at = 0; at < count; at = after[at]) symbols[left++] = symbols[at];
  return left;
}

function sortRest(round: Round): void {
  round.places = Array.from(Int32Array.from(round.places.slice(round.next)).sort());
  round.next = 0;
  round.sorted = true;
}

/** A binary heap of ranks, the lowest first. */
function pushRank(heap: number[], rank: number): void {
  let at = heap.length;
  heap.push(rank);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent] <= rank) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = rank;
}

function popRank(heap: number[]): void {
  const rank = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= rank) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = rank;
}
