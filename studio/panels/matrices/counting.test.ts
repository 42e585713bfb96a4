import { expect, test } from "vitest";
import { termsAfter } from "./counting.ts";

test("the first six terms come one by one", () => {
  expect([0, 0.39, 0.41, 0.81, 2.39].map((seconds) => termsAfter(seconds, 0, 768))).toEqual([0, 0, 1, 2, 5]);
});

test("it never goes back, and all terms are there in less than six seconds", () => {
  let before = 0;
  for (let seconds = 0; seconds < 6; seconds += 0.016) {
    const now = termsAfter(seconds, 0, 12288);
    expect(now).toBeGreaterThanOrEqual(before);
    before = now;
  }
  expect(before).toBe(12288);
});

test("it goes on from where it stood, and stops at the end", () => {
  expect(termsAfter(0, 40, 64)).toBe(40);
  expect(termsAfter(1, 62, 64)).toBe(64);
});
