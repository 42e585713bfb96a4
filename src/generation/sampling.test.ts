import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { randomFrom } from "../base/random.ts";
import { distributionOf } from "./distribution.ts";
import { checkSampling, drawSeed, sampler } from "./sampling.ts";
import type { SamplingOptions } from "./sampling.ts";

const someLogits = fc
  .array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 400 })
  .map((values) => Float32Array.from(values));

function filtered(logits: readonly number[] | Float32Array, options: SamplingOptions, seen: number[] = [], generated: number[] = []): number[] {
  const values = Float32Array.from(logits);
  const distribution = sampler(options).filter(distributionOf(values), seen, generated);
  return Array.from(values.keys(), (id) => distribution.probability(id));
}

/** Ids with any probability left. */
function kept(logits: readonly number[] | Float32Array, options: SamplingOptions): number[] {
  return filtered(logits, options).flatMap((probability, id) => (probability > 0 ? [id] : []));
}

/** Ids that the filters leave, best first, by the definition of each. */
function plainly(logits: Float32Array, { temperature = 1, topK = 0, topP = 1, minP = 0 }: SamplingOptions): number[] {
  const finite = logits.map((logit) => (logit === -Infinity ? -1e38 : logit)); // -Inf - -Inf is NaN
  let ids = Array.from(logits.keys()).sort((a, b) => finite[b] - finite[a] || a - b);
  if (topK > 0) ids = ids.slice(0, topK);
  if (topP < 1) {
    const among = topK > 0 ? Float32Array.from(logits.keys(), (id) => (ids.includes(id) ? logits[id] : -Infinity)) : logits;
    const distribution = distributionOf(among, temperature);
    let mass = 0;
    const last = ids.findIndex((id) => (mass += distribution.probability(id)) >= topP);
    if (last >= 0) ids = ids.slice(0, last + 1);
  }
  return ids.filter(
    (id, at) => at === 0 || (logits[id] !== -Infinity && logits[id] >= logits[ids[0]] + (minP > 0 ? temperature * Math.log(minP) : -Infinity)),
  );
}

/** Logits of given probabilities, and probabilities of given logits. */
const logs = (probabilities: number[]): number[] => probabilities.map(Math.log);
const probabilities = (logits: number[]): number[] => logits.map((_, id) => distributionOf(Float32Array.from(logits)).probability(id));

describe("filters", () => {
  test("none: the model's own distribution, the very same object", () => {
    const own = distributionOf(Float32Array.of(1, 2, 3));
    expect(sampler({ temperature: 1, topK: 0, topP: 1, minP: 0 }).filter(own, [1], [1])).toBe(own);
  });

  test("temperature 0 is one-hot on the highest logit, ties to the lowest id", () => {
    expect(filtered([1, 5, 5, 2], { temperature: 0 })).toEqual([0, 1, 0, 0]);
    expect(filtered([1, 5, 5, 2], { temperature: 0, topK: 2, topP: 0.1, minP: 1 })).toEqual([0, 1, 0, 0]);
  });

  test("temperature has no upper limit and may be as small as you like", () => {
    for (const probability of filtered([0, 1, 2, 3], { temperature: 1e9 })) expect(probability).toBeCloseTo(0.25, 6);
    expect(filtered([0, 1, 2, 3], { temperature: 1e-320 })).toEqual([0, 0, 0, 1]);
    expect(filtered([0, 1, 2, 3], { temperature: 1e-320, topK: 3 })).toEqual([0, 0, 0, 1]);
  });

  test("top-k keeps k, ties to the lower id, and more than there are is all", () => {
    expect(kept([1, 2, 2, 2, 0], { topK: 2 })).toEqual([1, 2]);
    expect(kept([1, 2, 2, 2, 0], { topK: 99 })).toEqual([0, 1, 2, 3, 4]);
  });

  test("top-p includes the one that crosses, and never empties", () => {
    const logits = logs([0.1, 0.5, 0.15, 0.25]);
    expect(kept(logits, { topP: 0.45 })).toEqual([1]);
    expect(kept(logits, { topP: 0.55 })).toEqual([1, 3]);
    expect(kept(logits, { topP: 0.8 })).toEqual([1, 2, 3]);
    expect(kept(logits, { topP: 1e-12 })).toEqual([1]);
  });

  test("min-p keeps what is at least that share of the best", () => {
    const logits = logs([0.1, 0.5, 0.15, 0.25]);
    expect(kept(logits, { minP: 0.49 })).toEqual([1, 3]);
    expect(kept(logits, { minP: 1 })).toEqual([1]);
    expect(kept([3, 3, 1], { minP: 1 })).toEqual([0, 1]);
  });

  test("go in order: top-p looks at what top-k left, after temperature", () => {
    const logits = logs([0.4, 0.3, 0.2, 0.1]);
    expect(kept(logits, { topP: 0.55 })).toEqual([0, 1]);
    expect(kept(logits, { topK: 2, topP: 0.55 })).toEqual([0]); // 0.4 / 0.7 = 0.571
    expect(kept(logits, { topK: 2, topP: 0.55, temperature: 10 })).toEqual([0, 1]);
  });

  test("keep the fewest, renormalise, and keep proportions, for any logits", () => {
    const options = { topK: fc.nat(50), topP: fc.double({ min: 0.01, max: 1, noNaN: true }), minP: fc.double({ min: 0, max: 1, noNaN: true }) };
    fc.assert(
      fc.property(someLogits, fc.constantFrom(0.5, 1, 3), fc.record(options), (logits, temperature, { topK, topP, minP }) => {
        const whole = distributionOf(logits, temperature);
        let order = whole.top(logits.length);
        if (topK > 0) order = order.slice(0, topK);
        const mass = order.reduce((sum, { probability }) => sum + probability, 0);
        const survivors = filtered(logits, { temperature, topK, topP, minP });
        const left = order.filter(({ id }) => survivors[id] > 0);
        expect(survivors.reduce((a, b) => a + b)).toBeCloseTo(1, 10);
        expect(left.length).toBeGreaterThan(0);
        expect(order.slice(0, left.length)).toEqual(left); // a beginning of the order, nothing else
        expect(survivors.filter((probability) => probability > 0).length).toBe(left.length);

        const leftMass = left.reduce((sum, { probability }) => sum + probability, 0);
        for (const { id, probability } of left) expect(survivors[id]).toBeCloseTo(probability / leftMass, 10);
        const last = left[left.length - 1];
        if (left.length > 1) {
          expect((leftMass - last.probability) / mass).toBeLessThan(topP + 1e-9); // one fewer would not reach p
          expect(last.probability / left[0].probability).toBeGreaterThanOrEqual(minP - 1e-6);
        }
        const next = order[left.length];
        if (next !== undefined && next.probability > 1e-300) {
          expect(leftMass / mass >= topP - 1e-9 || next.probability / left[0].probability < minP + 1e-6).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("are those of the plain way: sort everything, walk down, stop", () => {
    const many = fc.record({
      some: fc.array(fc.oneof(fc.float({ min: -30, max: 30, noNaN: true }), fc.constantFrom(-Infinity, -0, 0, 7)), { minLength: 1, maxLength: 60 }),
      times: fc.integer({ min: 1, max: 50 }),
      shift: fc.constantFrom(0, 0, 1e-3, 0.37), // 0: many ties
    });
    const knobs = fc.record({
      temperature: fc.constantFrom(0.02, 0.5, 1, 3, 10),
      topP: fc.oneof(fc.constantFrom(0.25, 0.5, 0.95, 1), fc.double({ min: 1e-6, max: 1, noNaN: true })),
      minP: fc.constantFrom(0, 0, 1e-9, 0.05, 1),
      topK: fc.constantFrom(0, 0, 0, 70, 500),
    });
    fc.assert(
      fc.property(many, knobs, ({ some, times, shift }, options) => {
        const logits = Float32Array.from({ length: some.length * times }, (_, id) => some[(id * 7) % some.length] + shift * (id % times));
        const limited = options.topK > 0 && options.topK < logits.length;
        fc.pre(logits.some((logit) => logit !== -Infinity) && (limited || options.topP < 1 || options.minP > 0));
        const survivors = sampler(options).filter(distributionOf(logits), [], []);
        const ids = plainly(logits, options);
        expect(survivors.top(logits.length).map(({ id }) => id)).toEqual(ids);
        for (const id of [ids[0], ids[ids.length >> 1], ids[ids.length - 1]]) expect(survivors.rank(id)).toBe(ids.indexOf(id) + 1);
        expect(survivors.logits.filter((logit) => logit !== -Infinity).length).toBe(ids.length);
      }),
      { numRuns: 400 },
    );
  });

  test("the distribution after a filter agrees with itself", () => {
    fc.assert(
      fc.property(someLogits, fc.integer({ min: 1, max: 40 }), (logits, topK) => {
        const distribution = sampler({ topK, temperature: 0.5 }).filter(distributionOf(logits), [], []);
        const same = distributionOf(distribution.logits); // -Infinity where pruned
        for (let id = 0; id < logits.length; id++) {
          expect(distribution.probability(id)).toBeCloseTo(same.probability(id), 5);
          expect(distribution.rank(id)).toBe(same.rank(id));
        }
        expect(distribution.entropy()).toBeCloseTo(same.entropy(), 4);
        expect(distribution.rest(1)).toBeCloseTo(same.rest(1), 5);
        expect(distribution.top(3).map(({ id }) => id)).toEqual(same.top(Math.min(3, topK)).map(({ id }) => id));
      }),
      { numRuns: 200 },
    );
  });
});

describe("penalties and bias", () => {
  test("repetition divides positive and multiplies negative logits of all seen ids, once", () => {
    expect(filtered([2, -2, 1], { repetitionPenalty: 2 }, [0, 0, 1])).toEqual(probabilities([1, -4, 1]));
  });

  test("frequency counts, presence does not, and both look at generated ids only", () => {
    expect(filtered([2, 2, 2], { frequencyPenalty: 0.5 }, [2, 2, 2], [0, 0, 1])).toEqual(probabilities([1, 1.5, 2]));
    expect(filtered([2, 2, 2], { presencePenalty: 0.5 }, [2, 2, 2], [0, 0, 1])).toEqual(probabilities([1.5, 1.5, 2]));
  });

  test("bias lifts, and -Infinity forbids", () => {
    expect(filtered([2, 2, 2], { logitBias: { 1: 1 } })).toEqual(probabilities([2, 3, 2]));
    expect(filtered([2, 9, 2], { logitBias: { 1: -Infinity }, temperature: 0 })).toEqual([1, 0, 0]);
    expect(() => filtered([1, 2], { logitBias: { 0: -Infinity, 1: -Infinity } })).toThrow(/forbidden/);
    expect(() => filtered([1, 2], { logitBias: { 0: -Infinity, 1: -Infinity }, temperature: 0 })).toThrow(/forbidden/);
    expect(() => filtered([1, 2], { logitBias: { 2: 1 } })).toThrow(/ids go from 0 to 1/);
  });

  test("leave the model's own distribution alone", () => {
    const own = distributionOf(Float32Array.of(1, 2, 3));
    sampler({ repetitionPenalty: 3, frequencyPenalty: 1, logitBias: { 0: 5 } }).filter(own, [2], [2]);
    expect(Array.from(own.logits)).toEqual([1, 2, 3]);
  });

  test("ids without a token are never chosen", () => {
    const some = sampler({ temperature: 0 }, [2]);
    const own = distributionOf(Float32Array.of(1, 2, 3));
    expect(some.choose(some.filter(own, [], []), randomFrom(1))).toBe(1);
    expect(own.probability(2)).toBeGreaterThan(0.6);
  });
});

function choices(logits: Float32Array, seed: number): number[] {
  const some = sampler({});
  const random = randomFrom(seed);
  return Array.from({ length: 50 }, () => some.choose(distributionOf(logits), random));
}

describe("choosing", () => {
  const V = 40;
  const logits = Float32Array.from({ length: V }, (_, id) => 2 * Math.sin(id * 1.7));
  // 99.9th percentiles of chi-square; seeds are fixed, so this either always passes or always fails.
  const limit: Record<number, number> = { 39: 72.055, 9: 27.877 };

  test.each<[string, SamplingOptions]>([
    ["plain", {}],
    ["hot", { temperature: 3 }],
    ["top-k", { topK: 10, temperature: 0.8 }],
    ["penalised", { repetitionPenalty: 1.3, frequencyPenalty: 0.2 }],
  ])("%s follows the distribution (chi-square over 100,000 draws)", (_, options) => {
    const some = sampler(options);
    const distribution = some.filter(distributionOf(logits), [1, 2, 3], [3]);
    const random = randomFrom(20240623);
    const n = 100_000;
    const counts = new Float64Array(V);
    for (let i = 0; i < n; i++) counts[some.choose(distribution, random)]++;
    let chiSquare = 0;
    let categories = 0;
    for (let id = 0; id < V; id++) {
      const expected = n * distribution.probability(id);
      if (expected === 0) expect(counts[id]).toBe(0);
      else {
        chiSquare += (counts[id] - expected) ** 2 / expected;
        categories++;
      }
    }
    expect(chiSquare).toBeLessThan(limit[categories - 1]);
  });

  test("the same seed chooses the same ids, another seed others", () => {
    expect(choices(logits, 7)).toEqual(choices(logits, 7));
    expect(choices(logits, 7)).not.toEqual(choices(logits, 8));
  });

  test("a drawn seed is one that the options accept", () => {
    const seeds = Array.from({ length: 8 }, drawSeed);
    for (const seed of seeds) checkSampling({ seed });
    expect(new Set(seeds).size).toBeGreaterThan(1);
  });
});

describe("bad options are refused with the cure", () => {
  test.each<[SamplingOptions, RegExp]>([
    [{ temperature: -0.1 }, /temperature is -0.1; expected a number of at least 0/],
    [{ temperature: NaN }, /temperature is NaN/],
    [{ temperature: Infinity }, /temperature is Infinity/],
    [{ temperature: "hot" as unknown as number }, /temperature is hot/],
    [{ topK: -1 }, /topK is -1; expected a whole number/],
    [{ topK: 2.5 }, /topK is 2.5/],
    [{ topP: 0 }, /topP is 0; expected a number above 0 and at most 1/],
    [{ topP: 1.01 }, /topP/],
    [{ minP: -0.1 }, /minP/],
    [{ minP: 1.5 }, /minP/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty/],
    [{ frequencyPenalty: NaN }, /frequencyPenalty/],
    [{ presencePenalty: Infinity }, /presencePenalty/],
    [{ seed: 1.5 }, /seed is 1.5; expected a whole number/],
    [{ seed: -1 }, /seed/],
    [{ logitBias: { 3: NaN } }, /logit bias NaN for token 3/],
    [{ logitBias: { 3: Infinity } }, /logit bias Infinity/],
    [{ logitBias: { 3: 1e39 } }, /logit bias/],
    [{ logitBias: { the: 1 } as Record<number, number> }, /logit bias for "the"/],
  ])("%j", (options, message) => {
    expect(() => sampler(options)).toThrow(message);
    expect(() => sampler(options)).toThrow(VitrineError);
  });
});
