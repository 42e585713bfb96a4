import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { randomFrom } from "../../../src/base/random.ts";
import { hops, hopTime } from "./hop.ts";

describe("hops", () => {
  test("end at the chosen bar, never the same bar twice running, and last as long as asked", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 13 }),
        fc.nat(12),
        fc.double({ min: 150, max: 1200, noNaN: true }),
        fc.nat(),
        (weights, at, time, seed) => {
          const chosen = at % weights.length;
          const path = hops(weights, chosen, time, randomFrom(seed));
          expect(path[path.length - 1].row).toBe(chosen);
          for (let i = 1; i < path.length; i++) expect(path[i].row).not.toBe(path[i - 1].row);
          for (const { row } of path) expect(row >= 0 && row < weights.length).toBe(true);
          expect(path.reduce((sum, { stay }) => sum + stay, 0)).toBeCloseTo(time, 6);
        },
      ),
    );
  });

  test("look at probable bars more often", () => {
    const seen = [0, 0, 0];
    for (let seed = 0; seed < 200; seed++) for (const { row } of hops([0.8, 0.15, 0.05], 2, 900, randomFrom(seed)).slice(0, -1)) seen[row]++;
    expect(seen[0]).toBeGreaterThan(seen[1]);
    expect(seen[1]).toBeGreaterThan(seen[2] / 2);
  });

  test("are the same for the same seed, and one in no time", () => {
    expect(hops([0.5, 0.3, 0.2], 1, 800, randomFrom(4))).toEqual(hops([0.5, 0.3, 0.2], 1, 800, randomFrom(4)));
    expect(hops([0.5, 0.5], 1, 0, randomFrom(4))).toEqual([{ row: 1, stay: 0 }]);
  });

  test("take a share of a word's time, nothing when it is too short to follow", () => {
    expect(hopTime(4, true)).toBe(150);
    expect(hopTime(0.1, true)).toBe(1200);
    expect(hopTime(20, true)).toBe(0);
    expect(hopTime(20, false)).toBe(900);
  });
});
