import { describe, expect, it } from "vitest";
import { literalPattern, patternOf } from "./pattern.ts";
import { split } from "./split.ts";
import type { SplitBehavior } from "./split.ts";

const matches = (source: string, text: string): string[] => text.match(patternOf(source)!) ?? [];

describe("patterns in Oniguruma's dialect", () => {
  it("mean Unicode's classes", () => {
    expect(matches("\\s+", "a \u0085\ufeffb")).toEqual([" \u0085"]);
    expect(matches("[^\\s\\d]+", "a1\u0661\u00a0é")).toEqual(["a", "é"]);
    expect(matches("\\p{Lu}\\P{Lu}*", "AbCd")).toEqual(["Ab", "Cd"]);
  });

  it("may ignore case in a group", () => {
    expect(matches("(?i:'s|'re)", "It'S they'RE it'ſ")).toEqual(["'S", "'RE", "'ſ"]);
  });

  it("never give back what a possessive part has taken", () => {
    expect(matches("a++a", "aaaa")).toEqual([]);
    expect(matches("a+a", "aaaa")).toEqual(["aaaa"]);
    expect(matches("[^\\r\\n\\p{L}]?+\\p{L}++", "!ab cd")).toEqual(["!ab", " cd"]);
    expect(matches("(?:ab)*+abc|x", "ababcx")).toEqual(["x"]);
  });

  it("match a dot to all but a newline, and escapes to themselves", () => {
    expect(matches("a.", "a\ra\n")).toEqual(["a\r"]);
    expect(matches("\\-\\'\\/[\\-\\]]+", "-'/-]")).toEqual(["-'/-]"]);
  });

  it.each(["^a", "a$", "\\w+", "[[:alpha:]]", "[a&&b]", "(?>a)", "(?i)a", "\\p{N}{1,3}+", "(a", "a)", "*a", "\\Aa", "[a", "(a)\\1", "\\"])(
    "%s is left to the library",
    (source) => {
      expect(patternOf(source)).toBeUndefined();
    },
  );
});

describe("splitting", () => {
  const cases: [SplitBehavior, string[]][] = [
    ["removed", ["a", "b", "c"]],
    ["isolated", ["a", "-", "b", "-", "-", "c", "-"]],
    ["contiguous", ["a", "-", "b", "--", "c", "-"]],
    ["merged with previous", ["a-", "b-", "-", "c-"]],
    ["merged with next", ["a", "-b", "-", "-c", "-"]],
  ];
  it.each(cases)("with matches %s", (behavior, expected) => {
    expect(split("a-b--c-", literalPattern("-"), behavior)).toEqual(expected);
  });

  it("can treat what does not match as the match", () => {
    expect(split("ab12c", /\d+/gu, "removed", true)).toEqual(["12"]);
    expect(split("", /x/gu, "isolated")).toEqual([]);
    expect(split("ab", /x*/gu, "isolated")).toEqual(["ab"]);
  });
});
