/**
 * The learned merges as a hash table: a pair of neighbouring ids -> the rank of its rule, and a rank -> the id it makes.
 * Open addressing over one Int32Array, because encoding asks it several times for every byte of text.
 */

/** The answer for a pair that no rule joins; larger than every rank. */
export const NO_RULE = 0x7fffffff;

export interface MergeRules {
  readonly count: number;
  /** The rank of the rule for `left` followed by `right`, or NO_RULE. */
  rank(left: number, right: number): number;
  /** What the rule of each rank makes. */
  readonly products: Int32Array;
}

/** `triples` holds left, right and product of each rule, first learned first. Where a pair comes twice, the later rule holds (as in Hugging Face's). */
export function mergeRules(triples: Int32Array): MergeRules {
  const count = triples.length / 3;
  let capacity = 16;
  while (capacity < count * 2) capacity *= 2;
  const mask = capacity - 1;
  const slots = new Int32Array(capacity * 4); // left, right, rank + 1 (0 = free), unused
  const products = new Int32Array(count);

  const slotOf = (left: number, right: number): number => {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    let slot = (hash & mask) << 2;
    while (slots[slot + 2] !== 0 && (slots[slot] !== left || slots[slot + 1] !== right)) slot = (slot + 4) & (mask << 2);
    return slot;
  };

  for (let rank = 0; rank < count; rank++) {
    const slot = slotOf(triples[rank * 3], triples[rank * 3 + 1]);
    slots[slot] = triples[rank * 3];
    slots[slot + 1] = triples[rank * 3 + 1];
    slots[slot + 2] = rank + 1;
    products[rank] = triples[rank * 3 + 2];
  }

  const rank = (left: number, right: number): number => {
    const found = slots[slotOf(left, right) + 2];
    return found === 0 ? NO_RULE : found - 1;
  };
  return { count, rank, products };
}
