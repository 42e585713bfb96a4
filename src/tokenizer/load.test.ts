import { readFileSync, existsSync } from "node:fs";
import cl100k from "gpt-tokenizer/bpeRanks/cl100k_base";
import * as fc from "fast-check";
import { get_encoding } from "tiktoken";
import { describe, expect, it } from "vitest";
import { FormatError, VitrineError } from "../base/errors.ts";
import { cl100kPattern } from "./cutters.ts";
import { alphabetVocabulary, bpeFiles, mixedText, reader } from "./gpt2.testing.ts";
import { llamaTokenizerJson } from "./llama.testing.ts";
import { loadTokenizer } from "./load.ts";
import type { Files } from "./gpt2.testing.ts";
import type { Tokenizer } from "./tokenizer.ts";

const load = (files: Files): Promise<Tokenizer> => loadTokenizer(reader(files), "gpt2-small");
const alphabet = JSON.stringify(alphabetVocabulary);
const withPieces = (...pieces: string[]): string =>
  JSON.stringify({ ...alphabetVocabulary, ...Object.fromEntries(pieces.map((piece, i) => [piece, 256 + i])) });

/** A byte-level tokenizer.json with a handful of merges. */
function byteLevelJson(parts: Record<string, unknown> = {}, model: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    added_tokens: [{ id: 260, content: "<|end|>", special: true }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: { type: "ByteLevel" },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: { ...alphabetVocabulary, th: 256, the: 257, Ġthe: 258 }, merges: ["t h", ["th", "e"], "Ġ the"], ...model },
    ...parts,
  };
}
const loadJson = (json: unknown): Promise<Tokenizer> => load({ "tokenizer.json": JSON.stringify(json) });

describe("what is wrong with a file", () => {
  it.each<[Files]>([[{ "tokenizer.json": "{" }], [{ "tokenizer.json": "{}" }], [{ "vocab.json": "[]", "merges.txt": "" }]])(
    "is said with the folder it lies in: %j",
    async (files) => {
      const file = Object.keys(files)[0];
      await expect(load(files)).rejects.toThrow(new RegExp(`^gpt2-small: ${file}: `));
      await expect(load(files)).rejects.toThrow(FormatError);
    },
  );

  it("names the folder once where files are missing", async () => {
    await expect(load({})).rejects.toThrow(/^tokenizer: gpt2-small has neither/);
  });
});

describe("vocab.json with merges.txt", () => {
  it("may have no merges at all", async () => {
    const tokenizer = await load({ "vocab.json": '{"A": 0, "B": 1, "C": 2}', "merges.txt": "#version: 0.2\n" });
    expect(tokenizer).toMatchObject({ kind: "byte-level-bpe", vocabularySize: 3, bosId: undefined, eosId: undefined });
    expect(tokenizer.encode("CABBA")).toEqual([2, 0, 1, 1, 0]);
    expect(tokenizer.decode([2, 0])).toBe("CA");
    expect(() => tokenizer.encode("ABD")).toThrow('encode: the vocabulary has no token for the byte 68 (spelled "D")');
  });

  it("may have ids nobody uses, Windows line ends and rules about #", async () => {
    const tokenizer = await load({ "vocab.json": JSON.stringify({ ...alphabetVocabulary, "##": 300 }), "merges.txt": "#version: 0.2\r\n# #\r\n" });
    expect(tokenizer.vocabularySize).toBe(301);
    expect(tokenizer.encode("##")).toEqual([300]);
    expect(tokenizer.token(270)).toEqual({ id: 270, text: "", bytes: new Uint8Array(0), special: false });
    expect(tokenizer.decode([270, 300, 299])).toBe("##");
  });

  it("learns of special tokens from the files beside it", async () => {
    const files = { "vocab.json": withPieces("<end>", "<|endoftext|>"), "merges.txt": "", "added_tokens.json": '{"<new>": 400}' };
    const config = {
      eos_token: { content: "<end>" },
      bos_token: "<|endoftext|>",
      added_tokens_decoder: { "500": { content: "<pad>", special: true } },
    };
    const tokenizer = await load({ ...files, "tokenizer_config.json": JSON.stringify(config) });
    expect(tokenizer).toMatchObject({ eosId: 256, bosId: 257, vocabularySize: 501 });
    expect(tokenizer.encode("<pad><end><new><|endoftext|>")).toEqual([500, 256, 400, 257]);
    expect([256, 257, 400, 500].map((id) => tokenizer.token(id).special)).toEqual([true, true, false, true]);
    const mapped = await load({ ...files, "special_tokens_map.json": '{"eos_token": "<end>"}', "tokenizer_config.json": '{"add_eos_token": true}' });
    expect(mapped.encode("A")).toEqual([alphabetVocabulary.A, 256]);
  });
});

describe("tokenizer.json", () => {
  it("wins over vocab.json and merges.txt", async () => {
    const tokenizer = await load({ "tokenizer.json": JSON.stringify(byteLevelJson()), "vocab.json": "{" });
    expect(tokenizer.encode("the the<|end|>")).toEqual([257, 258, 260]);
    expect(tokenizer.token(260).special).toBe(true);
  });

  it("may put a space in front, keep digits apart, or leave pieces uncut", async () => {
    const spaced = await loadJson(byteLevelJson({ pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }));
    expect(spaced.encode("the")).toEqual([258]);
    const vocab = { ...alphabetVocabulary, "12": 256, a1: 257 };
    const merges = ["1 2", "a 1"];
    const digits = {
      type: "Sequence",
      pretokenizers: [
        { type: "Digits", individual_digits: true },
        { type: "ByteLevel", add_prefix_space: false },
      ],
    };
    const separate = await loadJson(byteLevelJson({ added_tokens: [], pre_tokenizer: digits }, { vocab, merges }));
    expect(separate.encode("a12")).toHaveLength(3);
    const uncut = await loadJson(
      byteLevelJson({ added_tokens: [], pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false } }, { vocab, merges }),
    );
    expect(uncut.encode("a12")).toEqual([alphabetVocabulary.a, 256]);
  });

  it("may take whole pieces from the vocabulary without merging them", async () => {
    const vocab = { ...alphabetVocabulary, xyz: 256 };
    const [merged, whole] = await Promise.all(
      [false, true].map((ignore_merges) => loadJson(byteLevelJson({ added_tokens: [] }, { vocab, merges: [], ignore_merges }))),
    );
    expect(merged.encode("xyz")).toHaveLength(3);
    expect(whole.encode("xyz xyzz")).toEqual([256, alphabetVocabulary["Ġ"], ...[..."xyzz"].map((c) => alphabetVocabulary[c])]);
    expect(whole.merges("xyz")).toEqual([[{ pieces: ["xyz"], at: -1, rank: -1 }]]);
  });

  it("finds added tokens in the normalised text where they ask for it", async () => {
    const added = { id: 270, content: "é!", normalized: true };
    const tokenizer = await loadJson(byteLevelJson({ added_tokens: [added], normalizer: { type: "NFC" } }));
    expect(tokenizer.encode("e\u0301!")).toEqual([270]);
    expect(tokenizer.decode([270])).toBe("é!");
  });

  it("in Llama 3's form gives the ids of tiktoken's cl100k_base", { timeout: 120_000 }, async () => {
    const files = bpeFiles(cl100k, {});
    const split = { type: "Split", pattern: { Regex: cl100kPattern(3) }, behavior: "Isolated", invert: false };
    const json = {
      added_tokens: [],
      pre_tokenizer: { type: "Sequence", pretokenizers: [split, { type: "ByteLevel", add_prefix_space: false, use_regex: false }] },
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        ignore_merges: true,
        vocab: JSON.parse(files["vocab.json"]) as unknown,
        merges: files["merges.txt"].trimEnd().split("\n").slice(1),
      },
    };
    const ours = await loadJson(json);
    expect(ours.kind).toBe("byte-level-bpe");
    const tiktoken = get_encoding("cl100k_base");
    fc.assert(
      fc.property(mixedText(), (text) => {
        expect(ours.encode(text)).toEqual(Array.from(tiktoken.encode_ordinary(text)));
      }),
      { numRuns: 3000 },
    );
    tiktoken.free();
  });
});

describe("bad files", () => {
  const llama = llamaTokenizerJson();
  const cases: [string, Files, RegExp][] = [
    ["no files", {}, /gpt2-small has neither tokenizer\.json nor vocab\.json with merges\.txt; fetch/],
    ["no merges", { "vocab.json": alphabet }, /has vocab\.json but not merges\.txt; put/],
    ["no vocabulary", { "merges.txt": "" }, /has merges\.txt but not vocab\.json; put/],
    ["broken JSON", { "vocab.json": '{"A": 0', "merges.txt": "" }, /vocab\.json: not valid JSON at line 1/],
    [
      "an array for a vocabulary",
      { "vocab.json": "[1]", "merges.txt": "" },
      /vocab\.json: an array of 1 came where an object \{\.\.\.\} was expected/,
    ],
    ["an empty vocabulary", { "vocab.json": "{}", "merges.txt": "" }, /the vocabulary is empty/],
    ["two pieces with one id", { "vocab.json": '{"A": 7, "B": 7}', "merges.txt": "" }, /vocab\.json: id 7 belongs to both "A" and "B"/],
    ["a negative id", { "vocab.json": '{"A": -1}', "merges.txt": "" }, /vocab\.json\["A"\]: -1 came where a token id/],
    ["a huge id", { "vocab.json": '{"A": 1e15}', "merges.txt": "" }, /vocab\.json\["A"\]: 1000000000000000 came where a token id/],
    [
      "a merge of an unknown piece",
      { "vocab.json": alphabet, "merges.txt": "#version: 0.2\nt h\n" },
      /merges\.txt line 2: the merge would make "th", which is not in the vocabulary/,
    ],
    ["a merge that names an unknown piece", { "vocab.json": withPieces("abc"), "merges.txt": "ab c\n" }, /merges\.txt line 1: the merge names "ab"/],
    ["a merge of three", { "vocab.json": alphabet, "merges.txt": "a b c" }, /merges\.txt line 1: "a b c" came where a rule/],
    ["a merge of one", { "vocab.json": alphabet, "merges.txt": "t h\nabc" }, /merges\.txt line 2: "abc" came/],
    ["no model", { "tokenizer.json": "{}" }, /tokenizer\.json: model: nothing came where an object/],
    [
      "a model of no known kind",
      { "tokenizer.json": '{"model": {"type": "Oracle", "vocab": {"a": 0}}}' },
      /model\.type: the text "Oracle" came where BPE, WordPiece, Unigram or WordLevel was expected/,
    ],
    [
      "no merges in the model",
      { "tokenizer.json": JSON.stringify({ ...llama, model: { ...(llama.model as object), merges: undefined } }) },
      /model\.merges: nothing came/,
    ],
    [
      "an added token at odds with the vocabulary",
      { "tokenizer.json": JSON.stringify({ ...llama, added_tokens: [{ id: 5, content: "<s>" }] }) },
      /"<s>" is added as id 5, but the vocabulary has it under id 1/,
    ],
    [
      "a template beyond the vocabulary",
      { "tokenizer.json": JSON.stringify({ ...llama, post_processor: { type: "BertProcessing", cls: ["x", 99999], sep: ["y", 1] } }) },
      /puts id 99999 around texts/,
    ],
    [
      "a config that is not an object",
      { "tokenizer.json": JSON.stringify(llama), "tokenizer_config.json": "3" },
      /tokenizer_config\.json: holds 3, expected a JSON object/,
    ],
  ];
  it.each(cases)("%s", async (_, files, message) => {
    const failure = await load(files).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(FormatError);
    expect((failure as Error).message).toMatch(message);
    expect((failure as Error).message).not.toContain("\n");
  });
});

/** The paths to every field of a JSON value, long lists and vocabularies only sampled. */
function paths(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [path, ...keys.slice(0, 12).flatMap((key) => paths((value as Record<string | number, unknown>)[key], [...path, key]))];
}

function changed(value: unknown, path: readonly (string | number)[], odd: unknown, remove: boolean): unknown {
  if (path.length === 0) return odd;
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<string | number, unknown>;
  const [key, ...rest] = path;
  if (rest.length === 0 && remove) delete copy[key];
  else copy[key] = changed(copy[key], rest, odd, remove);
  return copy;
}

describe("files nobody vouches for", () => {
  const oddValues: fc.Arbitrary<unknown> = fc.oneof(
    fc.constantFrom(
      null,
      true,
      0,
      -1,
      1.5,
      1e300,
      "",
      "BPE",
      "Unigram",
      "WordPiece",
      "Sequence",
      "ByteLevel",
      "▁",
      [],
      {},
      [[]],
      ["a"],
      { type: "Split" },
      { Regex: "(" },
      { String: "" },
    ),
    fc.jsonValue({ maxDepth: 2 }),
  );

  const wordPiece = {
    added_tokens: [{ id: 0, content: "[UNK]", special: true }],
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", cls: ["[UNK]", 0], sep: ["[UNK]", 0] },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: { "[UNK]": 0, the: 1, "##re": 2 },
    },
  };
  const unigram = {
    added_tokens: [],
    normalizer: { type: "Precompiled", precompiled_charsmap: "" },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
    post_processor: null,
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
    model: {
      type: "Unigram",
      unk_id: 0,
      vocab: [
        ["<unk>", 0],
        ["▁the", -1],
        ["re", -2],
        ["▁", -3],
      ],
    },
  };

  it.each([
    ["Llama's", llamaTokenizerJson({ merges: 20 })],
    ["byte-level", byteLevelJson({ normalizer: { type: "Replace", pattern: { Regex: "a+" }, content: "b" } })],
    ["WordPiece", wordPiece],
    ["Unigram", unigram],
  ])("%s tokenizer.json, changed anywhere, loads and works or says what is wrong", async (_, json) => {
    const change = fc.tuple(fc.constantFrom(...paths(json)), oddValues, fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 2 }), mixedText({ maxParts: 3 }), async (changes, text) => {
        let odd: unknown = json;
        for (const [path, value, remove] of changes) {
          try {
            odd = changed(odd, path, value, remove);
          } catch {
            // the path went with an earlier change
          }
        }
        const tokenizer = await loadJson(odd).catch((error: unknown) => {
          if (!(error instanceof FormatError)) throw error;
        });
        try {
          const ids = tokenizer?.encode(text) ?? [];
          tokenizer?.decode(ids);
          tokenizer?.merges(text);
          for (const id of ids) tokenizer?.token(id);
        } catch (error) {
          if (!(error instanceof VitrineError)) throw error;
        }
      }),
      { numRuns: Number(process.env.FUZZ ?? 600) },
    );
  });

  it("merges.txt and vocab.json of any text load or give a FormatError", async () => {
    const text = fc.oneof(fc.string(), fc.json(), fc.constantFrom(alphabet, '{"A":0}', "A B", "#version", "\n\n", "\ufeff{}"));
    await fc.assert(
      fc.asyncProperty(text, text, text, async (vocab, merges, config) => {
        try {
          await load({ "vocab.json": vocab, "merges.txt": merges, "tokenizer_config.json": config });
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe.skipIf(!existsSync("../shared/data/golden/nano-sort"))("nano-sort (skipped without ../shared/data)", () => {
  it("has three letters and no merges", async () => {
    const folder = "../shared/data/golden/nano-sort";
    const tokenizer = await load({
      "vocab.json": readFileSync(`${folder}/vocab.json`, "utf8"),
      "merges.txt": readFileSync(`${folder}/merges.txt`, "utf8"),
    });
    expect(tokenizer.encode("CABBA")).toEqual([2, 0, 1, 1, 0]);
  });
});
