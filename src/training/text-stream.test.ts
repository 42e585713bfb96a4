import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import { stretches } from "./text-stream.ts";
import type { Stretch } from "./text-stream.ts";

async function all(bytes: Uint8Array, block: number): Promise<Stretch[]> {
  const list: Stretch[] = [];
  for await (const stretch of stretches(bytesOf("text", bytes), undefined, block)) list.push(stretch);
  return list;
}

const utf8 = new TextEncoder();

function joined(list: readonly Stretch[]): Uint8Array {
  return Uint8Array.from(list.flatMap((stretch) => [...("text" in stretch ? utf8.encode(stretch.text) : stretch.invalid)]));
}

/** Text, and bytes that begin, continue or break characters. */
const messy = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 4 }).map((text) => [...utf8.encode(text)]),
      fc.array(fc.integer({ min: 0x7f, max: 0xff }), { maxLength: 3 }),
    ),
    {
      maxLength: 12,
    },
  )
  .map((parts) => Uint8Array.from(parts.flat()));

describe("stretches", () => {
  it("loses and changes no byte, whatever the blocks", async () => {
    await fc.assert(
      fc.asyncProperty(messy, fc.integer({ min: 1, max: 9 }), async (bytes, block) => {
        expect(joined(await all(bytes, block))).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it("calls invalid what TextDecoder calls so, and nothing else", async () => {
    await fc.assert(
      fc.asyncProperty(messy, fc.integer({ min: 1, max: 9 }), async (bytes, block) => {
        const list = await all(bytes, block);
        const isText = ((): boolean => {
          try {
            new TextDecoder("utf-8", { fatal: true }).decode(bytes);
            return true;
          } catch {
            return false;
          }
        })();
        expect(list.some((stretch) => "invalid" in stretch)).toBe(!isText);
        for (const stretch of list) if ("invalid" in stretch) expect(new TextDecoder("utf-8").decode(stretch.invalid)).toMatch(/^\ufffd+$/);
      }),
      { numRuns: 300 },
    );
  });

  it("keeps a byte order mark", async () => {
    expect(await all(utf8.encode("\ufeffa"), 100)).toEqual([{ text: "\ufeffa" }]);
  });
});
