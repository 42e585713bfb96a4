import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { piecesOf } from "./pieces.ts";
import type { PieceSource } from "./pieces.ts";

const encoder = new TextEncoder();
const token = (bytes: Uint8Array, special = false): PieceSource => ({ text: new TextDecoder().decode(bytes), bytes, special });
const word = (text: string): PieceSource => token(encoder.encode(text));

describe("piecesOf", () => {
  test("leaves words as they are", () => {
    expect(piecesOf([word("Once"), word(" upon")])).toEqual([
      { text: "Once", kind: "word" },
      { text: " upon", kind: "word" },
    ]);
  });

  test("puts a split character whole into its first token", () => {
    const smile = encoder.encode("🙂");
    const pieces = piecesOf([word("a"), token(smile.slice(0, 2)), token(smile.slice(2, 3)), token(smile.slice(3)), word("b")]);
    expect(pieces.map(({ text }) => text)).toEqual(["a", "🙂", "·", "·", "b"]);
    expect(pieces.map(({ kind }) => kind)).toEqual(["word", "word", "split", "split", "word"]);
  });

  test("keeps the sign for bytes that never become a character", () => {
    expect(piecesOf([token(Uint8Array.of(0xff)), word("x")]).map(({ text }) => text)).toEqual(["\u{fffd}", "x"]);
  });

  test("does not look for a character across a special token", () => {
    const smile = encoder.encode("🙂");
    const pieces = piecesOf([token(smile.slice(0, 2)), token(encoder.encode("<s>"), true), token(smile.slice(2))]);
    expect(pieces.map(({ kind }) => kind)).toEqual(["word", "special", "word"]);
  });

  test("cut anywhere, a text reads the same, one piece for each token", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), fc.array(fc.nat(24), { maxLength: 3 }), (text, cuts) => {
        const bytes = encoder.encode(text);
        const at = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].toSorted((a, b) => a - b);
        const tokens = at.slice(1).map((end, i) => token(bytes.slice(at[i], end)));
        const pieces = piecesOf(tokens);
        expect(pieces).toHaveLength(tokens.length);
        if (text.includes("\u{fffd}") || text.includes("\u{feff}")) return;
        const shown = pieces.filter(({ kind }) => kind === "word").map((piece) => piece.text);
        expect(shown.join("")).toBe(text);
      }),
    );
  });
});
