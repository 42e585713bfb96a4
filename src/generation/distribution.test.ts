import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { distributionOf, retemper } from "./distribution.ts";

const someLogits = fc
  .array(fc.float({ min: -60, max: 60, noNaN: true }), { minLength: 1, maxLength: 600 })
  .map((values) => Float32Array.from(values));

describe("softmax of the lecture", () => {
  const names = ["Dumbledore", "Flitwick", "McGonagall", "Quirrell", "Snape", "Sprout", "Trelawney"];
  const logits = [-0.8, -5.0, 0.5, 1.5, 3.4, -2.3, 2.5];
  const snape = names.indexOf("Snape");

  test("gives the seven probabilities", () => {
    const distribution = distributionOf(Float32Array.from(logits));
    const shown = names.map((_, id) => distribution.probability(id).toFixed(4));
    expect(shown).toEqual(["0.0092", "0.0001", "0.0338", "0.0918", "0.6136", "0.0021", "0.2495"]);
  });

  test("follows the dials as they are moved, then the temperature", () => {
    const moved = Float32Array.from(logits);
    const moves: [string, number, string][] = [
      ["Trelawney", 4.0, "0.3284"],
      ["Snape", 4.2, "0.5211"],
      ["McGonagall", 4.0, "0.3686"],
      ["Dumbledore", 6.0, "0.1142"],
      ["Snape", 9.9, "0.9747"],
    ];
    for (const [name, logit, expected] of moves) {
      moved[names.indexOf(name)] = logit;
      expect(distributionOf(moved.slice()).probability(snape).toFixed(4)).toBe(expected);
    }
    const byTemperature: [number, string][] = [[4, "0.4929"], [10, "0.2675"], [2, "0.7907"], [5, "0.4171"], [1, "0.9747"], [7, "0.3301"]]; // prettier-ignore
    for (const [temperature, expected] of byTemperature) expect(distributionOf(moved, temperature).probability(snape).toFixed(4)).toBe(expected);
  });
});

describe("a distribution", () => {
  test("sums to 1 and does not care about a shift of all logits", () => {
    fc.assert(
      fc.property(someLogits, fc.integer({ min: -1000, max: 1000 }), (logits, shift) => {
        const whole = logits.map((x) => Math.round(x * 64) / 64); // so that the shift is exact in fp32
        const a = distributionOf(whole);
        const b = distributionOf(whole.map((x) => x + shift));
        let sum = 0;
        for (let id = 0; id < whole.length; id++) {
          sum += a.probability(id);
          expect(b.probability(id)).toBeCloseTo(a.probability(id), 12);
        }
        expect(sum).toBeCloseTo(1, 12);
      }),
    );
  });

  test("agrees with itself: logprob, rank, top, rest and entropy", () => {
    fc.assert(
      fc.property(someLogits, fc.constantFrom(0.3, 1, 2.5), (logits, temperature) => {
        const distribution = distributionOf(logits, temperature);
        const all = distribution.top(logits.length);
        let mass = 0;
        let bits = 0;
        all.forEach(({ id, logit, probability }, at) => {
          expect(distribution.rank(id)).toBe(at + 1);
          expect(probability).toBe(distribution.probability(id));
          expect(Math.exp(distribution.logprob(id))).toBeCloseTo(probability, 12);
          expect(logit).toBeCloseTo(logits[id] / temperature, 4);
          if (at > 0) expect(probability).toBeLessThanOrEqual(all[at - 1].probability);
          if (probability > 0) bits -= probability * Math.log2(probability);
          mass += probability;
          if (at < 5) expect(distribution.rest(at + 1)).toBeCloseTo(1 - mass, 10);
        });
        expect(distribution.entropy()).toBeCloseTo(bits, 8);
      }),
      { numRuns: 200 },
    );
  });

  test("does not overflow, and underflows to exactly nothing", () => {
    const distribution = distributionOf(Float32Array.of(3e38, -3e38, 3e38, -Infinity));
    expect([0, 1, 2, 3].map((id) => distribution.probability(id))).toEqual([0.5, 0, 0.5, 0]);
    expect(distribution.logprob(3)).toBe(-Infinity);
    expect(distribution.entropy()).toBe(1);
    for (const coin of [0, 0.49, 0.5, 0.999999999999]) expect([0, 2]).toContain(distribution.draw(coin));
  });

  test("draws the id at which the running sum passes the coin, whatever the block", () => {
    const logits = Float32Array.from({ length: 1000 }, (_, id) => Math.sin(id) * 3);
    const distribution = distributionOf(logits);
    let before = 0;
    for (let id = 0; id < logits.length; id++) {
      const probability = distribution.probability(id);
      expect(distribution.draw(before + probability / 2)).toBe(id);
      before += probability;
    }
  });

  test.each([
    [[1, NaN, 2], /token 1 is NaN/],
    [[1, Infinity], /token 1 is Infinity/],
    [[NaN], /NaN/],
    [[-Infinity, -Infinity], /all 2 tokens are forbidden/],
  ])("refuses %j", (logits, message) => {
    expect(() => distributionOf(Float32Array.from(logits))).toThrow(message);
    expect(() => distributionOf(Float32Array.from(logits))).toThrow(VitrineError);
  });

  test("refuses an id outside the vocabulary", () => {
    const distribution = distributionOf(Float32Array.of(1, 2));
    for (const id of [-1, 2, 0.5, NaN]) expect(() => distribution.probability(id)).toThrow(/from 0 to 1/);
  });
});

describe("temperature on a truncated distribution", () => {
  test("p^(1/T) renormalised over the top N equals softmax(logits / T) restricted to the same N", () => {
    fc.assert(
      fc.property(someLogits, fc.integer({ min: 1, max: 30 }), fc.double({ min: 0.2, max: 20, noNaN: true }), (logits, n, temperature) => {
        const top = distributionOf(logits).top(n).filter(({ probability }) => probability > 1e-300); // prettier-ignore
        const tempered = distributionOf(logits, temperature);
        const mass = top.reduce((sum, { id }) => sum + tempered.probability(id), 0);
        for (const { id, probability } of retemper(top, temperature))
          expect(Math.abs(probability - tempered.probability(id) / mass)).toBeLessThan(1e-6);
      }),
    );
  });

  test("T = 0 is one-hot on the first favourite", () => {
    const top = [0.2, 0.4, 0.4].map((probability, id) => ({ id, logit: 0, probability }));
    expect(retemper(top, 0).map(({ probability }) => probability)).toEqual([0, 1, 0]);
    expect(() => retemper(top, -1)).toThrow(VitrineError);
  });
});
