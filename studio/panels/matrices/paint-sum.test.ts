import { expect, test } from "vitest";
import { strongestOf } from "./paint-sum.ts";

test("of many terms a pixel shows the strongest, with its sign", () => {
  expect([...strongestOf([1, -3, 2, 0.5, 0, -0.25], 3)]).toEqual([-3, 2, -0.25]);
});

test("of few terms several pixels show the same", () => {
  expect([...strongestOf([1, -2], 5)]).toEqual([1, 1, 1, -2, -2]);
});
