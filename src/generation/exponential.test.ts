import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exponential } from "./exponential.ts";

describe("e^x for x <= 0", () => {
  test("is Math.exp within 1e-15 wherever that is a normal number", () => {
    fc.assert(
      fc.property(fc.double({ min: -708, max: 0, noNaN: true }), (x) => {
        expect(Math.abs(exponential(x) / Math.exp(x) - 1)).toBeLessThan(1e-15);
      }),
      { numRuns: 3000 },
    );
  });

  test("stays so at every border between two steps of its table", () => {
    for (let k = 0; k < 65_000; k++) {
      const x = (-(k + 0.5) * Math.LN2) / 64;
      for (const near of [x, x * (1 - 1e-12), x * (1 + 1e-12)])
        if (Math.abs(exponential(near) / Math.exp(near) - 1) >= 1e-15) expect.fail(`e^${near} is ${exponential(near)}, expected ${Math.exp(near)}`);
    }
  });

  test("rises from 0 to exactly 1", () => {
    expect([0, -0, -1e-300, -Infinity, -1e308, -746].map(exponential)).toEqual([1, 1, 1, 0, 0, 0]);
    const values = Array.from({ length: 20_000 }, (_, i) => exponential(-750 + (750 * i) / 20_000));
    for (let i = 1; i < values.length; i++) expect(values[i]).toBeGreaterThanOrEqual(values[i - 1]);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  });
});
