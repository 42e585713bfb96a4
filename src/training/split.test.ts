import { describe, expect, it } from "vitest";
import { splitCorpus } from "./split.ts";

const END = 0;

/** Documents of 3 to 30 tokens, each with an end. */
function documents(count: number, from = 0): number[][] {
  return Array.from({ length: count }, (_, i) => [
    ...Array.from({ length: 3 + (((i + from) * 7) % 28) }, (_, t) => 1 + (((i + from) * 31 + t * 17) % 5000)),
    END,
  ]);
}

function part(tokens: Iterable<number>): string[] {
  const list: string[] = [];
  let open: number[] = [];
  for (const id of tokens) {
    open.push(id);
    if (id === END) {
      list.push(open.join(" "));
      open = [];
    }
  }
  return open.length > 0 ? [...list, open.join(" ")] : list;
}

describe("splitCorpus", () => {
  it("chooses whole documents where there are many, about the share of the tokens", () => {
    const all = documents(1000);
    const { train, validation, how } = splitCorpus({ tokens: Uint16Array.from(all.flat()) }, END);
    expect(how).toBe("documents");
    expect([...part(train.tokens), ...part(validation.tokens)].sort()).toEqual(all.map((ids) => ids.join(" ")).sort());
    const share = validation.tokens.length / (train.tokens.length + validation.tokens.length);
    expect(share).toBeGreaterThan(0.07);
    expect(share).toBeLessThan(0.13);
  });

  it("chooses the same ones when others are added, before or behind, and keeps equal ones together", () => {
    const all = documents(400);
    const of = (list: number[][]): Set<string> => new Set(part(splitCorpus({ tokens: Uint16Array.from(list.flat()) }, END).validation.tokens));
    const before = of(all);
    const after = of([...documents(300, 5000), ...all, ...documents(300, 9000), ...all]);
    for (const document of all.map((ids) => ids.join(" "))) expect(after.has(document)).toBe(before.has(document));
    const twice = splitCorpus({ tokens: Uint16Array.from([...all, ...all].flat()) }, END);
    const held = new Set(part(twice.validation.tokens));
    expect(part(twice.train.tokens).filter((document) => held.has(document))).toEqual([]);
  });

  it("takes the end of the text where there are few documents, no ends, or one that is most of the text", () => {
    const few = Uint16Array.from(documents(20).flat());
    const tail = splitCorpus({ tokens: few }, END, 0.25);
    expect(tail.how).toBe("tail");
    expect([...tail.train.tokens, ...tail.validation.tokens]).toEqual([...few]);
    expect(tail.validation.tokens).toHaveLength(Math.round(few.length / 4));
    expect(splitCorpus({ tokens: Uint16Array.from(documents(1000).flat()) }, undefined).how).toBe("tail");
  });

  it("takes the mask along", () => {
    for (const tokens of [Uint32Array.from(documents(300).flat()), Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)]) {
      const mask = Uint8Array.from(tokens, (id) => id % 2);
      const { train, validation } = splitCorpus({ tokens, mask }, END);
      for (const data of [train, validation]) expect([...data.mask!]).toEqual(Array.from(data.tokens, (id) => id % 2));
      expect(train.tokens).toBeInstanceOf(Uint32Array);
      expect(validation.tokens.length).toBeGreaterThan(0);
    }
  });

  it("share 0 keeps all; impossible ones are refused", () => {
    const tokens = Uint16Array.of(1, 2, 3);
    expect(splitCorpus({ tokens }, END, 0)).toMatchObject({ train: { tokens }, how: "none" });
    expect(() => splitCorpus({ tokens }, END, 0.1)).toThrow("only 3 tokens");
    for (const share of [-0.1, 1, NaN]) expect(() => splitCorpus({ tokens }, END, share)).toThrow("expected a number from 0 to below 1");
  });
});
