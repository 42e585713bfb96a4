/**
 * The best n of many logits, without sorting all of them unless all are asked for.
 * One order everywhere: higher logit first, ties to the lower id.
 */

/**
 * Ids of the `n` highest logits (V,), best first. Fewer when V is smaller. NaN must not occur.
 * Who knows the highest logit of every group of groupSize(V) ids gives them as `maxima`: most groups then need no look.
 */
export function bestIds(logits: Float32Array, n: number, maxima?: Float32Array): Int32Array {
  const count = Math.min(Math.max(0, n), logits.length);
  if (count === 0) return new Int32Array(0);
  if (count === 1) return Int32Array.of(argmax(logits));
  if (count * 8 > logits.length) return inOrder(Int32Array.from(logits.keys()), logits).subarray(0, count);
  return maxima !== undefined && count <= few ? selectFew(logits, count, maxima) : selectSome(logits, count);
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
function behind(logits: Float32Array, a: number, b: number): boolean {
  return logits[a] < logits[b] || (logits[a] === logits[b] && a > b);
}

/** So many are kept in order faster than in a heap. */
const few = 64;

/** How many neighbouring ids share one of the `maxima` that bestIds takes: about 128 groups, but none smaller than 16. */
export function groupSize(V: number): number {
  return Math.max(16, Math.ceil(V / 128));
}

/**
 * The best `count` so far in order, each newcomer walking up to its place. As many groups as are asked for ids have a best one that is
 * at least the `count`-th of all groups' best: nothing below that needs a look, and most groups have nothing else.
 */
function selectFew(logits: Float32Array, count: number, maxima: Float32Array): Int32Array {
  const ids = new Int32Array(count);
  const best = new Float32Array(count);
  const size = groupSize(logits.length);
  const floor = maxima.length < count ? -Infinity : lowestOfBest(maxima, best);
  let kept = 0;
  let worst = floor;
  for (let group = 0; group < maxima.length; group++) {
    if (maxima[group] < worst) continue;
    const end = Math.min((group + 1) * size, logits.length);
    for (let id = group * size; id < end; id++) {
      const logit = logits[id];
      if (logit < worst || (logit === worst && kept === count)) continue; // equal: the lower id is already in
      let at = kept < count ? kept++ : count - 1;
      for (; at > 0 && best[at - 1] < logit; at--) {
        best[at] = best[at - 1];
        ids[at] = ids[at - 1];
      }
      best[at] = logit;
      ids[at] = id;
      if (kept === count) worst = best[count - 1];
    }
  }
  return ids;
}

/** The lowest of the best `room.length` values; `room` holds them afterwards, best first. */
function lowestOfBest(values: Float32Array, room: Float32Array): number {
  let kept = 0;
  for (let from = 0; from < values.length; from++) {
    const value = values[from];
    if (kept === room.length && value <= room[kept - 1]) continue;
    let at = kept < room.length ? kept++ : kept - 1;
    for (; at > 0 && room[at - 1] < value; at--) room[at] = room[at - 1];
    room[at] = value;
  }
  return room[kept - 1];
}

/** A heap of the best `count` so far with the worst of them on top: one pass, and few ids ever enter. */
function selectSome(logits: Float32Array, count: number): Int32Array {
  const heap = new Int32Array(count);
  for (let id = 0; id < count; id++) heap[id] = id;
  for (let at = (count >> 1) - 1; at >= 0; at--) sink(heap, logits, at, count);
  let worst = logits[heap[0]];
  for (let id = count; id < logits.length; id++) {
    if (logits[id] <= worst) continue; // equal: the lower id is already in
    heap[0] = id;
    sink(heap, logits, 0, count);
    worst = logits[heap[0]];
  }
  for (let end = count - 1; end > 0; end--) {
    const worstId = heap[0];
    heap[0] = heap[end];
    heap[end] = worstId;
    sink(heap, logits, 0, end);
  }
  return heap;
}

function sink(heap: Int32Array, logits: Float32Array, start: number, count: number): void {
  const id = heap[start];
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && behind(logits, heap[child + 1], heap[child])) child++;
    if (!behind(logits, heap[child], id)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = id;
}

/** 32 bits of logit and 21 bits of id share one fp64 exactly, and typed arrays sort numbers several times faster than a comparator. */
const idBits = 2 ** 21;

/** The given ids, best first. */
export function inOrder(ids: Int32Array, logits: Float32Array): Int32Array {
  if (logits.length > idBits) return ids.toSorted((a, b) => (behind(logits, a, b) ? 1 : -1));
  const values = new Float32Array(ids.length);
  for (let at = 0; at < ids.length; at++) values[at] = logits[ids[at]] + 0; // -0 and 0 are a tie
  const bits = new Uint32Array(values.buffer);
  const keys = new Float64Array(ids.length);
  for (let at = 0; at < ids.length; at++) {
    const descending = bits[at] >= 0x80000000 ? bits[at] : 0x7fffffff - bits[at]; // fp32 bits order like signed magnitudes
    keys[at] = descending * idBits + ids[at];
  }
  keys.sort();
  const sorted = new Int32Array(ids.length);
  for (let at = 0; at < ids.length; at++) sorted[at] = keys[at] % idBits;
  return sorted;
}
