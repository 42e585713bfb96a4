import { existsSync, readFileSync } from "node:fs";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { mixedText, reader, wellFormed } from "./gpt2.testing.ts";
import { llamaTokenizerJson } from "./llama.testing.ts";
import { loadTokenizer } from "./load.ts";
import { utf8Bytes } from "./utf8.ts";
import type { LlamaStyle } from "./llama.testing.ts";
import type { Tokenizer } from "./tokenizer.ts";

const load = async (json: unknown): Promise<Tokenizer> => loadTokenizer(reader({ "tokenizer.json": JSON.stringify(json) }));
const theirs = (json: object): HuggingFaceTokenizer => new HuggingFaceTokenizer(structuredClone(json), {});

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const decoder = tokenizer.decoder();
  return ids.map((id) => decoder.push(id)).join("") + decoder.end();
}

const replaceSpaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
const metaspace = (scheme: string, split = false): unknown => ({ type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split });

const styles: [string, LlamaStyle][] = [
  ["Llama 2's form", {}],
  ["Metaspace, always a mark in front", { normalizer: null, preTokenizer: metaspace("always"), decoder: metaspace("always") }],
  ["Metaspace, a mark only at the start, cut into words", { normalizer: null, preTokenizer: metaspace("first", true), decoder: metaspace("first") }],
  [
    "Metaspace, no mark",
    {
      normalizer: null,
      preTokenizer: metaspace("never", true),
      decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, metaspace("never")] },
    },
  ],
  [
    "Gemma's form",
    {
      normalizer: replaceSpaces,
      preTokenizer: { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
      decoder: {
        type: "Sequence",
        decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }],
      },
    },
  ],
  ["NFKC first", { normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, replaceSpaces] } }],
  ["no byte fallback, unknown characters fused", { byteFallback: false }],
  ["no byte fallback, unknown characters one by one", { byteFallback: false, fuseUnknown: false }],
];

describe.each(styles)("SentencePiece-style BPE: %s", (_, style) => {
  const json = llamaTokenizerJson(style);
  let ours: Tokenizer;
  beforeAll(async () => {
    ours = await load(json);
  });

  it("is our own and gives the ids of Hugging Face's library", () => {
    expect(ours).toMatchObject({ kind: "sentencepiece-bpe", bosId: 1, eosId: 2 });
    const library = theirs(json);
    fc.assert(
      fc.property(mixedText({ wellFormed: true }), (text) => {
        expect(ours.encode(text)).toEqual(library.encode(text).ids);
      }),
      { numRuns: 1500 },
    );
  });

  it("streams to what decode gives, and shows merges that end in what encode gives", () => {
    fc.assert(
      fc.property(mixedText({ maxParts: 5 }), (text) => {
        const ids = ours.encode(text);
        expect(streamed(ours, ids)).toBe(ours.decode(ids));
        const last = ours.merges(text).flatMap((steps) => steps.at(-1)!.pieces);
        expect(last.map((piece) => ours.idOf(piece))).toEqual(ours.encode(text, { template: false }));
      }),
      { numRuns: 500 },
    );
  });
});

describe("Llama's tokenizer", () => {
  let llama: Tokenizer;
  beforeAll(async () => {
    llama = await load(llamaTokenizerJson());
  });

  it("comes back to the text it was given, byte for byte", () => {
    fc.assert(
      fc.property(mixedText(), (text) => {
        const ids = llama.encode(text, { special: false });
        expect(llama.decode(ids)).toBe(wellFormed(text).replaceAll("▁", " ")); // SentencePiece cannot tell its own mark from a space
        const bytes = Buffer.concat(ids.map((id) => llama.token(id).bytes));
        if (text !== "" && !text.includes("▁")) expect(bytes).toEqual(Buffer.from(utf8Bytes(` ${text}`)));
      }),
      { numRuns: 2000 },
    );
  });

  it("puts <s> in front unless told not to", () => {
    expect(llama.encode("the")[0]).toBe(1);
    expect(llama.encode("the", { template: false })).not.toContain(1);
    expect(llama.encode("")).toEqual([1]);
    expect(llama.decode(llama.encode("the"), { special: true })).toBe("<s> the");
  });

  it("shows tokens as a person reads them", () => {
    expect(llama.token(llama.idOf("▁the")!)).toMatchObject({ text: " the", special: false });
    expect(llama.token(llama.idOf("<0x0A>")!)).toMatchObject({ text: "\n", bytes: Uint8Array.of(10) });
    expect(llama.token(llama.idOf("<0xE6>")!)).toMatchObject({ text: "\ufffd", bytes: Uint8Array.of(0xe6) });
    expect(llama.token(1)).toMatchObject({ text: "<s>", special: true, bytes: new Uint8Array(0) });
  });

  it("strips the first space only at the very start", () => {
    const the = llama.idOf("▁the")!;
    const decoder = llama.decoder();
    expect([decoder.push(1), decoder.push(the), decoder.push(the)]).toEqual(["", "the", " the"]);
  });

  it("needs time in proportion to the text, without a single space", { retry: 2 }, () => {
    for (const shape of ["a", "there", "東", "é", "жила", "there▁"]) {
      const time = (length: number): number => {
        const text = shape.repeat(length / shape.length);
        const start = performance.now();
        llama.encode(text);
        return performance.now() - start;
      };
      time(250_000);
      const [small, large] = [Math.min(time(250_000), time(250_000)), Math.min(time(1_000_000), time(1_000_000))];
      expect(large / Math.max(small, 5), `four times "${shape}"`).toBeLessThan(12); // linear gives 4, quadratic 16
    }
  });
});

describe("a text outside the vocabulary", () => {
  it("is an error that names the character, where nothing stands for unknown text", async () => {
    const json = llamaTokenizerJson({ byteFallback: false });
    (json.model as { unk_token: unknown }).unk_token = null;
    const tokenizer = await load(json);
    expect(() => tokenizer.encode("the 한")).toThrow('encode: the vocabulary has no token for the character "한" (U+D55C)');
  });
});

describe.skipIf(!existsSync("../shared/data/stories260K"))("stories260K (skipped without ../shared/data)", () => {
  const folder = "../shared/data/stories260K";
  const json = (): Record<string, unknown> => JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")) as Record<string, unknown>;

  it("encodes and decodes the published story", async () => {
    const tokenizer = await load(json());
    const story = JSON.parse(readFileSync(`${folder}/published-greedy-story.json`, "utf8")) as { ids: number[]; text: string };
    expect(tokenizer).toMatchObject({ kind: "sentencepiece-bpe", bosId: 1, eosId: 2, vocabularySize: 512 });
    expect(tokenizer.encode(story.text)).toEqual(story.ids);
    expect(tokenizer.decode(story.ids)).toBe(story.text);
    expect(streamed(tokenizer, story.ids)).toBe(story.text);
  });

  it("gives the ids of Hugging Face's library", async () => {
    const tokenizer = await load(json());
    const library = theirs(json());
    fc.assert(
      fc.property(mixedText({ wellFormed: true }), (text) => {
        expect(tokenizer.encode(text)).toEqual(library.encode(text).ids);
      }),
      { numRuns: 3000 },
    );
  });
});
