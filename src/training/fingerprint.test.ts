import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprint, fingerprintOf } from "./fingerprint.ts";

describe("fingerprint", () => {
  it("is MurmurHash3 x86 128, by its published values", () => {
    expect(fingerprintOf("The quick brown fox jumps over the lazy dog")).toBe("2f1583c3ecee2c675d7bf66ce5e91d2c");
    expect(fingerprintOf("")).toBe("0".repeat(32));
  });

  it("does not mind how the bytes are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(200), { maxLength: 5 }), fc.nat(40_000), (bytes, cuts, filling) => {
        const long = new Uint8Array(filling + bytes.length).fill(7, 0, filling);
        long.set(bytes, filling);
        const [whole, pieces] = [fingerprint(), fingerprint()];
        whole.update(long);
        const places = [0, ...cuts.map((cut) => Math.min(cut * 99, long.length)), long.length].sort((a, b) => a - b);
        for (let i = 1; i < places.length; i++) pieces.update(long.subarray(places[i - 1], places[i]));
        expect(pieces.digest()).toBe(whole.digest());
      }),
      { numRuns: 40 },
    );
  });

  it("changes with every bit and with the length", () => {
    const of = (bytes: Uint8Array): string => {
      const all = fingerprint();
      all.update(bytes);
      return all.digest();
    };
    const bytes = Uint8Array.from({ length: 50 }, (_, i) => i * 37);
    const seen = new Set([of(bytes), of(bytes.subarray(1)), of(new Uint8Array(50)), of(new Uint8Array(51))]);
    for (let bit = 0; bit < 400; bit++) {
      const other = bytes.slice();
      other[bit >> 3] ^= 1 << (bit & 7);
      seen.add(of(other));
    }
    expect(seen.size).toBe(404);
  });
});
