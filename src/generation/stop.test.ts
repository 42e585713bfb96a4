import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { stopper } from "./stop.ts";

/** The definition: after every piece, look at all the text so far. */
function naive(pieces: readonly string[], stops: readonly string[]): { text: string; after: number } {
  let all = "";
  for (const [at, piece] of pieces.entries()) {
    all += piece;
    const hits = stops.map((stop) => all.indexOf(stop)).filter((hit) => hit >= 0);
    if (hits.length > 0) return { text: all.slice(0, Math.min(...hits)), after: at };
  }
  return { text: all, after: pieces.length };
}

function run(pieces: readonly string[], stops: readonly string[]): { text: string; after: number } {
  const stop = stopper(stops);
  let text = "";
  for (const [at, piece] of pieces.entries()) {
    const out = stop.push(piece);
    text += out.text;
    if (out.stopped) return { text, after: at };
  }
  return { text: text + stop.end(), after: pieces.length };
}

describe("stop strings", () => {
  test("are found across pieces, and nothing of them comes out", () => {
    expect(run(["Hello", " wor", "ld. T", "he E", "nd, really"], ["The End"])).toEqual({ text: "Hello world. ", after: 4 });
  });

  test("hold back only what may still become one", () => {
    const stop = stopper(["\n\nUser:"]);
    expect(stop.push("Hi.\n")).toEqual({ text: "Hi.", stopped: false });
    expect(stop.push("\nUse")).toEqual({ text: "", stopped: false });
    expect(stop.push("ful")).toEqual({ text: "\n\nUseful", stopped: false });
    expect(stop.end()).toBe("");
  });

  test("equal the naive definition on small alphabets, where they overlap in every way", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 4 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 5 }), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 12 }), stops, (pieces, strings) => {
        expect(run(pieces, strings)).toEqual(naive(pieces, strings));
      }),
      { numRuns: 3000 },
    );
  });

  test("refuse an empty one", () => {
    expect(() => stopper(["ok", ""])).toThrow(VitrineError);
  });
});
