import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_LENGTH, blockBytes, blockOverflowsFrom, type BlockType, decodeBlocks, encodeBlocks } from "./quantised-blocks.ts";

const types: readonly BlockType[] = ["Q8_0", "Q4_0"];

/** 32 numbers, the first of them given. */
function block(...first: number[]): Float32Array {
  return Float32Array.from({ length: BLOCK_LENGTH }, (_, i) => first[i] ?? 0);
}

/** Blocks of ordinary weights, some of them all small, some with an outlier. */
const blocks: fc.Arbitrary<Float32Array> = fc
  .array(
    fc.tuple(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: BLOCK_LENGTH, maxLength: BLOCK_LENGTH }),
      fc.constantFrom(0, 0.01, 1, 300),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => Float32Array.from(parts.flatMap(([numbers, size]) => numbers.map((x) => x * size))));

describe("worked by hand", () => {
  test("Q8_0: scale 254 / 127 = 2, halves away from zero", () => {
    const bytes = encodeBlocks("Q8_0", block(254, -254, 1, -1, 3, 2.9, -100, 0.9));
    expect(bytes.length).toBe(34);
    expect([bytes[0], bytes[1]]).toEqual([0x00, 0x40]); // fp16 of 2
    expect([...new Int8Array(bytes.buffer, 2, 9)]).toEqual([127, -127, 1, -1, 2, 1, -50, 0, 0]);
    expect([...decodeBlocks("Q8_0", bytes).subarray(0, 8)]).toEqual([254, -254, 2, -2, 4, 2, -100, 0]);
  });

  test("Q4_0: the extreme -8 gives scale 1; number i lies low in byte i, number i + 16 high", () => {
    const values = block(-8, 7, 7.6, 0.5, -0.5, -7.4);
    values[16] = 1; // beside -8 (0)
    values[17] = -3; // beside 7 (15)
    const bytes = encodeBlocks("Q4_0", values);
    expect(bytes.length).toBe(18);
    expect([bytes[0], bytes[1]]).toEqual([0x00, 0x3c]); // fp16 of 1
    expect([...bytes.subarray(2, 9)]).toEqual([0x90, 0x5f, 0x8f, 0x89, 0x88, 0x81, 0x88]);
    const decoded = decodeBlocks("Q4_0", bytes);
    expect([...decoded.subarray(0, 6)]).toEqual([-8, 7, 7, 1, 0, -7]);
    expect([decoded[16], decoded[17]]).toEqual([1, -3]);
  });

  test("Q4_0: a positive extreme gives a negative scale, so that it still becomes -8", () => {
    const bytes = encodeBlocks("Q4_0", block(4, -4, 3.5, 0.5));
    expect([bytes[0], bytes[1]]).toEqual([0x00, 0xb8]); // fp16 of -0.5
    expect([...bytes.subarray(2, 6)]).toEqual([0x80, 0x8f, 0x81, 0x87]); // -4 would be step 16, of which there are only 15
    expect([...decodeBlocks("Q4_0", bytes).subarray(0, 4)]).toEqual([4, -3.5, 3.5, 0.5]);
  });

  test.each(types)("%s: zeros stay zeros", (type) => {
    expect(decodeBlocks(type, encodeBlocks(type, block())).every((x) => x === 0)).toBe(true);
  });
});

describe.each(types)("%s", (type) => {
  /** Largest error in steps: rounding to the nearest, and the fp16 rounding of the scale at the largest multiple. Q4_0 has no step +8. */
  const steps = type === "Q8_0" ? 127 : 8;
  const limit = (type === "Q8_0" ? 0.5 : 1) + steps * 2 ** -11;

  test("every number comes back within half a step of its block", () => {
    fc.assert(
      fc.property(blocks, (values) => {
        const decoded = decodeBlocks(type, encodeBlocks(type, values));
        for (let at = 0; at < values.length; at += BLOCK_LENGTH) {
          const most = values.subarray(at, at + BLOCK_LENGTH).reduce((a, x) => Math.max(a, Math.abs(x)), 0);
          const step = most / steps;
          const tiny = 2 ** -25 * steps; // scales below fp16's smallest step
          for (let i = at; i < at + BLOCK_LENGTH; i++) expect(Math.abs(decoded[i] - values[i])).toBeLessThanOrEqual(limit * step * 1.0001 + tiny);
        }
      }),
    );
  });

  test("numbers that came out of blocks go back into them unchanged", () => {
    fc.assert(
      fc.property(blocks, (values) => {
        const once = decodeBlocks(type, encodeBlocks(type, values));
        const twice = decodeBlocks(type, encodeBlocks(type, once));
        expect(twice.every((x, i) => x === once[i])).toBe(true);
      }),
    );
  });

  test("the largest numbers a block can hold, and the first that it cannot", () => {
    const first = blockOverflowsFrom(type);
    const below = Math.fround(first * (1 - 2 ** -23));
    expect(decodeBlocks(type, encodeBlocks(type, block(-below)))[0]).toBe(-65504 * steps);
    expect(decodeBlocks(type, encodeBlocks(type, block(-first)))[0]).toBe(-Infinity);
  });

  test("half a block is a bug of ours", () => {
    expect(() => encodeBlocks(type, new Float32Array(33))).toThrow("internal: encodeBlocks: 33 numbers");
    expect(() => decodeBlocks(type, new Uint8Array(blockBytes[type] + 1))).toThrow("internal: decodeBlocks");
  });
});
