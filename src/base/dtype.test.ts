/**
 * The oracles here are arithmetic: what a bit pattern means by IEEE 754's formula, and which of its neighbours a number is nearest to.
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FloatType, fromFloat32, overflowsFrom, toFloat32 } from "./dtype.ts";

/** sign * 2^(exponent - bias) * (1 + fraction), as the standard defines it. */
function meaning(bits: number, exponentBits: number, fractionBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = bits >> (exponentBits + fractionBits) ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
const formats = [
  { type: "F16", exponentBits: 5, fractionBits: 10 },
  { type: "BF16", exponentBits: 8, fractionBits: 7 },
] as const;

describe.each(formats)("$type", ({ type, exponentBits, fractionBits }) => {
  const values = Float64Array.from(halves, (bits) => meaning(bits, exponentBits, fractionBits));
  const infinity = (2 ** exponentBits - 1) * 2 ** fractionBits;
  /** By the rule that IEEE 754 sets: as if the exponent had no end, then everything past the largest finite number is infinity. */
  const ceiling = 2 ** (2 ** (exponentBits - 1));

  const encodeOne = (value: number): number => new Uint16Array(fromFloat32(type, Float32Array.of(value)).buffer)[0];

  /** The nearest by comparing distances to both neighbours; of two equally near ones the even. Positive and finite input. */
  const nearestHalf = (value: number): number => {
    let low = 0;
    let high = infinity; // values[low] <= value, found by bisection: positive halves are ordered as their bits
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (values[middle] <= value) low = middle;
      else high = middle;
    }
    const above = high === infinity ? ceiling : values[high];
    const down = value - values[low];
    const up = above - value;
    if (down === up) return low % 2 === 0 ? low : high;
    return down < up ? low : high;
  };

  it("decodes all 65,536 numbers to what the formula says", () => {
    const decoded = toFloat32(type, new Uint8Array(halves.buffer));
    let wrong = 0;
    for (let bits = 0; bits < 65536; bits++) if (!Object.is(decoded[bits], values[bits])) wrong++;
    expect(wrong).toBe(0);
  });

  it("encodes each of them back to the same bits, NaNs to a NaN", () => {
    const encoded = new Uint16Array(fromFloat32(type, toFloat32(type, new Uint8Array(halves.buffer))).buffer);
    let wrong = 0;
    for (let bits = 0; bits < 65536; bits++) {
      const same = Number.isNaN(values[bits]) ? Number.isNaN(values[encoded[bits]]) : encoded[bits] === bits;
      if (!same) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it("rounds what lies between two neighbours to the nearer, ties to even, all pairs of them", () => {
    const probes: number[] = [];
    for (let bits = 0; bits < infinity; bits++) {
      const low = values[bits];
      const high = bits + 1 === infinity ? ceiling : values[bits + 1];
      const middle = low + (high - low) / 2;
      probes.push(low + (high - low) / 4, justBelow(middle), middle, justAbove(middle), low + ((high - low) * 3) / 4);
    }
    const rounded = Float32Array.from(probes);
    const encoded = new Uint16Array(fromFloat32(type, rounded).buffer);
    const negated = new Uint16Array(
      fromFloat32(
        type,
        rounded.map((x) => -x),
      ).buffer,
    );
    let wrong = 0;
    for (let i = 0; i < encoded.length; i++) {
      const expected = nearestHalf(rounded[i]);
      if (encoded[i] !== expected || negated[i] !== expected + 0x8000) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it("rounds any fp32 number to its nearest", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
        expect(encodeOne(value)).toBe(sign + nearestHalf(Math.abs(value)));
      }),
      { numRuns: 5000 },
    );
  });

  it("keeps infinities, NaN and the sign of zero", () => {
    expect(encodeOne(Infinity)).toBe(infinity);
    expect(encodeOne(-Infinity)).toBe(infinity + 0x8000);
    expect(encodeOne(-0)).toBe(0x8000);
    for (const bits of [0x7fc00000, 0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001]) {
      const nan = new Float32Array(Uint32Array.of(bits).buffer);
      expect(values[new Uint16Array(fromFloat32(type, nan).buffer)[0]]).toBeNaN();
    }
  });

  it("overflows exactly from the number it says", () => {
    expect(encodeOne(overflowsFrom[type])).toBe(infinity);
    expect(encodeOne(justBelow(overflowsFrom[type]))).toBe(infinity - 1);
  });
});

describe("any type", () => {
  const type = fc.constantFrom<FloatType>("F32", "F16", "BF16");

  it("decodes at any alignment", () => {
    fc.assert(
      fc.property(type, fc.array(fc.float({ noNaN: true }), { maxLength: 20 }), fc.integer({ min: 0, max: 7 }), (type, values, shift) => {
        const encoded = fromFloat32(type, Float32Array.from(values));
        const shifted = new Uint8Array(encoded.length + shift);
        shifted.set(encoded, shift);
        expect(toFloat32(type, shifted.subarray(shift))).toEqual(toFloat32(type, encoded));
      }),
    );
  });

  it("F32 keeps every bit and never hands out the caller's memory", () => {
    const values = Float32Array.of(1.5, -0, 3e-45, Infinity);
    const bytes = fromFloat32("F32", values);
    expect(toFloat32("F32", bytes)).toEqual(values);
    bytes.fill(0);
    expect(values[0]).toBe(1.5);
    const part = fromFloat32("F32", values.subarray(1, 3));
    expect(part.length).toBe(8);
  });

  it("calls a broken number a bug of ours", () => {
    expect(() => toFloat32("F32", new Uint8Array(7))).toThrow(/^internal: /);
    expect(() => toFloat32("F16", new Uint8Array(3))).toThrow(/^internal: /);
  });
});

/** The fp32 neighbours of a positive fp32 number. */
function justBelow(value: number): number {
  return step(value, -1);
}
function justAbove(value: number): number {
  return step(value, 1);
}
function step(value: number, by: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] += by;
  return new Float32Array(bits.buffer)[0];
}
