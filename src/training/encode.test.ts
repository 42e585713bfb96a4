import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import type { ByteSource } from "../base/bytes.ts";
import { mixedText } from "../tokenizer/gpt2.testing.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { encodeFiles } from "./encode.ts";
import { endOfTextId } from "./split.ts";
import { plainIds } from "./text-cuts.ts";
import { characters, gpt2, llama, story } from "./tokenizers.testing.ts";

const utf8 = new TextEncoder();
const file = (content: string | Uint8Array, name = "a.txt"): ByteSource =>
  bytesOf(name, typeof content === "string" ? utf8.encode(content) : content);

async function ids(tokenizer: Tokenizer, content: string | Uint8Array, options: { chunk?: number; block?: number } = {}): Promise<number[]> {
  return Array.from((await encodeFiles([file(content)], tokenizer, options)).tokens);
}

/** The bytes that ids stand for, one after the other. */
function bytesOfIds(tokenizer: Tokenizer, list: readonly number[]): Uint8Array {
  return Uint8Array.from(list.flatMap((id) => [...tokenizer.token(id).bytes]));
}

describe("encoding in pieces gives the ids of the whole", () => {
  const text = story(3000);
  const kinds: readonly [string, () => Promise<Tokenizer>][] = [
    ["byte-level", gpt2],
    ["SentencePiece", llama],
    ["characters", () => characters(text)],
  ];
  it.each(kinds)("%s, in large and small chunks and blocks", async (_, open) => {
    const tokenizer = await open();
    const start = tokenizer.bosId === 1 ? [1] : [];
    const end = endOfTextId(tokenizer);
    const whole = [...start, ...plainIds(tokenizer, text), ...(end === undefined ? [] : [end])];
    for (const options of [{}, { chunk: 700, block: 1000 }, { chunk: 1500, block: 37 }, { chunk: 5000, block: 4096 }])
      expect(await ids(tokenizer, text, options)).toEqual(whole);
  });

  it("any text, byte-level", async () => {
    const tokenizer = await gpt2();
    const parts = fc.constantFrom("word", " word", "\n", " ", "  ", "'s", "'", "12", "...", "é", "日本", "\r\n", "\t", "A", "👍", " a", "<|endo");
    await fc.assert(
      fc.asyncProperty(fc.array(parts, { minLength: 300, maxLength: 900 }), async (list) => {
        const content = list.join("");
        expect(await ids(tokenizer, content, { chunk: 300, block: 400 })).toEqual([...plainIds(tokenizer, content), 50256]);
      }),
      { numRuns: 30 },
    );
  });

  it("any mixture of scripts, byte-level and SentencePiece", async () => {
    const tokenizers = [await gpt2(), await llama()];
    const mixture = fc.array(mixedText({ wellFormed: true, maxParts: 40 }), { minLength: 4, maxLength: 12 }).map((parts) => parts.join(" the sun "));
    await fc.assert(
      fc.asyncProperty(mixture, async (content) => {
        for (const tokenizer of tokenizers) {
          if (content.includes(tokenizer.token(endOfTextId(tokenizer)!).text)) continue;
          const got = await ids(tokenizer, content.replaceAll("\0", ""), { chunk: 300, block: 200 });
          const start = tokenizer.kind === "byte-level-bpe" ? 0 : 1;
          expect(got.slice(start, -1)).toEqual(plainIds(tokenizer, content.replaceAll("\0", "")));
        }
      }),
      { numRuns: 12 },
    );
  });

  it.each(kinds)("%s, and never sees more of the text than it must", async (_, open) => {
    const tokenizer = await open();
    const encode = vi.spyOn(tokenizer, "encode");
    await encodeFiles([file(text)], tokenizer, { chunk: 1000, block: 500 });
    expect(text.length).toBeGreaterThan(15_000);
    expect(Math.max(...encode.mock.calls.map(([part]) => part.length))).toBeLessThan(2000);
    encode.mockRestore();
  });

  it("a text with no place to cut is encoded whole", async () => {
    const tokenizer = await gpt2();
    const content = "ab".repeat(2000);
    expect(await ids(tokenizer, content, { chunk: 300, block: 100 })).toEqual([...plainIds(tokenizer, content), 50256]);
  });
});

describe("documents", () => {
  it("a written end of text splits, wherever the blocks cut it", async () => {
    const tokenizer = await gpt2();
    const expected = [...plainIds(tokenizer, "One.\n"), 50256, ...plainIds(tokenizer, "Two"), 50256, ...plainIds(tokenizer, "\nThree"), 50256];
    for (let block = 1; block < 40; block++) {
      expect(await ids(tokenizer, "One.\n<|endoftext|>\nTwo<|endoftext|>\n\nThree", { block })).toEqual(expected);
      expect(await ids(tokenizer, "One.\n<|endoftext|>\r\nTwo<|endoftext|>\n\nThree<|endoftext|>\n", { block })).toEqual(expected);
    }
  });

  it("other special tokens are text", async () => {
    const tokenizer = await llama(); // <unk>, <s> and </s> are special
    const [start, end] = [tokenizer.bosId!, tokenizer.eosId!];
    expect(await ids(tokenizer, "a <unk> b</s>c")).toEqual([
      start,
      ...plainIds(tokenizer, "a <unk> b"),
      end,
      start,
      ...plainIds(tokenizer, "c"),
      end,
    ]);
  });

  it("files are documents; empty ones between ends are none", async () => {
    const tokenizer = await gpt2();
    const encoded = await encodeFiles([file("one"), file("<|endoftext|>two<|endoftext|><|endoftext|>", "b.txt")], tokenizer);
    expect(Array.from(encoded.tokens)).toEqual([...plainIds(tokenizer, "one"), 50256, ...plainIds(tokenizer, "two"), 50256]);
    expect(encoded).toMatchObject({ documents: 2, textBytes: 45, invalidBytes: 0 });
    expect(encoded.tokens).toBeInstanceOf(Uint16Array);
  });

  it("a tokenizer of characters has no ends unless it was given one", async () => {
    expect(await ids(await characters("abc"), "cab")).toEqual([2, 0, 1]);
    expect(await ids(await characters("abc", ["<|endoftext|>"]), "ca<|endoftext|>\nb")).toEqual([2, 0, 3, 1, 3]);
  });
});

describe("bytes that are not UTF-8", () => {
  it("are kept as they are by a byte-level tokenizer", async () => {
    const tokenizer = await gpt2();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 20 }), async (bytes, block) => {
        const content = bytes.map((byte) => byte || 1);
        expect(bytesOfIds(tokenizer, await ids(tokenizer, content, { block }))).toEqual(content);
      }),
      { numRuns: 100 },
    );
    const latin1 = Uint8Array.from("caf\xe9 au lait", (letter) => letter.charCodeAt(0));
    const encoded = await encodeFiles([file(latin1)], tokenizer);
    expect(encoded.invalidBytes).toBe(1);
    expect(Array.from(encoded.tokens)).toEqual([...plainIds(tokenizer, "caf"), tokenizer.idOf("é")!, ...plainIds(tokenizer, " au lait"), 50256]);
  });

  it("become U+FFFD for others", async () => {
    const tokenizer = await characters("ab\ufffd");
    expect(await ids(tokenizer, Uint8Array.of(97, 0xff, 98))).toEqual([0, 2, 1]);
  });
});

describe("what cannot be learned from", () => {
  it.each([
    ["no files", [], /no text files/],
    ["an empty file", [file("a", "a.txt"), file("", "b.txt")], /^b\.txt: the file is empty/],
    ["a binary file", [file(Uint8Array.of(1, 2, 0, 3), "b.bin")], /^b\.bin: a binary file \(byte 2 is 0\)/],
    ["UTF-16", [file(Uint8Array.of(0xff, 0xfe, 65, 0), "w.txt")], /^w\.txt: text in UTF-16.*iconv/],
  ] as const)("%s", async (_, files, message) => {
    await expect(encodeFiles(files, await gpt2())).rejects.toThrow(message);
  });

  it("a character without a token is told with its file", async () => {
    await expect(encodeFiles([file("abz", "c.txt")], await characters("ab"))).rejects.toThrow(/^c\.txt: encode: .*"z"/);
  });

  it("an aborted signal ends it", async () => {
    await expect(encodeFiles([file("a")], await gpt2(), { signal: AbortSignal.abort() })).rejects.toThrow("stopped");
  });
});
