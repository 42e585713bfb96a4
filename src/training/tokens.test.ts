import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import type { ByteSource } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { readTokenFile, tokenFile } from "./token-file.ts";
import { characterTokenizerOf, encodeCorpus } from "./tokens.ts";
import { memoryPlace } from "./memory-place.testing.ts";
import { characters, gpt2, llama, story } from "./tokenizers.testing.ts";

const utf8 = new TextEncoder();
const file = (content: string | Uint8Array, name = "dir/a.txt"): ByteSource =>
  bytesOf(name, typeof content === "string" ? utf8.encode(content) : content);

function joined(chunks: Iterable<Uint8Array>): Uint8Array {
  return Uint8Array.from([...chunks].flatMap((chunk) => [...chunk]));
}

describe("encodeCorpus", () => {
  it("keeps the ids, and takes them from there the next time", async () => {
    const place = memoryPlace();
    const tokenizer = await llama();
    const files = [file(story(300)), file("another one", "dir/b.txt")];
    const first = await encodeCorpus(files, tokenizer, { cache: place });
    expect([...place.files.keys()]).toEqual([`tokens-${first.fingerprint.slice(0, 16)}.bin`]);
    const phases = new Set<string>();
    const again = await encodeCorpus(files, tokenizer, { cache: place, onProgress: (_done, _total, phase) => phases.add(phase) });
    expect(again).toEqual({ ...first, fromCache: true });
    expect([first.fromCache, ...phases]).toEqual([false, "reading"]);
  });

  it("knows every change of the texts, of their order and of the tokenizer, but not where they lie", async () => {
    const of = async (files: ByteSource[], tokenizer = characters("abc")): Promise<string> =>
      (await encodeCorpus(files, await tokenizer)).fingerprint;
    const [a, b] = [file("ab", "x/a"), file("ca", "x/b")];
    const prints = [
      await of([a, b]),
      await of([b, a]),
      await of([a]),
      await of([file("ac", "x/a"), b]),
      await of([file("ab", "x/c"), b]),
      await of([file("abc", "x/a"), file("a", "x/b")]),
      await of([a, b], characters("abcd")),
      await of([a, b], characters("abc", ["<|endoftext|>"])),
      await of([a, b], gpt2()),
      await of([a, b], llama()),
    ];
    expect(new Set(prints).size).toBe(prints.length);
    expect(await of([file("ab", "y/a"), file("ca", "b")])).toBe(prints[0]);
  });

  it("encodes again what is damaged, and says so", async () => {
    const place = memoryPlace();
    const tokenizer = await characters("abc");
    const first = await encodeCorpus([file("abcabc")], tokenizer, { cache: place });
    const [[name, bytes]] = place.files;
    place.files.set(name, bytes.with(98, 9));
    const notes: string[] = [];
    const again = await encodeCorpus([file("abcabc")], tokenizer, { cache: place, onNote: (note) => notes.push(note) });
    expect(again).toEqual(first);
    expect(notes).toEqual([`out/${name}: its ids are damaged; the text is encoded again`]);
    expect(place.files.get(name)).toEqual(bytes);
  });

  it("goes on without a cache when the disk is full", async () => {
    const place = memoryPlace();
    place.trouble = "full";
    const notes: string[] = [];
    const corpus = await encodeCorpus([file("abc")], await characters("abc"), { cache: place, onNote: (note) => notes.push(note) });
    expect(corpus.tokens).toHaveLength(3);
    expect(notes[0]).toMatch(/^tokens are not kept for next time: .*disk is full/);
  });

  it("tells of bytes that are no text", async () => {
    const notes: string[] = [];
    await encodeCorpus([file(Uint8Array.of(97, 0xff, 0xfe))], await gpt2(), { onNote: (note) => notes.push(note) });
    expect(notes).toEqual(["2 of 3 bytes are not UTF-8: they are kept byte for byte"]);
  });
});

describe("token files", () => {
  const encoded = { tokens: Uint16Array.of(5, 0, 65535, 7), documents: 2, textBytes: 11, invalidBytes: 3 };
  const origin = "0123456789abcdef0123456789abcdef";
  const bytes = joined(tokenFile(encoded, 65536, origin));

  it("come back as they were, in two bytes an id or in four", async () => {
    expect(bytes).toHaveLength(96 + 8);
    expect(await readTokenFile(bytesOf("t", bytes), 65536, origin)).toEqual(encoded);
    const wide = { ...encoded, tokens: Uint32Array.of(1, 70000) };
    const wideBytes = joined(tokenFile(wide, 70001, origin));
    expect(wideBytes).toHaveLength(96 + 8);
    expect(await readTokenFile(bytesOf("t", wideBytes), 70001, origin)).toEqual(wide);
  });

  it("with any byte changed, cut off or added are refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.constantFrom("change", "cut", "add"), async (at, by, how) => {
        const other =
          how === "change" ? bytes.with(at, bytes[at] ^ by) : how === "cut" ? bytes.slice(0, at) : Uint8Array.from([...bytes, ...new Uint8Array(by)]);
        await expect(readTokenFile(bytesOf("t", other), 65536, origin)).rejects.toThrow(FormatError);
      }),
      { numRuns: 200 },
    );
  });

  it("of other texts or with ids outside the vocabulary are refused", async () => {
    await expect(readTokenFile(bytesOf("t", bytes), 65535, origin)).rejects.toThrow("other texts");
    await expect(readTokenFile(bytesOf("t", bytes), 65536, origin.replace("0", "1"))).rejects.toThrow("other texts");
    const outside = joined(tokenFile(encoded, 65535, origin));
    await expect(readTokenFile(bytesOf("t", outside), 65535, origin)).rejects.toThrow("id 65535 is outside the vocabulary of 65535");
  });
});

describe("characterTokenizerOf", () => {
  it("has the characters of all files, U+FFFD for what is none, and special tokens whole", async () => {
    const json = await characterTokenizerOf(
      [file("ba<|endoftext|>\n"), file(Uint8Array.of(0xff, 97, 100), "d.txt"), file("👍", "e.txt")],
      ["<|endoftext|>"],
    );
    const { model, added_tokens } = JSON.parse(json) as { model: { vocab: object }; added_tokens: { content: string; id: number }[] };
    expect(Object.keys(model.vocab)).toEqual(["\n", "a", "b", "d", "\ufffd", "👍"]);
    expect(added_tokens.map(({ content, id }) => [content, id])).toEqual([["<|endoftext|>", 6]]);
  });
});
