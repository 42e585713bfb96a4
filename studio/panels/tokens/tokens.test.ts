/** Bytes, words and merges of the tokens panel, with the library's own tokenizers. */
import { existsSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { TokenFacts } from "../../engine/protocol.ts";
import { Tokenizers } from "../../engine/tokenizers.ts";
import { blobFolder, loadTokenizerOnly } from "../../../src/index.browser.ts";
import type { Tokenizer } from "../../../src/exports.ts";
import { chunkAt, joined, templateTokens } from "./merging.ts";
import { groupsOf, isSplit, partsOf } from "./utf8.ts";
import { wordsOf } from "./words.ts";

const folder = "../shared/data/stories260K";
const missing = !existsSync(folder);
const files = missing ? [] : ["config.json", "tokenizer.json"].map((name) => new File([readFileSync(`${folder}/${name}`)], name));
let llama: Tokenizer;
let tokenizers: Tokenizers;
beforeAll(async () => {
  if (missing) return;
  llama = await loadTokenizerOnly(blobFolder("stories260K", files));
  tokenizers = new Tokenizers(
    () => llama,
    () => new URL("none:"),
  );
});

const bytesOf = (tokens: readonly TokenFacts[]): Uint8Array[] => tokens.map(({ bytes }) => bytes);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = fc.array(fc.constantFrom("a", "the", " ", "\n", "é", "東", "京", "👩", "\u200d", "👧", "ש", "0", "{"), { maxLength: 30 }).map((all) => all.join("")); // prettier-ignore

describe("characters in the bytes of pieces", () => {
  test("東京 in five pieces", () => {
    const [east, capital] = [utf8("東"), utf8("京")];
    const parts = partsOf([utf8("a"), east.slice(0, 1), east.slice(1), capital.slice(0, 2), capital.slice(2)]);
    expect(parts.map((own) => own.map(({ character, from, to, of }) => `${character}${from}-${to}/${of}`))).toEqual([
      ["a1-1/1"],
      ["東1-1/3"],
      ["東2-3/3"],
      ["京1-2/3"],
      ["京3-3/3"],
    ]);
    expect(parts.flat().map(isSplit)).toEqual([false, true, true, true, true]);
  });

  test("give the text back, however it is cut", () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(80)), (text, cuts) => {
        const bytes = utf8(text);
        const at = [...new Set([0, bytes.length, ...cuts.filter((cut) => cut < bytes.length)])].sort((a, b) => a - b);
        const pieces = at.slice(1).map((end, i) => bytes.slice(at[i], end));
        const parts = partsOf(pieces);
        expect(parts.flat().filter(({ from }) => from === 1).map(({ character }) => character).join("")).toBe(text); // prettier-ignore
        expect(parts.map((own) => own.reduce((sum, { from, to }) => sum + to - from + 1, 0))).toEqual(pieces.map(({ length }) => length));
      }),
    );
  });

  test("groups hold every piece once, in order, and none is too long", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(utf8("a"), utf8("\n")), { maxLength: 400 }), fc.integer({ min: 1, max: 90 }), (pieces, most) => {
        const groups = groupsOf(pieces, most);
        expect(groups.flatMap(([first, end]) => pieces.slice(first, end))).toEqual(pieces);
        for (const [first, end] of groups) expect(end - first).toBeLessThanOrEqual(most);
      }),
    );
    expect(groupsOf(["a", "\n", "b"].map(utf8), 8)).toEqual([[0, 2], [2, 3]]); // prettier-ignore
  });

  test("bytes that are no character stand alone", () => {
    expect(partsOf([Uint8Array.of(0xe6, 0x41, 0x9d)]).flat().map(({ character, of }) => character + of)).toEqual(["\ufffd1", "A1", "\ufffd1"]); // prettier-ignore
  });
});

describe.skipIf(missing)("words (skipped without ../shared/data)", () => {
  test("are as many tokens as hold some of them", async () => {
    const text = "Once upon a cleverest time";
    const { tokens } = await tokenizers.cut({ kind: "open" }, text, 99);
    const { words, count } = wordsOf(text, bytesOf(tokens), 99);
    expect(count).toBe(5);
    expect(words.map(({ text: word }) => word)).toEqual(text.split(" "));
    expect(words[0].tokens).toBe(1);
    expect(words[3].tokens).toBeGreaterThan(1);
    expect(words.reduce((sum, word) => sum + word.tokens!, 0)).toBe(tokens.filter(({ special }) => !special).length);
  });

  test("are counted whatever the text, each at least one token", async () => {
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const { tokens } = await tokenizers.cut({ kind: "bytes" }, text, 999);
        const { words } = wordsOf(text, bytesOf(tokens), 99);
        for (const { text: word, tokens: count } of words) expect(count).toBe(utf8(word).length);
      }),
    );
  });

  test("have no counts beyond the tokens given, nor where the tokens spell another text", () => {
    expect(wordsOf("one two", [utf8("one"), utf8(" t")], 9).words.map(({ tokens }) => tokens)).toEqual([1, undefined]);
    expect(wordsOf("ONE", [utf8("one")], 9).words[0].tokens).toBeUndefined();
    expect(wordsOf("a b c", [], 2)).toMatchObject({ count: 3, words: [{ text: "a" }, { text: "b" }] });
  });
});

describe.skipIf(missing)("merges (skipped without ../shared/data)", () => {
  test("every token lies in the stretch it grew in, whose last step spells it", async () => {
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const { tokens, count } = await tokenizers.cut({ kind: "open" }, text, 999);
        const chunks = llama.merges(text);
        const before = templateTokens(chunks, tokens, count);
        expect(before).toBe(1);
        for (const [at, token] of tokens.entries()) {
          const chunk = chunkAt(chunks, at, before);
          if (at < before) expect(chunk).toBeUndefined();
          else expect(llama.idOf(chunk!.steps.at(-1)!.pieces[at - chunk!.first])).toBe(token.id);
        }
      }),
    );
  });

  test("a step joins the two pieces that stood there", () => {
    const steps = llama.merges("time").at(-1)!;
    for (let step = 1; step < steps.length; step++) expect(joined(steps, step)!.join("")).toBe(steps[step].pieces[steps[step].at]);
    expect(joined(steps, 0)).toBeUndefined();
  });
});

describe.skipIf(missing)("other tokenizers (skipped without ../shared/data)", () => {
  test("characters, bytes and files cut the same text", async () => {
    const text = "naïve 東京";
    const cut = async (choice: Parameters<Tokenizers["cut"]>[0]): Promise<number> => (await tokenizers.cut(choice, text, 3)).count;
    expect(await cut({ kind: "characters" })).toBe(8);
    expect(await cut({ kind: "bytes" })).toBe(utf8(text).length);
    expect(await cut({ kind: "files", name: "stories260K", files })).toBe(llama.encode(text).length);
    expect((await tokenizers.cut({ kind: "bytes" }, text, 3)).tokens.map(({ id }) => id)).toEqual([0x6e, 0x61, 0xc3]);
    expect((await tokenizers.cut({ kind: "characters" }, "", 3)).count).toBe(0);
  });

  test("files without a tokenizer are refused in plain words", async () => {
    await expect(tokenizers.cut({ kind: "files", name: "x", files: [files[0]] }, "a", 1)).rejects.toThrow(/tokenizer/);
  });
});
