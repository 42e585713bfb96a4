import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { distributionOf } from "../../../src/generation/distribution.ts";
import { divergence } from "../../../src/generation/divergence.ts";

vi.mock("../../engine/engine-client.ts", () => ({ divergence }));
const { contextSizes, distance, finding, pairs, sizeAt, stepOf } = await import("./comparison.ts");

const of = (...p: number[]) => distributionOf(Float32Array.from(p, Math.log));

describe("comparison", () => {
  const full = of(0.5, 0.25, 0.125, 0.125);
  const short = of(0.125, 0.125, 0.25, 0.5);

  test("distances are in bits", () => {
    // sum of p log2(p/q) = 0.5*2 + 0.25*1 - 0.125*1 - 0.125*2
    expect(distance(full, short).bits).toBeCloseTo(0.875, 5);
    expect(distance(full, short).entropyFull).toBeCloseTo(1.75, 5);
    expect(distance(full, full).bits).toBeCloseTo(0, 9);
  });

  test("pairs are the ones that matter to either side, by the full one's order", () => {
    const rows = pairs(full, short, String, 2);
    expect(rows.map(({ id }) => id)).toEqual([0, 3]);
    expect(rows[1].full).toBeCloseTo(0.125, 6);
    expect(rows[1].short).toBeCloseTo(0.5, 6);
    expect(pairs(full, short, String, 10)).toHaveLength(4);
  });

  test("findings", () => {
    expect(finding(0, full, full)).toBe("whole");
    expect(finding(3, full, full)).toBe("same");
    expect(finding(3, full, short)).toBe("changed");
    expect(finding(3, full, of(0.8, 0.1, 0.05, 0.05))).toBe("surer");
    expect(finding(3, full, of(0.3, 0.25, 0.25, 0.2))).toBe("lessSure");
  });

  test("sizes double up to all of the text, or all the model has", () => {
    expect(contextSizes(0, 256)).toEqual([]);
    expect(contextSizes(1, 256)).toEqual([1]);
    expect(contextSizes(11, 256)).toEqual([1, 2, 4, 8, 11]);
    expect(contextSizes(500, 16)).toEqual([1, 2, 4, 8, 16]);
  });

  test("the slider reaches both ends and goes one way", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8192 }), (most) => {
        const steps = 160;
        expect(sizeAt(0, steps, most)).toBe(1);
        expect(sizeAt(steps, steps, most)).toBe(most);
        let before = 0;
        for (let step = 0; step <= steps; step++) {
          const size = sizeAt(step, steps, most);
          expect(size).toBeGreaterThanOrEqual(before);
          before = size;
        }
        expect(stepOf(most, steps, most)).toBe(steps);
      }),
    );
  });
});
