import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cl100kPattern, cutCl100k, cutDigits, cutGpt2, gpt2Pattern } from "./cutters.ts";
import { mixedText } from "./gpt2.testing.ts";
import { patternOf } from "./pattern.ts";
import { split } from "./split.ts";
import { utf8Bytes, utf8Text } from "./utf8.ts";
import type { Cutter } from "./cutters.ts";

function pieces(cut: Cutter, text: string): string[] {
  const bytes = utf8Bytes(text);
  const out: string[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = cut(bytes, start, bytes.length);
    expect(end).toBeGreaterThan(start);
    out.push(utf8Text(bytes.subarray(start, end)));
    start = end;
  }
  return out;
}

describe.each([
  ["GPT-2's scanner", cutGpt2, gpt2Pattern],
  ["Llama 3's scanner", cutCl100k(3), cl100kPattern(3)],
  ["Qwen's scanner", cutCl100k(1), cl100kPattern(1)],
  ["the scanner for single digits", cutDigits(true), "\\p{N}"],
  ["the scanner for numbers", cutDigits(false), "\\p{N}+"],
] as const)("%s", (_, cut, source) => {
  it("cuts as its regular expression does, run by JavaScript's own engine", () => {
    const pattern = patternOf(source)!;
    fc.assert(
      fc.property(mixedText({ wellFormed: true }), (text) => {
        expect(pieces(cut, text)).toEqual(split(text, pattern, "isolated"));
      }),
      { numRuns: 3000 },
    );
  });
});

describe("GPT-2's scanner", () => {
  it("gives the last space of a run to the word after it, but no other white space", () => {
    expect(pieces(cutGpt2, "a   b")).toEqual(["a", "  ", " b"]);
    expect(pieces(cutGpt2, "a \n b")).toEqual(["a", " \n", " b"]);
    expect(pieces(cutGpt2, "a \nb")).toEqual(["a", " ", "\n", "b"]);
    expect(pieces(cutGpt2, "a\u00a0\u3000b  ")).toEqual(["a", "\u00a0", "\u3000", "b", "  "]);
  });

  it("knows contractions in small letters only, anywhere", () => {
    expect(pieces(cutGpt2, "we'll it's'S 're")).toEqual(["we", "'ll", " it", "'s", "'", "S", " '", "re"]);
  });

  it("takes U+0085 for white space and U+FEFF for none, unlike JavaScript", () => {
    expect(pieces(cutGpt2, "a\u0085b\ufeffc")).toEqual(["a", "\u0085", "b", "\ufeff", "c"]);
    expect(pieces(cutGpt2, "! \ufeff\u0085")).toEqual(["!", " \ufeff", "\u0085"]);
  });
});

describe("Llama 3's scanner", () => {
  it("takes contractions in either case, numbers by three, line ends with what precedes them", () => {
    expect(pieces(cutCl100k(3), "I'LL 12345\n\n  x!\r\n")).toEqual(["I", "'LL", " ", "123", "45", "\n\n", " ", " x", "!\r\n"]);
    expect(pieces(cutCl100k(3), "it'ſ")).toEqual(["it", "'ſ"]);
  });
});
