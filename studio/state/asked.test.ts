import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Asked, put } from "./asked.ts";

const asked = (value: string): Asked => new Asked([["a", value]]);

describe("parameters of an address", () => {
  test("what put() wrote is read again", () => {
    expect(asked(put(true)).flag("a")).toBe(true);
    expect(asked(put(false)).flag("a")).toBe(false);
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), (x) => {
        expect(asked(put(x)).number("a", -1e6, 1e6)).toBe(x + 0); // no −0
      }),
    );
    expect(asked(put([1, -2.5, 3])).numbers("a", -9, 9, 3)).toEqual([1, -2.5, 3]);
  });

  test.each(["", " 1", "1 ", "0x10", "1,5", "NaN", "Infinity", "--1", "1e999", "11", "-1", "１"])("%j is no number from 0 to 10", (text) =>
    expect(asked(text).number("a", 0, 10)).toBeUndefined(),
  );

  test("a list is there whole or not at all", () => {
    expect(asked("1_2_x").numbers("a", 0, 9, 5)).toBeUndefined();
    expect(asked("1_2_10").numbers("a", 0, 9, 5)).toBeUndefined();
    expect(asked("1_2_3").numbers("a", 0, 9, 2)).toBeUndefined();
    expect(asked("1_2.5").wholes("a", 0, 9, 5)).toBeUndefined();
  });

  test("one of a few, a flag, a text that is not too long", () => {
    expect(asked("constructor").one("a", ["x", "y"])).toBeUndefined();
    expect(asked("y").one("a", ["x", "y"])).toBe("y");
    expect(asked("true").flag("a")).toBeUndefined();
    expect(asked("x".repeat(201)).text("a")).toBeUndefined();
    expect(asked("x").text("__proto__")).toBeUndefined();
  });
});
