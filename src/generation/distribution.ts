/**
 * A probability distribution over the vocabulary, always complete for a local model.
 * Softmax in fp64, shifted by the largest logit so it cannot overflow. Nothing is computed before it is asked for.
 * Which ids may be chosen at all (top-k and the like) is sampling.ts; picking out the best ids is select.ts.
 */
import { VitrineError } from "../base/errors.ts";
import { exponential } from "./exponential.ts";
import { behind, bestFew, bestIds, few, groupSize, rankOf } from "./select.ts";

export interface Candidate {
  readonly id: number;
  readonly logit: number;
  readonly probability: number;
}

export interface Distribution {
  /** (V,) logits it was made from; -Infinity where a filter pruned. For a remote one, undefined. */
  readonly logits: Float32Array | undefined;
  probability(id: number): number;
  logprob(id: number): number;
  /** 1 = most probable; ties go to the lower id. */
  rank(id: number): number;
  /** The n most probable, best first, ties to the lower id. Fewer when no more are left. */
  top(n: number): Candidate[];
  /** Probability mass not in top(n). */
  rest(n: number): number;
  /** In bits. */
  entropy(): number;
}

/** A distribution that knows all V probabilities, so that it can be drawn from. */
export interface CompleteDistribution extends Distribution {
  readonly logits: Float32Array;
  /** The id at which the running sum of probabilities passes `coin`, a number in [0, 1). Never an id of probability 0. */
  draw(coin: number): number;
}

/**
 * softmax(logits / temperature) over logits (V,), which the distribution keeps: do not write to them afterwards.
 * -Infinity is probability 0. Throws VitrineError for NaN, +Infinity, or when nothing is left.
 */
export function distributionOf(logits: Float32Array, temperature = 1): CompleteDistribution {
  return new Softmax(logits, temperature);
}

/** All probability on the `ids` (best first), in the proportions of softmax(logits / temperature). For sampling.ts. */
export function distributionOver(ids: Int32Array, logits: Float32Array, temperature: number): CompleteDistribution {
  return new Truncated(ids, logits, temperature);
}

/**
 * What temperature T makes of a truncated distribution: p^(1/T), renormalised over the ones given.
 * Equals softmax(logits / T) restricted to the same ids, so it works where only an API's top N is known.
 * T = 0 puts everything on the first most probable one. Keeps the order; throws VitrineError when T is below 0 or not a number.
 */
export function retemper(top: readonly Candidate[], temperature: number): Candidate[] {
  if (!(temperature >= 0)) throw new VitrineError(`retemper: temperature ${temperature}; expected a number of at least 0`);
  const max = top.reduce((most, candidate) => Math.max(most, candidate.probability), 0);
  const first = top.findIndex((candidate) => candidate.probability === max);
  const weights = top.map(({ probability }, at) => {
    if (temperature === 0) return at === first ? 1 : 0;
    return probability === 0 ? 0 : Math.exp(Math.log(probability / max) * inverse(temperature));
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return top.map((candidate, at) => ({ ...candidate, probability: total === 0 ? 0 : weights[at] / total }));
}

/** 1 / T, but never infinite: the best logit's distance from itself, 0, times this must stay 0. */
function inverse(temperature: number): number {
  return Math.min(1 / temperature, Number.MAX_VALUE);
}

/** Probabilities are summed in blocks, so that drawing walks V / blockSize sums and one block instead of V exponentials. */
const blockSize = 256;

class Softmax implements CompleteDistribution {
  readonly #raw: Float32Array;
  readonly #inverse: number;
  readonly #maxima: readonly number[];
  readonly #max: number;
  #blocks: readonly number[] | undefined;
  #total = 0;
  #scaled: Float32Array | undefined;
  #best: ArrayLike<number> = [];

  constructor(logits: Float32Array, temperature: number) {
    this.#raw = logits;
    this.#inverse = inverse(temperature);
    this.#maxima = groupMaxima(logits);
    this.#max = largest(logits, this.#maxima);
  }

  get logits(): Float32Array {
    if (this.#inverse === 1) return this.#raw;
    return (this.#scaled ??= this.#raw.map((logit) => logit * this.#inverse));
  }

  probability(id: number): number {
    const total = this.#sum();
    return this.#weight(checkedId(id, this.#raw.length)) / total;
  }

  logprob(id: number): number {
    const total = this.#sum();
    return (this.#raw[checkedId(id, this.#raw.length)] - this.#max) * this.#inverse - Math.log(total);
  }

  rank(id: number): number {
    return rankOf(this.#raw, checkedId(id, this.#raw.length));
  }

  top(n: number): Candidate[] {
    if (this.#best.length < Math.min(n, this.#raw.length)) this.#best = n <= few ? bestFew(this.#raw, n, this.#maxima) : bestIds(this.#raw, n);
    const total = this.#sum();
    const candidates: Candidate[] = [];
    for (let at = 0; at < n && at < this.#best.length; at++) {
      const id = this.#best[at];
      candidates.push({ id, logit: this.#raw[id] * this.#inverse, probability: this.#weight(id) / total });
    }
    return candidates;
  }

  rest(n: number): number {
    return restOf(this.top(n));
  }

  /** H = log2(sum of weights) - mean of the weights' own log2. */
  entropy(): number {
    const total = this.#sum();
    let mean = 0;
    for (let id = 0; id < this.#raw.length; id++) {
      const weight = this.#weight(id);
      if (weight > 0) mean += weight * (this.#raw[id] - this.#max) * this.#inverse;
    }
    return Math.max(0, (Math.log(total) - mean / total) / Math.LN2);
  }

  draw(coin: number): number {
    const target = coin * this.#sum();
    const blocks = this.#blocks!;
    let passed = 0;
    let block = 0;
    let lastFull = 0; // where rounding sends a coin that runs past the end
    for (; block < blocks.length; block++) {
      if (blocks[block] > 0) lastFull = block;
      if (passed + blocks[block] > target) break;
      passed += blocks[block];
    }
    if (block === blocks.length) block = lastFull;
    let chosen = -1;
    const end = Math.min((block + 1) * blockSize, this.#raw.length);
    for (let id = block * blockSize; id < end; id++) {
      const weight = this.#weight(id);
      if (weight === 0) continue;
      chosen = id;
      passed += weight;
      if (passed > target) break;
    }
    return chosen;
  }

  #weight(id: number): number {
    return exponential((this.#raw[id] - this.#max) * this.#inverse);
  }

  /** The one pass over V exponentials. */
  #sum(): number {
    if (this.#blocks !== undefined) return this.#total;
    const raw = this.#raw;
    const max = this.#max;
    const inverse = this.#inverse;
    const blocks: number[] = [];
    for (let from = 0; from < raw.length; from += blockSize) {
      const end = Math.min(from + blockSize, raw.length);
      let sum = 0;
      for (let id = from; id < end; id++) sum += exponential((raw[id] - max) * inverse);
      blocks.push(sum);
      this.#total += sum;
    }
    this.#blocks = blocks;
    return this.#total;
  }
}

/** The few ids a filter left. Sorted, so top and rank are lookups. */
class Truncated implements CompleteDistribution {
  readonly #ids: Int32Array;
  readonly #raw: Float32Array;
  readonly #inverse: number;
  readonly #weights: Float64Array;
  readonly #total: number;
  #logits: Float32Array | undefined;

  constructor(ids: Int32Array, logits: Float32Array, temperature: number) {
    const max = logits[ids[0]];
    if (max === -Infinity) throw nothingLeft(logits.length);
    this.#ids = ids;
    this.#raw = logits;
    this.#inverse = temperature === 0 ? 1 : inverse(temperature); // at 0 only the favourite is left, whatever its logit
    this.#weights = new Float64Array(ids.length);
    let total = 0;
    for (let at = 0; at < ids.length; at++) {
      this.#weights[at] = exponential((logits[ids[at]] - max) * this.#inverse);
      total += this.#weights[at];
    }
    this.#total = total;
  }

  get logits(): Float32Array {
    if (this.#logits === undefined) {
      this.#logits = new Float32Array(this.#raw.length).fill(-Infinity);
      for (const id of this.#ids) this.#logits[id] = this.#logit(id);
    }
    return this.#logits;
  }

  probability(id: number): number {
    const place = this.#place(id);
    return place === undefined ? 0 : this.#weights[place] / this.#total;
  }

  logprob(id: number): number {
    const place = this.#place(id);
    if (place === undefined) return -Infinity;
    const shifted = this.#raw[id] - this.#raw[this.#ids[0]];
    return shifted * this.#inverse - Math.log(this.#total);
  }

  /** Pruned ids all have probability 0 and follow the kept ones in the order of their ids. */
  rank(id: number): number {
    const place = this.#place(id);
    if (place !== undefined) return place + 1;
    let keptBelow = 0;
    for (const kept of this.#ids) if (kept < id) keptBelow++;
    return this.#ids.length + id - keptBelow + 1;
  }

  top(n: number): Candidate[] {
    const candidates: Candidate[] = [];
    for (let at = 0; at < n && at < this.#ids.length; at++)
      candidates.push({ id: this.#ids[at], logit: this.#logit(this.#ids[at]), probability: this.#weights[at] / this.#total });
    return candidates;
  }

  rest(n: number): number {
    return n >= this.#ids.length ? 0 : restOf(this.top(n));
  }

  entropy(): number {
    let bits = 0;
    for (const weight of this.#weights) if (weight > 0) bits -= (weight / this.#total) * Math.log2(weight / this.#total);
    return Math.max(0, bits);
  }

  draw(coin: number): number {
    const target = coin * this.#total;
    let passed = 0;
    let chosen = this.#ids[0];
    for (let at = 0; at < this.#ids.length && this.#weights[at] > 0; at++) {
      chosen = this.#ids[at];
      passed += this.#weights[at];
      if (passed > target) break;
    }
    return chosen;
  }

  #logit(id: number): number {
    return this.#raw[id] * this.#inverse;
  }

  /** Where among the kept ids it stands: they are in order, so halving finds it. */
  #place(id: number): number | undefined {
    checkedId(id, this.#raw.length);
    let low = 0;
    let high = this.#ids.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (behind(this.#raw, id, this.#ids[middle])) low = middle + 1;
      else high = middle;
    }
    return this.#ids[low] === id ? low : undefined;
  }
}

function restOf(top: readonly Candidate[]): number {
  return Math.max(0, 1 - top.reduce((sum, candidate) => sum + candidate.probability, 0));
}

function checkedId(id: number, V: number): number {
  if (!Number.isInteger(id) || id < 0 || id >= V) throw new VitrineError(`distribution: token id ${id}; expected an integer from 0 to ${V - 1}`);
  return id;
}

/** The largest logit of every group, for bestFew. Throws VitrineError for NaN. A plain array: a typed one costs more than its numbers. */
function groupMaxima(logits: Float32Array): number[] {
  const size = groupSize(logits.length);
  const maxima: number[] = [];
  for (let from = 0; from < logits.length; from += size) {
    const end = Math.min(from + size, logits.length);
    let max = -Infinity;
    for (let id = from; id < end; id++) {
      const logit = logits[id];
      if (logit > max) max = logit;
      else if (logit !== logit) throw badLogit(id, logit);
    }
    maxima.push(max);
  }
  return maxima;
}

/** Throws VitrineError for +Infinity and when nothing is left. */
function largest(logits: Float32Array, maxima: readonly number[]): number {
  let max = -Infinity;
  for (let group = 0; group < maxima.length; group++) if (maxima[group] > max) max = maxima[group];
  if (max === Infinity) throw badLogit(logits.indexOf(Infinity), Infinity);
  if (max === -Infinity) throw nothingLeft(logits.length);
  return max;
}

function nothingLeft(V: number): VitrineError {
  return new VitrineError(`distribution: all ${V} tokens are forbidden (logit -Infinity); lift a logit bias so that one may be chosen`);
}

function badLogit(id: number, logit: number): VitrineError {
  const cause = "expected a finite number; the checkpoint's weights are damaged or overflow fp32, check the file against its source";
  return new VitrineError(`distribution: the model's logit for token ${id} is ${logit}; ${cause}`, { blame: "work" });
}
