import { describe, expect, test } from "vitest";
import { grown, rowBeside } from "./rows.ts";

describe("up and down in the flow", () => {
  test.each([
    ["attention.1.7", 1, "mlp.1.7"],
    ["mlp.1.7", 1, "attention.2.7"],
    ["attention.1.7", -1, "mlp.0.7"],
    ["embedding.7", 1, "attention.0.7"],
    ["positions.7", 1, "attention.0.7"],
    ["final.7", -1, "mlp.2.7"],
    ["attention.0.7", -1, undefined],
    ["mlp.2.7", 1, undefined],
    ["final.7", 1, undefined],
  ] as const)("from %s by %i", (row, step, to) => expect(rowBeside(row, step, 3)?.row).toBe(to));
});

test("layers come a few at a time, the middle of the screen first, and go at once", () => {
  expect(grown([], [3, 4, 5, 6, 7], 2)).toEqual([5, 4]);
  expect(grown([5, 4], [3, 4, 5, 6, 7], 2)).toEqual([5, 4, 6, 3]);
  expect(grown([5, 4, 6, 3, 7], [30, 31], 2)).toEqual([30, 31]);
  expect(grown([5], [], 2)).toEqual([]);
});
