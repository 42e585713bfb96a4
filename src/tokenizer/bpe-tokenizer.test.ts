import { existsSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { get_encoding } from "tiktoken";
import { beforeAll, describe, expect, it } from "vitest";
import { gpt2Files, mixedText, reader, wellFormed } from "./gpt2.testing.ts";
import { loadTokenizer } from "./load.ts";
import { utf8Bytes, utf8Text } from "./utf8.ts";
import type { Files } from "./gpt2.testing.ts";
import type { Tokenizer } from "./tokenizer.ts";

const data = "../shared/data";
const plain = { special: false, template: false };

let files: Files;
let gpt2: Tokenizer;

beforeAll(async () => {
  files = gpt2Files();
  gpt2 = await loadTokenizer(reader(files));
});

describe("GPT-2's tokenizer", () => {
  it("cuts the lecture's sentence as published", () => {
    const text = "To date, the cleverest thinker of all time was";
    const pieces = gpt2.encode(text).map((id) => gpt2.token(id).text);
    expect(pieces.join("|")).toBe("To| date|,| the| cle|ve|rest| thinker| of| all| time| was");
    expect(gpt2.encode("This is my fault")).toEqual([1212, 318, 616, 8046]);
    expect(gpt2.encode("東京")).toEqual([30266, 109, 12859, 105]);
    expect(gpt2.token(109)).toMatchObject({ text: "\ufffd", special: false });
  });

  it("knows its size, its end of text and its own spelling", () => {
    expect(gpt2).toMatchObject({ kind: "byte-level-bpe", vocabularySize: 50257, bosId: 50256, eosId: 50256 });
    expect(gpt2.idOf("Ġthe")).toBe(262);
    expect(gpt2.idOf(" the")).toBeUndefined();
    expect(gpt2.token(50256)).toEqual({ id: 50256, text: "<|endoftext|>", bytes: new Uint8Array(0), special: true });
  });

  it("recognises a special token, or takes it for plain characters when told", () => {
    const text = "a<|endoftext|>b";
    expect(gpt2.encode(text)).toEqual([64, 50256, 65]);
    const literal = gpt2.encode(text, { special: false });
    expect(literal).not.toContain(50256);
    expect(gpt2.decode(literal)).toBe(text);
    expect(gpt2.decode([64, 50256, 65])).toBe("ab");
    expect(gpt2.decode([64, 50256, 65], { special: true })).toBe(text);
  });

  it("gives the ids of tiktoken on 12,000 strings in many scripts", () => {
    const tiktoken = get_encoding("gpt2");
    try {
      fc.assert(
        fc.property(mixedText(), (text) => {
          expect(gpt2.encode(text, plain)).toEqual(Array.from(tiktoken.encode_ordinary(text)));
        }),
        { numRuns: 12_000 },
      );
    } finally {
      tiktoken.free();
    }
  });

  it("gives the ids of tiktoken on every code point of the basic plane between letters and spaces", () => {
    const tiktoken = get_encoding("gpt2");
    const differing: string[] = [];
    for (let codePoint = 0; codePoint < 0x10000; codePoint++) {
      const character = String.fromCharCode(codePoint);
      const text = `a${character}b ${character}${character} 1`;
      if (gpt2.encode(text, plain).join() !== Array.from(tiktoken.encode_ordinary(text)).join()) differing.push(codePoint.toString(16));
    }
    tiktoken.free();
    // Letters that a later Unicode than tiktoken's has added are words to us and other signs to it.
    const newer = Number(process.versions.unicode) > 15.1;
    expect(differing.length, differing.join(" ")).toBeLessThanOrEqual(newer ? 30 : 0);
  });

  it("decodes what it encoded, whole, by bytes and as a stream", () => {
    fc.assert(
      fc.property(mixedText(), (text) => {
        const ids = gpt2.encode(text, plain);
        expect(gpt2.decode(ids)).toBe(wellFormed(text));
        expect(Buffer.concat(ids.map((id) => gpt2.token(id).bytes))).toEqual(Buffer.from(utf8Bytes(text)));
        expect(streamed(gpt2, ids)).toBe(wellFormed(text));
      }),
      { numRuns: 2000 },
    );
  });

  it("streams any ids to what decode gives, never half a character before the end", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50256 })), (ids) => {
        expect(streamed(gpt2, ids)).toBe(gpt2.decode(ids));
      }),
      { numRuns: 1000 },
    );
    const globe = gpt2.decoder();
    expect([12520, 234, 235].map((id) => globe.push(id))).toEqual([" ", "", "🌍"]);
    expect(globe.end()).toBe("");
    const cutShort = gpt2.decoder();
    expect([12520, 234].map((id) => cutShort.push(id))).toEqual([" ", ""]);
    expect(cutShort.end()).toBe("\ufffd");
  });

  it("shows merges whose last step is what encode gives, each step joining one pair", () => {
    fc.assert(
      fc.property(mixedText({ maxParts: 4 }), (text) => {
        const shown = gpt2.merges(text);
        expect(shown.flatMap((steps) => steps.at(-1)!.pieces).map((piece) => gpt2.idOf(piece))).toEqual(gpt2.encode(text, { template: false }));
        for (const steps of shown) {
          for (let i = 1; i < steps.length; i++) {
            const [before, { pieces, at, rank }] = [steps[i - 1].pieces, steps[i]];
            expect(pieces).toEqual([...before.slice(0, at), before[at] + before[at + 1], ...before.slice(at + 2)]);
            expect(rank).toBeGreaterThanOrEqual(0);
          }
        }
      }),
      { numRuns: 500 },
    );
    const [hello] = gpt2.merges("hello");
    expect(hello.map((step) => step.pieces.join(" "))).toEqual(["h e l l o", "he l l o", "he ll o", "hell o", "hello"]);
    expect(hello[0]).toMatchObject({ at: -1, rank: -1 });
  });

  it("refuses ids outside the vocabulary and pieces too long to show", () => {
    expect(() => gpt2.token(50257)).toThrow(/id 50257 is outside the vocabulary, expected 0 to 50256/);
    expect(() => gpt2.decode([-1])).toThrow(/id -1 is outside/);
    expect(() => gpt2.token(1.5)).toThrow(/outside/);
    expect(() => gpt2.merges("a".repeat(5000))).toThrow(/5000 symbols, at most 4096/);
  });

  it("takes the empty text, NULs and lone surrogates", () => {
    expect(gpt2.encode("")).toEqual([]);
    expect(gpt2.decode([])).toBe("");
    expect(gpt2.merges("")).toEqual([]);
    expect(gpt2.decode(gpt2.encode("\u0000\ud800\u0000"))).toBe("\u0000\ufffd\u0000");
  });

  it("needs time in proportion to the text, however the text looks", { retry: 2 }, () => {
    const shapes = ["a", "ab", "é", "中", " ", "\n", "!", "0", "😀", "qwertyuiopasdfghjklzxcvbnm"];
    for (const shape of shapes) {
      const time = (length: number): number => {
        const text = shape.repeat(length / shape.length);
        const start = performance.now();
        gpt2.encode(text, plain);
        return performance.now() - start;
      };
      time(250_000);
      const [small, large] = [Math.min(time(250_000), time(250_000)), Math.min(time(1_000_000), time(1_000_000))];
      expect(large / Math.max(small, 5), `four times "${shape}"`).toBeLessThan(12); // linear gives 4, quadratic 16
    }
  });
});

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const decoder = tokenizer.decoder();
  let text = "";
  for (const id of ids) {
    const fresh = decoder.push(id);
    expect(/^[\udc00-\udfff]|[\ud800-\udbff]$/.test(fresh)).toBe(false);
    text += fresh;
  }
  return text + decoder.end();
}

describe.skipIf(!existsSync(`${data}/golden/tokenizer/gpt2.json`))("GPT-2's published vectors (skipped without ../shared/data)", () => {
  it("match to the id", () => {
    const vectors = JSON.parse(readFileSync(`${data}/golden/tokenizer/gpt2.json`, "utf8")) as { text: string; ids: number[] }[];
    expect(vectors.length).toBeGreaterThan(50);
    for (const { text, ids } of vectors) {
      expect(gpt2.encode(text), JSON.stringify(text)).toEqual(ids);
      expect(gpt2.decode(ids)).toBe(text);
    }
  });

  it("load from OpenAI's own files, which equal those worked out from the ranks", () => {
    const [vocab, merges] = ["vocab.json", "merges.txt"].map((file) => readFileSync(`${data}/gpt2-tokenizer/${file}`, "utf8"));
    expect(JSON.parse(files["vocab.json"])).toEqual(JSON.parse(vocab));
    expect(files["merges.txt"].trimEnd()).toBe(merges.trimEnd());
  });
});

describe("texts of more bytes than characters", () => {
  it("come back from their token bytes", () => {
    const text = "Здравствуй, мир 東京 🌍";
    const bytes = Buffer.concat(gpt2.encode(text).map((id) => gpt2.token(id).bytes));
    expect(utf8Text(bytes)).toBe(text);
  });
});
