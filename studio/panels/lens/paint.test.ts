import { describe, expect, test } from "vitest";
import { contrast, paint } from "./paint.ts";

const inks = { "#fff": "rgb(255, 255, 255)", "#000": "rgb(0, 0, 0)" } as const;

describe.each(["dark", "light"] as const)("cells on %s", (theme) => {
  test("can be read at every probability", () => {
    for (let n = 0; n <= 1000; n++) {
      const { background, ink } = paint(n / 1000, theme);
      expect(contrast(background, inks[ink as "#fff"]), `p = ${n / 1000}`).toBeGreaterThanOrEqual(4.5);
    }
  });
  test("differ for different probabilities", () => {
    const seen = [0, 0.01, 0.1, 0.3, 0.6, 1].map((p) => paint(p, theme).background);
    expect(new Set(seen).size).toBe(seen.length);
  });
});

test("contrast is that of the guidelines", () => {
  expect(contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)")).toBeCloseTo(21, 5);
  expect(contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)")).toBeCloseTo(4.48, 2); // #777, the known case just below 4.5
});
