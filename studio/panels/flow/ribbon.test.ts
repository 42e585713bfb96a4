import * as fc from "fast-check";
import { expect, test } from "vitest";
import { centreOf, inSight, ribbonOf } from "./ribbon.ts";

test("exactly the tokens that touch the stretch are in sight", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 5, max: 90 }), { maxLength: 60 }), fc.nat(3000), fc.nat(800), (widths, from, span) => {
      const ribbon = ribbonOf(widths);
      const [first, end] = inSight(ribbon, from, from + span);
      for (const i of widths.keys()) {
        const touches = ribbon.lefts[i] + widths[i] >= from && ribbon.lefts[i] <= from + span;
        expect(i >= first && i < end).toBe(touches);
        expect(centreOf(ribbon, i)).toBeLessThanOrEqual(ribbon.whole);
      }
    }),
  );
});

test("tokens stand side by side", () => {
  expect(ribbonOf([10, 20, 30])).toEqual({ lefts: [0, 11, 32], widths: [10, 20, 30], whole: 62 });
  expect(ribbonOf([])).toEqual({ lefts: [], widths: [], whole: 0 });
});
