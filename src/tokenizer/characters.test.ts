import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { characterTokenizer, characterTokenizerJson } from "./characters.ts";
import { mixedText, reader, wellFormed } from "./gpt2.testing.ts";
import { loadTokenizer } from "./load.ts";

describe("a character tokenizer", () => {
  it("numbers the distinct characters in the order of their code points", async () => {
    const tokenizer = await characterTokenizer("hello world\n");
    expect(tokenizer).toMatchObject({ kind: "characters", vocabularySize: 9, bosId: undefined, eosId: undefined });
    expect(tokenizer.encode("hello")).toEqual([4, 3, 5, 5, 6]);
    expect(tokenizer.token(1)).toEqual({ id: 1, text: " ", bytes: Uint8Array.of(32), special: false });
    expect(tokenizer.merges("he")).toHaveLength(2);
  });

  it("comes back to the text, whole and streamed, and from its saved form", async () => {
    await fc.assert(
      fc.asyncProperty(
        mixedText().filter((text) => text !== ""),
        async (text) => {
          const tokenizer = await characterTokenizer(text);
          const saved = await loadTokenizer(reader({ "tokenizer.json": characterTokenizerJson(text) }));
          const ids = tokenizer.encode(text);
          expect(ids).toHaveLength([...text].length);
          expect(tokenizer.decode(ids)).toBe(wellFormed(text));
          const decoder = saved.decoder();
          expect(ids.map((id) => decoder.push(id)).join("") + decoder.end()).toBe(wellFormed(text));
          expect(saved.encode(text)).toEqual(ids);
          expect(saved.kind).toBe("characters");
        },
      ),
      { numRuns: 500 },
    );
  });

  it("saves a file that Hugging Face's library reads to the same ids", async () => {
    const text = "Ein süßes Äpfelchen 😀 ▁ <0x41>\n";
    const theirs = new HuggingFaceTokenizer(JSON.parse(characterTokenizerJson(text)) as object, {});
    const ids = (await characterTokenizer(text)).encode(text);
    expect(theirs.encode(text).ids).toEqual(ids);
    expect(theirs.decode(ids)).toBe(text);
  });

  it("can have special tokens", async () => {
    const tokenizer = await characterTokenizer("ab", ["<|endoftext|>"]);
    expect(tokenizer.encode("a<|endoftext|>b")).toEqual([0, 2, 1]);
    expect(tokenizer).toMatchObject({ kind: "characters", eosId: 2, bosId: 2 });
  });

  it("names a character it has never seen, and refuses an empty text", async () => {
    const tokenizer = await characterTokenizer("ab");
    expect(() => tokenizer.encode("abc")).toThrow('the vocabulary has no token for the character "c" (U+0063)');
    await expect(characterTokenizer("")).rejects.toThrow(/the text is empty/);
  });
});
