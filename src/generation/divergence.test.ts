import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { distributionOf } from "./distribution.ts";
import { divergence } from "./divergence.ts";

const between = (a: readonly number[], b: readonly number[]): number =>
  divergence(distributionOf(Float32Array.from(a)), distributionOf(Float32Array.from(b)));
const logits = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 5, maxLength: 5 });

describe("divergence", () => {
  test("is what the definition says for a coin", () => {
    const [p, q] = [0.9, 0.6];
    const expected = p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
    expect(between([Math.log(p), Math.log(1 - p)], [Math.log(q) + 3, Math.log(1 - q) + 3])).toBeCloseTo(expected, 6);
  });

  test("is never below 0, and 0 when nothing but a shift of the logits differs", () => {
    fc.assert(
      fc.property(logits, logits, (a, b) => {
        expect(between(a, b)).toBeGreaterThanOrEqual(0);
        const shifted = between(a, a.map((x) => x + 1)); // prettier-ignore
        expect(shifted).toBeLessThan(1e-5);
        expect(between(a, a)).toBe(0);
      }),
    );
  });

  test("what p rules out does not count, what q alone rules out is infinite", () => {
    expect(between([0, -Infinity], [0, 0])).toBeCloseTo(Math.log(2), 6);
    expect(between([0, 0], [0, -Infinity])).toBe(Infinity);
    expect(between([0, -Infinity], [5, -Infinity])).toBe(0);
  });

  test("refuses different vocabularies and distributions without logits", () => {
    expect(() => between([0, 1], [0, 1, 2])).toThrow(VitrineError);
    const full = distributionOf(Float32Array.of(1, 2));
    expect(() => divergence(full, { ...full, logits: undefined } as never)).toThrow("API");
  });
});
