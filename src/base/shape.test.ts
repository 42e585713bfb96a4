import { describe, expect, it } from "vitest";
import { elements, sameShape, showShape } from "./shape.ts";

describe("shapes", () => {
  it("count their elements; a scalar has one, an empty axis makes none", () => {
    expect(elements([4, 8, 64])).toBe(2048);
    expect(elements([])).toBe(1);
    expect(elements([5, 0, 7])).toBe(0);
  });

  it("are the same only with the same sizes on the same axes", () => {
    expect(sameShape([2, 3], [2, 3])).toBe(true);
    expect(sameShape([], [])).toBe(true);
    expect(sameShape([2, 3], [3, 2])).toBe(false);
    expect(sameShape([2, 3], [2, 3, 1])).toBe(false);
    expect(sameShape([2, 3, 1], [2, 3])).toBe(false);
  });

  it("are written in parentheses", () => {
    expect(showShape([4, 8, 64])).toBe("(4, 8, 64)");
    expect(showShape([])).toBe("()");
  });
});
