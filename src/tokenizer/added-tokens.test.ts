import { describe, expect, it } from "vitest";
import { addedTokenFinder } from "./added-tokens.ts";
import { plainSpecial } from "./vocabulary.ts";
import type { AddedToken } from "./vocabulary.ts";

function find(tokens: readonly AddedToken[], text: string, special = true): (string | number)[] {
  const found: (string | number)[] = [];
  addedTokenFinder(tokens).find(
    text,
    special,
    (stretch) => found.push(stretch),
    (id) => found.push(id),
  );
  return found;
}

describe("added tokens", () => {
  it("are found leftmost, the longest where several begin together", () => {
    const tokens = [plainSpecial(1, "<a>"), plainSpecial(2, "<a><b>"), plainSpecial(3, "a.c")];
    expect(find(tokens, "x<a><b><a>y abc a.c")).toEqual(["x", 2, 1, "y abc ", 3]);
    expect(find(tokens, "")).toEqual([]);
    expect(find([], "x")).toEqual(["x"]);
  });

  it("swallow white space on the sides that ask for it", () => {
    expect(find([{ ...plainSpecial(1, "|"), leftStrip: true }], "a \n| b")).toEqual(["a", 1, " b"]);
    expect(find([{ ...plainSpecial(1, "|"), rightStrip: true }], "a | \u00a0b | ")).toEqual(["a ", 1, "b ", 1]);
    expect(find([{ ...plainSpecial(1, "|"), leftStrip: true, rightStrip: true }], " | | ")).toEqual([1, 1]);
  });

  it("stay text where a word touches them, if they ask for single words", () => {
    const token = { ...plainSpecial(1, "cat"), singleWord: true };
    expect(find([token], "cat cats concat cat! écat 𝒜cat")).toEqual([1, " cats concat ", 1, "! écat 𝒜cat"]);
  });

  it("that are special stay text when special tokens are meant literally", () => {
    expect(find([plainSpecial(1, "<s>"), { ...plainSpecial(2, "<t>"), special: false }], "<s><t>", false)).toEqual(["<s>", 2]);
  });
});
