import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import type { ByteSource } from "../base/bytes.ts";
import { mixedText, reader } from "./gpt2.testing.ts";
import { loadTokenizer } from "./load.ts";
import { naiveTraining } from "./naive-training.testing.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { saveTokenizer, trainedTokenizerConfig, trainedTokenizerJson } from "./train-files.ts";
import { PieceCounter, countRange, seamAfter } from "./train-pieces.ts";
import type { Cutting } from "./train-pieces.ts";
import { PieceTable } from "./train-table.ts";
import { trainBpe } from "./train.ts";
import type { TrainBpeOptions, TrainedBpe } from "./train.ts";

const file = (content: string | Uint8Array, name = "text.txt"): ByteSource =>
  bytesOf(name, typeof content === "string" ? Buffer.from(content) : content);
const train = (content: string | Uint8Array, options: Partial<TrainBpeOptions> = {}): Promise<TrainedBpe> =>
  trainBpe([file(content)], { vocabulary: 300, ...options });
const open = (trained: TrainedBpe): Promise<Tokenizer> =>
  loadTokenizer(reader({ "tokenizer.json": trainedTokenizerJson(trained), "tokenizer_config.json": trainedTokenizerConfig(trained) }));

/** Few different letters, so that ties, runs and rules that spell the same token abound. */
const monotonous = fc
  .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom("a", "b", "aa", "ab", "abc") }, fc.constantFrom(" ", "\n", "é", "1", "'s")), {
    maxLength: 60,
  })
  .map((parts) => parts.join(""));

const sameAsNaive = async (texts: readonly string[], extra: number, minFrequency: number, special: readonly string[]): Promise<void> => {
  const vocabulary = 256 + special.length + extra;
  const { tokens, merges } = await trainBpe(
    texts.map((text) => file(text)),
    { vocabulary, minFrequency, special },
  );
  expect({ tokens, merges }).toEqual(naiveTraining(texts, vocabulary, minFrequency, special));
};

describe("a trained vocabulary is that of the naive reference", () => {
  test.each([
    ["monotonous texts", monotonous],
    ["texts in many scripts", mixedText({ wellFormed: true, maxParts: 25 })],
  ])("%s", async (_, text) => {
    const texts = fc.array(
      text.map((t) => `x${t.replaceAll(/<\|endoftext\|>|\0/g, "")}`), // byte 0 would make it a binary file
      { minLength: 1, maxLength: 3 },
    );
    const special = fc.constantFrom<string[][]>([], ["<|endoftext|>"], ["<s>", "</s>", "<|long special|>"]);
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 3 }), special, async (all, extra, least, tokens) => {
        fc.pre(!all.some((t) => tokens.some((token) => t.includes(token))));
        await sameAsNaive(all, extra, least, tokens);
      }),
      { numRuns: 60 },
    );
  });

  it.skipIf(!existsSync("../shared/data/shakespeare/input.txt"))("on Shakespeare's first pages (skipped where ../shared/data is not)", async () => {
    const text = readFileSync("../shared/data/shakespeare/input.txt", "utf8").slice(0, 12_000);
    await sameAsNaive([text], 150, 2, ["<|endoftext|>"]);
  });
});

describe("what is counted", () => {
  const counted = async (bytes: Uint8Array, cutting: Cutting, ranges: readonly (readonly [number, number])[], block?: number): Promise<unknown> => {
    const counter = new PieceCounter(cutting, new PieceTable());
    for (const [from, to] of ranges) await countRange(bytesOf("text", bytes), from, to, counter, { block });
    const { keys, ends, counts } = counter.table.data();
    const pieces = [...counts].map((count, i) => [Buffer.from(keys.subarray(i === 0 ? 0 : ends[i - 1], ends[i])).toString("latin1"), count] as const);
    return { ...counter.totals, pieces: pieces.sort(([a], [b]) => (a < b ? -1 : 1)) };
  };

  /** Text with special tokens (one with white space in it) and bytes that are not UTF-8. */
  const dirty = fc
    .array(
      fc.oneof(
        { weight: 5, arbitrary: mixedText({ wellFormed: true, maxParts: 3 }).map((text) => Buffer.from(text)) },
        {
          weight: 3,
          arbitrary: fc
            .constantFrom("word word\n", " <| x\ny |>", "<|endoftext|>", "<|", "don't ", ". \n\n", "end.\n")
            .map((text) => Buffer.from(text)),
        },
        { weight: 2, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes)) },
      ),
      { maxLength: 20 },
    )
    .map((parts) => new Uint8Array(Buffer.concat(parts)));
  const cuttings = fc.record({
    pattern: fc.constantFrom("gpt2" as const, "cl100k" as const),
    special: fc.constantFrom([], ["<|endoftext|>"], ["<|endoftext|>", "<|", "<| x\ny |>", " x"]),
    lines: fc.boolean(),
  });

  it("does not depend on the blocks a file is read in, nor on where it is parted", async () => {
    await fc.assert(
      fc.asyncProperty(
        dirty,
        cuttings,
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.nat(300), { maxLength: 3 }),
        async (bytes, cutting, block, places) => {
          const whole = await counted(bytes, cutting, [[0, bytes.length]]);
          expect(await counted(bytes, cutting, [[0, bytes.length]], block)).toEqual(whole);
          const seams = await Promise.all(places.filter((at) => at < bytes.length).map((at) => seamAfter(bytesOf("text", bytes), at, cutting)));
          const ends = [0, ...seams, bytes.length].sort((a, b) => a - b);
          expect(await counted(bytes, cutting, ends.slice(1).map((end, i) => [ends[i], end] as const))).toEqual(whole); // prettier-ignore
        },
      ),
      { numRuns: 200 },
    );
  });

  it("parts a long text", async () => {
    const text = Buffer.from("No word of this is long, and there are spaces. ".repeat(50));
    const cutting: Cutting = { pattern: "gpt2", special: [], lines: false };
    const seam = await seamAfter(bytesOf("text", text), 1000, cutting);
    expect(seam).toBeGreaterThanOrEqual(1000);
    expect(seam).toBeLessThan(1010);
  });

  it("is every piece that the finished tokenizer cuts", async () => {
    const text = "Hello world, don't stop  now\n\nIt's 2024 and \t 東京 naïve 😀!\n".repeat(3);
    for (const pattern of ["gpt2", "cl100k"] as const) {
      const trained = await train(text, { pattern, vocabulary: 320 });
      const tokenizer = await open(trained);
      expect(trained.pieces).toBe(tokenizer.merges(text).length);
      expect(trained.textTokens).toBe(tokenizer.encode(text).length);
      expect(trained.bytes).toBe(Buffer.byteLength(text));
    }
  });

  it("leaves out special tokens, and parts the text there", async () => {
    const { tokens, pieces } = await train("ab<|endoftext|>ab<|endoftext|>ab", { vocabulary: 300, minFrequency: 1 });
    expect(tokens.slice(257)).toEqual(["ab"]);
    expect(pieces).toBe(3);
    expect(tokens[0]).toBe("<|endoftext|>");
    // The longer one first, as the tokenizer finds it.
    expect((await train("<s><s>> <s>", { special: ["<s>", "<s>>"], minFrequency: 1 })).tokens.slice(258)).toEqual([]);
  });

  it("keeps bytes that are not UTF-8 by themselves", async () => {
    const latin = Buffer.from("caf\xe9 caf\xe9 caf\xe9s caf\xe9s \xff\xfe\xff\xfe", "latin1");
    const { tokens, invalidBytes, bytes, textTokens } = await train(latin, { vocabulary: 400, minFrequency: 1 });
    expect({ invalidBytes, bytes }).toEqual({ invalidBytes: 8, bytes: latin.length });
    expect(tokens.slice(257)).toEqual(["af", "caf", "Ġcaf"]);
    expect(textTokens).toBe(4 + 8 + 2 + 1); // caf and three " caf", the odd bytes, two "s", and the last space
  });

  it("takes every line by itself when asked, as Hugging Face's trainer reads files", async () => {
    const text = "one\n\n\n\ntwo\n\n\n\none\n";
    expect((await train(text, { minFrequency: 1 })).tokens).toContain("ĊĊ");
    expect((await train(text, { minFrequency: 1, lines: true })).tokens.slice(257).some((token) => token.includes("Ċ"))).toBe(false);
  });
});

describe("the files", () => {
  const sentence = "The cat sat on the mat, whose owner wasn't there. The cat's hat was flattened: 12,345 others had used it as a chair!\n";
  const text = `${sentence.repeat(5)}Ünïcödé 東京 😀<|endoftext|>The end.`;

  it("are read alike by our loader and by Hugging Face's library", async () => {
    for (const pattern of ["gpt2", "cl100k"] as const) {
      const trained = await train(text, { pattern, vocabulary: 315, special: ["<|endoftext|>", "<|user|>"] });
      const tokenizer = await open(trained);
      const library = new LibraryTokenizer(
        JSON.parse(trainedTokenizerJson(trained)) as object,
        JSON.parse(trainedTokenizerConfig(trained)) as object,
      );
      expect(tokenizer).toMatchObject({ kind: "byte-level-bpe", vocabularySize: 315, bosId: 0, eosId: 0 });
      expect(tokenizer.token(1)).toMatchObject({ text: "<|user|>", special: true });
      for (const sample of [text, " The  mats\n\n<|user|>hat", "völlig Neues 🎉 1234567"]) {
        const ids = tokenizer.encode(sample);
        expect(library.encode(sample).ids).toEqual(ids);
        expect(tokenizer.decode(ids, { special: true })).toBe(sample);
      }
    }
  });

  it("are written as tokenizer.json and tokenizer_config.json", async () => {
    const written = new Map<string, string>();
    const trained = await train(text);
    await saveTokenizer(trained, {
      name: "out",
      write: async (name, chunks) => {
        const parts: Uint8Array[] = [];
        for await (const chunk of chunks) parts.push(chunk);
        written.set(name, Buffer.concat(parts).toString());
      },
    });
    expect([...written.keys()].sort()).toEqual(["tokenizer.json", "tokenizer_config.json"]);
    const json = JSON.parse(written.get("tokenizer.json")!) as { model: { vocab: Record<string, number>; merges: string[] } };
    expect(Object.keys(json.model.vocab)).toHaveLength(300);
    expect(new Set(Object.values(json.model.vocab)).size).toBe(300);
    expect(json.model.merges).toHaveLength(300 - 257);
    expect(json.model.vocab["!"]).toBe(1); // GPT-2's order, behind the special token
    expect(JSON.parse(written.get("tokenizer_config.json")!)).toMatchObject({ bos_token: "<|endoftext|>", eos_token: "<|endoftext|>" });
  });

  it("name <s> and </s> as ends, or nothing", async () => {
    const config = async (special: string[]): Promise<unknown> => JSON.parse(trainedTokenizerConfig(await train(text, { special })));
    expect(await config(["</s>", "<s>"])).toMatchObject({ bos_token: "<s>", eos_token: "</s>" });
    expect(await config([])).not.toHaveProperty("eos_token");
    expect((await open(await train(text, { special: [] }))).eosId).toBeUndefined();
  });

  it("keep apart a special token and text that is spelled like it", async () => {
    const trained = await train("so the cat and the hat and the mat", { special: ["Ġthe"], minFrequency: 2, vocabulary: 300 });
    expect(trained.tokens.filter((token) => token === "Ġthe")).toHaveLength(1);
    const tokenizer = await open(trained);
    expect(tokenizer.decode(tokenizer.encode("so the cat"))).toBe("so the cat");
    expect(tokenizer.encode("so the cat")).not.toContain(0);
    expect(tokenizer.encode("so Ġthe cat")).toContain(0);
  });

  it("have as many tokens as asked for, or as the text gives", async () => {
    expect((await train(text, { vocabulary: 257 })).merges).toEqual([]);
    expect((await train(text, { vocabulary: 301 })).tokens).toHaveLength(301);
    const few = await train("ab ab", { vocabulary: 5000 });
    expect(few.tokens.slice(257)).toEqual(["ab"]);
    expect(few.lastCount).toBe(2);
    expect((await train("ab ab", { vocabulary: 5000, minFrequency: 3 })).merges).toEqual([]);
  });
});

describe("bad input", () => {
  const refused = async (problem: RegExp, sources: readonly ByteSource[], options: Partial<TrainBpeOptions> = {}): Promise<void> => {
    await expect(trainBpe(sources, { vocabulary: 300, ...options })).rejects.toThrow(problem);
    await expect(trainBpe(sources, { vocabulary: 300, ...options })).rejects.toMatchObject({ name: "VitrineError" });
  };

  it.each([
    [255, ["<|endoftext|>"], /vocabulary of 255, expected a whole number from 257 \(256 bytes and 1 special token\)/],
    [257, ["<s>", "</s>"], /vocabulary of 257, expected a whole number from 258 \(256 bytes and 2 special tokens\)/],
    [255, [], /from 256 \(256 bytes\) to/],
    [300.5, [], /vocabulary of 300.5/],
    [NaN, [], /vocabulary of NaN/],
  ])("a vocabulary of %s", async (vocabulary, special, problem) => {
    await refused(problem, [file("text")], { vocabulary, special });
  });

  it.each([
    [[""], /special token is empty/],
    [["<s>", "<s>"], /"<s>" is named twice/],
    [["Ġ"], /"Ġ" is how a vocabulary spells a single byte/],
    [["\ud800"], /half a character/],
  ])("special tokens %j", async (special, problem) => {
    await refused(problem, [file("text")], { special });
  });

  it("files that are missing, empty, binary or in UTF-16", async () => {
    await refused(/no text files; name at least one/, []);
    await refused(/empty\.txt: the file is empty/, [file("text"), file("", "empty.txt")]);
    await refused(/photo\.jpg: a binary file \(byte 2 is 0\)/, [file(Uint8Array.of(255, 216, 0, 1), "photo.jpg")]);
    await refused(/wide\.txt: text in UTF-16, expected UTF-8; save it as UTF-8/, [file(Uint8Array.of(255, 254, 65, 0), "wide.txt")]);
    await refused(/least frequency of -1/, [file("text")], { minFrequency: -1 });
  });

  it("a text without spaces that does not end", async () => {
    const counter = new PieceCounter({ pattern: "gpt2", special: [], lines: false }, new PieceTable());
    const endless = bytesOf("dna.txt", Buffer.from("ACGT".repeat(100)));
    await expect(countRange(endless, 0, 400, counter, { block: 16, longest: 64 })).rejects.toThrow(
      /dna\.txt: 64 bytes from byte 0 on without a space or a line break; break the text into lines/,
    );
  });

  it("stops when asked, while counting and while merging", async () => {
    for (const phase of ["counting", "merging"]) {
      const stop = new AbortController();
      const options = { signal: stop.signal, vocabulary: 400, onProgress: (_: number, __: number, now: string) => now === phase && stop.abort() };
      await expect(train("some words, and some more words of the same sort\n".repeat(40_000), options)).rejects.toThrow(/was stopped/);
    }
  });
});

const books = "../shared/data/books/classics";
describe.skipIf(!existsSync(books))("on whole books (skipped where ../shared/data is not)", () => {
  it("counts what the finished tokenizer's ids are, and reports progress to the end", async () => {
    const names = readdirSync(books).sort().slice(0, 4);
    const texts = names.map((name) => readFileSync(join(books, name)));
    const seen: Record<string, [number, number]> = {};
    const trained = await trainBpe(
      texts.map((bytes, i) => file(bytes, names[i])),
      { vocabulary: 2048, onProgress: (done, total, phase) => void (seen[phase] = [done, total]) },
    );
    const total = texts.reduce((sum, { length }) => sum + length, 0);
    expect(seen).toEqual({ counting: [total, total], merging: [2048, 2048] });
    const tokenizer = await open(trained);
    expect(texts.reduce((sum, bytes) => sum + tokenizer.encode(bytes.toString()).length, 0)).toBe(trained.textTokens);
    expect(trained.textTokens).toBeLessThan(total / 3);
  });
});
