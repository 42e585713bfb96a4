/**
 * From the model's distribution to one choice. Order: penalties, logit bias, temperature, top-k, top-p, min-p.
 * Softmax and drawing live in distribution.ts; the loop around this in generate.ts.
 */
import { VitrineError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { distributionOf, distributionOver } from "./distribution.ts";
import type { CompleteDistribution } from "./distribution.ts";
import { exponential } from "./exponential.ts";
import { argmax, bestIds, few, inOrder } from "./select.ts";

export interface SamplingOptions {
  /** 0 = always the most probable (ties to the lowest id), 1 = the model's own, no upper limit. Default 1. */
  readonly temperature?: number;
  /** Keep only the k most probable. Default 0: all. */
  readonly topK?: number;
  /** Keep the fewest whose probability sums to at least p (Holtzman et al. 2020). Default 1: all. */
  readonly topP?: number;
  /** Keep those at least this share of the most probable one (Nguyen et al. 2024). Default 0: all. */
  readonly minP?: number;
  /** Divide positive and multiply negative logits of seen tokens (Keskar et al. 2019). Default 1: none. */
  readonly repetitionPenalty?: number;
  /** Subtract this times the count in the generated text (OpenAI). Default 0. */
  readonly frequencyPenalty?: number;
  /** Subtract this once if the token is in the generated text (OpenAI). Default 0. */
  readonly presencePenalty?: number;
  /** Added to the logits of these ids. -Infinity forbids one. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Same seed, same text. Default: drawn anew, and reported. */
  readonly seed?: number;
}

export interface Sampler {
  /**
   * What will be drawn from, given the model's `own` distribution. Repetition counts in `seen` (prompt and generated ids, as Hugging Face does),
   * frequency and presence in `generated` only (as OpenAI does). `own` itself comes back when nothing is asked of it.
   */
  filter(own: CompleteDistribution, seen: readonly number[], generated: readonly number[]): CompleteDistribution;
  /** One id, by one coin. */
  choose(distribution: CompleteDistribution, random: Random): number;
}

/** Checks the options once and makes the sampler. `banned` ids have no token and are never chosen. Throws VitrineError. */
export function sampler(options: SamplingOptions, banned: readonly number[] = []): Sampler {
  checkSampling(options);
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const adjust = adjustment(options, banned);

  const filter: Sampler["filter"] = (own, seen, generated) => {
    const logits = adjust(own.logits, seen, generated);
    if (temperature === 0) return distributionOver(Int32Array.of(argmax(logits)), logits, 0);
    if (topK > 0 || topP < 1 || minP > 0) return truncate(logits, temperature, topK, topP, minP);
    return temperature === 1 && logits === own.logits ? own : distributionOf(logits, temperature);
  };
  return { filter, choose: (distribution, random) => distribution.draw(random.next()) };
}

type Adjustment = (logits: Float32Array, seen: readonly number[], generated: readonly number[]) => Float32Array;

/** Penalties and bias on a copy of the logits; the same array back when there are none. */
function adjustment(options: SamplingOptions, banned: readonly number[]): Adjustment {
  const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = options;
  const biases = Object.entries(options.logitBias ?? {}).map(([id, bias]) => [Number(id), bias] as const);
  const counts = frequencyPenalty !== 0 || presencePenalty !== 0;
  if (repetitionPenalty === 1 && !counts && biases.length === 0 && banned.length === 0) return (logits) => logits;

  return (logits, seen, generated) => {
    const V = logits.length;
    const out = logits.slice();
    if (repetitionPenalty !== 1) for (const id of new Set(seen)) out[id] = out[id] > 0 ? out[id] / repetitionPenalty : out[id] * repetitionPenalty;
    if (counts) {
      for (const id of generated) out[id] -= frequencyPenalty;
      for (const id of new Set(generated)) out[id] -= presencePenalty;
    }
    for (const [id, bias] of biases) {
      if (id >= V) throw new VitrineError(`sampling: logit bias for token ${id}; this model's ids go from 0 to ${V - 1}`);
      out[id] += bias;
    }
    for (const id of banned) out[id] = -Infinity;
    return out;
  };
}

/** Top-k, then top-p among those, then min-p among those. Never empty: the most probable one always stays. */
function truncate(logits: Float32Array, temperature: number, topK: number, topP: number, minP: number): CompleteDistribution {
  const whole = distributionOf(logits, temperature); // also refuses NaN, before any ordering
  const limited = topK > 0 && topK < logits.length;
  if (!limited && topP === 1 && minP === 0) return whole;
  let kept: Int32Array;
  if (limited) {
    kept = bestIds(logits, topK);
    if (topP < 1) kept = nucleus(kept, distributionOver(kept, logits, temperature), topP);
  } else if (topP < 1) kept = nucleusOfAll(logits, whole, temperature, topP);
  else kept = atLeast(logits, minP, temperature);
  return distributionOver(dropTail(kept, logits, minP, temperature), logits, temperature);
}

/** The shortest beginning of `ids` (best first) whose mass reaches p; all of them when none does. */
function nucleus(ids: Int32Array, distribution: CompleteDistribution, topP: number): Int32Array {
  let mass = 0;
  for (let at = 0; at < ids.length; at++) {
    mass += distribution.probability(ids[at]);
    if (mass >= topP) return ids.subarray(0, at + 1);
  }
  return ids;
}

/** Steps of the histogram that finds the nucleus, and how far below the best it looks: e^-40 is beyond what fp64 sums notice. */
const bins = 1024;
const depth = 40;

/**
 * The nucleus of the whole vocabulary. Mostly a few ids are enough; flat distributions have nuclei of thousands. A histogram of mass over
 * logits tells how deep they reach, so that only ids down to there are put in order.
 */
function nucleusOfAll(logits: Float32Array, whole: CompleteDistribution, temperature: number, topP: number): Int32Array {
  const likeliest = nucleus(
    Int32Array.from(whole.top(few), ({ id }) => id),
    whole,
    topP,
  );
  if (likeliest.length < few) return likeliest;
  const best = logits[likeliest[0]];
  const mass = new Float64Array(bins);
  for (let id = 0; id < logits.length; id++) {
    const below = (best - logits[id]) / temperature;
    mass[Math.min(bins - 1, below * (bins / depth)) | 0] += exponential(-below);
  }
  const total = mass.reduce((sum, part) => sum + part, 0);
  let deepest = 0;
  let sum = mass[0];
  while (sum < topP * total * (1 + 1e-9) && deepest < bins - 1) sum += mass[++deepest]; // sums in another order may round the other way
  const lowest = deepest === bins - 1 ? -Infinity : best - ((deepest + 1.5) * depth * temperature) / bins; // half a bin more, for the same reason
  return nucleus(inOrder(downTo(logits, lowest), logits), whole, topP);
}

/** All ids whose probability is at least minP of the best one's, best first. */
function atLeast(logits: Float32Array, minP: number, temperature: number): Int32Array {
  return inOrder(downTo(logits, logits[argmax(logits)] + temperature * Math.log(minP)), logits);
}

/** Ids with logits of at least `lowest`, rising. */
function downTo(logits: Float32Array, lowest: number): Int32Array {
  let count = 0;
  for (let id = 0; id < logits.length; id++) if (logits[id] >= lowest) count++;
  const ids = new Int32Array(count);
  for (let id = 0, at = 0; at < count; id++) if (logits[id] >= lowest) ids[at++] = id;
  return ids;
}

/** Cuts ids (best first) that min-p or an infinite negative logit excludes. */
function dropTail(ids: Int32Array, logits: Float32Array, minP: number, temperature: number): Int32Array {
  const threshold = minP > 0 ? logits[ids[0]] + temperature * Math.log(minP) : -Infinity;
  let count = ids.length;
  while (count > 1 && (logits[ids[count - 1]] < threshold || logits[ids[count - 1]] === -Infinity)) count--;
  return ids.subarray(0, count);
}

/** Throws VitrineError naming the option, what came and what it may be. For doors that want to complain before a model is loaded. */
export function checkSampling(options: SamplingOptions): void {
  const check = (name: keyof SamplingOptions, good: (value: number) => boolean, expected: string): void => {
    const value = options[name] as number | undefined;
    if (value !== undefined && !(typeof value === "number" && good(value)))
      throw new VitrineError(`sampling: ${name} is ${String(value)}; expected ${expected}`);
  };
  check(
    "temperature",
    (t) => t >= 0 && t < Infinity,
    "a number of at least 0 (0 = always the most probable token, 1 = the model's own probabilities)",
  );
  check("topK", (k) => Number.isSafeInteger(k) && k >= 0, "a whole number of at least 0 (0 = keep all)");
  check("topP", (p) => p > 0 && p <= 1, "a number above 0 and at most 1 (1 = keep all)");
  check("minP", (p) => p >= 0 && p <= 1, "a number from 0 to 1 (0 = keep all)");
  check("repetitionPenalty", (r) => r > 0 && r < Infinity, "a number above 0 (1 = no penalty)");
  check("frequencyPenalty", Number.isFinite, "a finite number (0 = no penalty)");
  check("presencePenalty", Number.isFinite, "a finite number (0 = no penalty)");
  check("seed", (s) => Number.isSafeInteger(s) && s >= 0, "a whole number of at least 0");
  for (const [id, bias] of Object.entries(options.logitBias ?? {})) {
    if (!/^\d+$/.test(id)) throw new VitrineError(`sampling: logit bias for "${id}"; expected a token id (see vitrine tokenize)`);
    if (typeof bias !== "number" || !(Math.fround(bias) < Infinity)) {
      throw new VitrineError(`sampling: logit bias ${String(bias)} for token ${id}; expected a number, or -Infinity to forbid the token`);
    }
  }
}

/** A fresh seed, from the platform's own entropy, to be reported so that the text can be had again. */
export function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}
