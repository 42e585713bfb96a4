/**
 * Seeded random numbers: xoshiro128++ (Blackman and Vigna, 2019), seeded by SplitMix32.
 * Passed in wherever chance is needed, so the same seed gives the same text on every device; never Math.random.
 */

export interface Random {
  /** A number in [0, 1) with 53 random bits. */
  next(): number;
  /** Four 32-bit words from which the generator goes on exactly where it stood. */
  state(): [number, number, number, number];
}

/** Seeds are integers from 0 to 2^32 - 1; larger ones are folded. */
export function randomFrom(seed: number | readonly [number, number, number, number]): Random {
  let [a, b, c, d] = typeof seed === "number" ? seedWords(seed) : seed;

  const word = (): number => {
    const sum = (a + d) | 0;
    const result = (((sum << 7) | (sum >>> 25)) + a) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };

  return {
    next: () => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992, // 27 + 26 bits
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
}

/** SplitMix32: spreads one seed over four words that are never all zero. */
function seedWords(seed: number): [number, number, number, number] {
  let x = (seed ^ Math.floor(seed / 4294967296)) | 0;
  const next = (): number => {
    x = (x + 0x9e3779b9) | 0;
    let z = x ^ (x >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  return [next(), next(), next(), next()];
}
