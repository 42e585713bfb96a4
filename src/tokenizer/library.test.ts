import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reader } from "./gpt2.testing.ts";
import { loadTokenizer } from "./load.ts";
import type { Tokenizer } from "./tokenizer.ts";

const load = (json: unknown): Promise<Tokenizer> => loadTokenizer(reader({ "tokenizer.json": JSON.stringify(json) }));
const special = (content: string, id: number): unknown => ({ id, content, special: true, normalized: false });

const pieces = ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##s", "the", "cat", ".", "don", "'", "t", ",", "i", "##n"];
const wordPiece = {
  added_tokens: [special("[UNK]", 0), special("[CLS]", 1), special("[SEP]", 2)],
  normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: { type: "BertProcessing", cls: ["[CLS]", 1], sep: ["[SEP]", 2] },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
  },
};

const unigram = {
  added_tokens: [special("<unk>", 0), special("</s>", 1)],
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  post_processor: null,
  decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  model: {
    type: "Unigram",
    unk_id: 0,
    vocab: [
      ["<unk>", 0],
      ["</s>", 0],
      ["▁the", -2],
      ["▁", -3],
      ["the", -4],
      ["re", -4],
      ["t", -6],
      ["h", -6],
      ["e", -5],
    ],
  },
};

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const decoder = tokenizer.decoder();
  return ids.map((id) => decoder.push(id)).join("") + decoder.end();
}

describe("WordPiece, by Hugging Face's library", () => {
  it("encodes with its template and decodes", async () => {
    const bert = await load(wordPiece);
    expect(bert).toMatchObject({ kind: "library", vocabularySize: 16, bosId: 1, eosId: 2 });
    expect(bert.encode("Unaffable cats.")).toEqual([1, 3, 4, 5, 8, 6, 9, 2]);
    expect(bert.encode("the", { template: false })).toEqual([7]);
    expect(bert.decode([1, 3, 4, 5, 8, 6, 9, 2])).toBe("unaffable cats.");
    expect(bert.decode([1, 7, 2], { special: true })).toBe("[CLS] the [SEP]");
    expect(bert.encode("[SEP]", { template: false })).toEqual([2]);
    expect(bert.encode("[SEP]", { template: false, special: false })).not.toContain(2);
    expect(bert.merges("the")).toEqual([]);
  });

  it("shows what a token adds in mid-sentence", async () => {
    const bert = await load(wordPiece);
    expect([7, 5, 9].map((id) => bert.token(id).text)).toEqual([" the", "able", "."]);
    expect(bert.token(1)).toMatchObject({ text: "[CLS]", special: true });
    expect(bert.idOf("##able")).toBe(5);
    expect(() => bert.token(16)).toThrow(/id 16 is outside the vocabulary/);
  });

  it("streams to what decode gives, though clean-up joins words across tokens", async () => {
    const bert = await load(wordPiece);
    fc.assert(
      fc.property(fc.array(fc.nat(15)), (ids) => {
        expect(streamed(bert, ids)).toBe(bert.decode(ids));
      }),
      { numRuns: 1000 },
    );
    expect(bert.decode([])).toBe("");
  });
});

describe("Unigram, by Hugging Face's library", () => {
  it("encodes, decodes and streams", async () => {
    const tokenizer = await load(unigram);
    expect(tokenizer).toMatchObject({ kind: "library", vocabularySize: 9 });
    expect(tokenizer.encode("there the")).toEqual([2, 5, 2]);
    expect(tokenizer.decode([2, 5, 2])).toBe("there the");
    expect(tokenizer.token(2).text).toBe(" the");
    fc.assert(
      fc.property(fc.array(fc.nat(8)), (ids) => {
        expect(streamed(tokenizer, ids)).toBe(tokenizer.decode(ids));
      }),
    );
  });
});

describe("WordLevel, by Hugging Face's library", () => {
  it("has its unknown token", async () => {
    const model = { type: "WordLevel", unk_token: "[UNK]", vocab: { "[UNK]": 0, the: 1, cat: 2 } };
    const tokenizer = await load({
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "WhitespaceSplit" },
      post_processor: null,
      decoder: null,
      model,
    });
    expect(tokenizer.encode("the dog the cat")).toEqual([1, 0, 1, 2]);
    expect(tokenizer.decode([1, 2])).toBe("the cat");
  });
});
