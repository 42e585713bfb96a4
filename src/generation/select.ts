/**
 * The best n of many logits, without sorting all of them unless many are asked for.
 * One order everywhere: higher logit first, ties to the lower id.
 */

/** Ids of the `n` highest logits (V,), best first. Fewer when V is smaller. NaN must not occur. */
export function bestIds(logits: Float32Array, n: number): Int32Array {
  const count = Math.min(Math.max(0, n), logits.length);
  if (count === 0) return new Int32Array(0);
  if (count === 1) return Int32Array.of(argmax(logits));
  return count <= few ? Int32Array.from(bestFew(logits, count)) : inOrder(atLeast(count, logits), logits).subarray(0, count);
}

/** The id of the highest logit; ties to the lowest id. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** 1 = best. How many logits come before this one, plus one. */
export function rankOf(logits: Float32Array, id: number): number {
  const own = logits[id];
  let before = 0;
  for (let other = 0; other < id; other++) if (logits[other] >= own) before++;
  for (let other = id + 1; other < logits.length; other++) if (logits[other] > own) before++;
  return before + 1;
}

/** Whether id a stands behind id b in the one order. */
export function behind(logits: Float32Array, a: number, b: number): boolean {
  return logits[a] < logits[b] || (logits[a] === logits[b] && a > b);
}

/** So many are kept in order faster than they are sorted afterwards. */
export const few = 64;

/** How many neighbouring ids share one of the `maxima` that bestFew takes: about 128 groups, but none smaller than 16. */
export function groupSize(V: number): number {
  return Math.max(16, Math.ceil(V / 128));
}

/** Where the few best logits stand while they are looked for; kept, because fresh memory costs more than finding them does. */
const room = new Float32Array(few);

/**
 * bestIds for at most `few` (and at most V), as a plain array. Who knows the highest logit of every group of groupSize(V) ids gives
 * them as `maxima`: as many groups as are asked for ids have a best one that is at least the `n`-th of all groups' best; nothing below
 * that needs a look, and most groups have nothing else.
 */
export function bestFew(logits: Float32Array, n: number, maxima: readonly number[] = [Infinity]): number[] {
  const size = maxima.length === 1 ? logits.length : groupSize(logits.length);
  const count = Math.min(n, logits.length);
  const ids: number[] = [];
  let worst = maxima.length < count ? -Infinity : lowestOfBest(maxima, count);
  let kept = 0;
  for (let group = 0; group < maxima.length; group++) {
    if (maxima[group] < worst) continue;
    const end = Math.min((group + 1) * size, logits.length);
    for (let id = group * size; id < end; id++) {
      const logit = logits[id];
      if (logit < worst || (logit === worst && kept === count)) continue; // equal: the lower id is already in
      let at = kept < count ? kept++ : count - 1;
      for (; at > 0 && room[at - 1] < logit; at--) {
        room[at] = room[at - 1];
        ids[at] = ids[at - 1];
      }
      room[at] = logit;
      ids[at] = id;
      if (kept === count) worst = room[count - 1];
    }
  }
  return ids;
}

/** The lowest of the best `count` values. */
function lowestOfBest(values: readonly number[], count: number): number {
  let kept = 0;
  for (let from = 0; from < values.length; from++) {
    const value = values[from];
    if (kept === count && value <= room[kept - 1]) continue;
    let at = kept < count ? kept++ : kept - 1;
    for (; at > 0 && room[at - 1] < value; at--) room[at] = room[at - 1];
    room[at] = value;
  }
  return room[kept - 1];
}

/** Bits of a digit: three digits make up the 32 bits of a logit. */
const digit = 11;
const values = 2 ** digit;

/** Ids and their keys, side by side: whole numbers that rise where logits fall. */
interface Keyed {
  readonly ids: Int32Array;
  readonly keys: Int32Array;
}

/** Where the sort works; kept, because fresh memory costs more than sorting does. */
let rooms: readonly [Keyed, Keyed] = [roomFor(0), roomFor(0)];

function roomFor(V: number): Keyed {
  return { ids: new Int32Array(V), keys: new Int32Array(V) };
}

/** The given ids (rising), best first. A radix sort, whose every pass keeps the order of equals: ties stay with the lower id. */
export function inOrder(ids: Int32Array, logits: Float32Array): Int32Array {
  const n = ids.length;
  if (rooms[0].ids.length < n) rooms = [roomFor(logits.length), roomFor(logits.length)];
  const [a, b] = rooms;
  a.ids.set(ids);
  const bits = bitsOf(logits);
  for (let at = 0; at < n; at++) a.keys[at] = keyOf(bits[ids[at]]);
  pass(a, b, n, 0);
  pass(b, a, n, digit);
  pass(a, b, n, 2 * digit);
  return b.ids.slice(0, n);
}

function bitsOf(logits: Float32Array): Int32Array {
  return new Int32Array(logits.buffer, logits.byteOffset, logits.length);
}

/** fp32 bits order like signed magnitudes. Unsigned, though kept in an Int32Array. */
function keyOf(bits: number): number {
  if (bits >= 0) return 0x7fffffff - bits;
  return bits === -(2 ** 31) ? 0x7fffffff : bits; // -0 and 0 are a tie
}

/** Ids of at least the best `count`, rising: the highest digit alone leaves out most of the others. */
function atLeast(count: number, logits: Float32Array): Int32Array {
  const highest = (bits: number): number => keyOf(bits) >>> (32 - digit);
  const bits = bitsOf(logits);
  const counts = new Int32Array(values);
  for (let id = 0; id < bits.length; id++) counts[highest(bits[id])]++;
  let last = 0;
  let n = counts[0];
  while (n < count) n += counts[++last];
  const ids = new Int32Array(n);
  for (let id = 0, at = 0; at < n; id++) if (highest(bits[id]) <= last) ids[at++] = id;
  return ids;
}

/** The first `n` of `from` into `to`, in the order of one digit of their keys. */
function pass(from: Keyed, to: Keyed, n: number, shift: number): void {
  const { ids, keys } = from;
  const { ids: toIds, keys: toKeys } = to;
  const places = new Int32Array(values + 1); // of a digit's value: how many keys have a lower one
  for (let at = 0; at < n; at++) places[((keys[at] >>> shift) & (values - 1)) + 1]++;
  for (let value = 0; value < values; value++) places[value + 1] += places[value];
  for (let at = 0; at < n; at++) {
    const key = keys[at];
    const place = places[(key >>> shift) & (values - 1)]++;
    toIds[place] = ids[at];
    toKeys[place] = key;
  }
}
