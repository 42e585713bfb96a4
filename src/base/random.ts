/**
 * Seeded random numbers: xoshiro128++ (Blackman and Vigna, 2019), seeded by SplitMix32.
 * Passed in wherever chance is needed, so the same seed gives the same text on every device; never Math.random.
 */
import { VitrineError } from "./errors.ts";

export type RandomState = readonly [number, number, number, number];

export interface Random {
  /** A number in [0, 1) with 53 random bits. */
  next(): number;
  /** Four 32-bit words from which the generator goes on exactly where it stood. */
  state(): RandomState;
}

/**
 * A generator from a seed (an integer from 0 to 2^53 - 1; everything above 32 bits is folded in) or from a saved `state()`.
 * Throws VitrineError for other numbers, for words that are not 32-bit, and for the all-zero state, which would only give zeros.
 */
export function randomFrom(seed: number | RandomState): Random {
  const { word, state } = xoshiro128(typeof seed === "number" ? seedWords(seed) : seed);
  return {
    next: () => {
      const high = word() >>> 5; // 27 bits, drawn first
      return (high * 67108864 + (word() >>> 6)) / 9007199254740992; // and 26 more
    },
    state,
  };
}

/** The generator itself: `word()` gives the published sequence of unsigned 32-bit words. */
export function xoshiro128(from: RandomState): { word(): number; state(): RandomState } {
  let [a, b, c, d] = checkState(from);
  return {
    word: () => {
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
    },
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
}

function checkState(words: RandomState): RandomState {
  const whole = words.length === 4 && words.every((word) => Number.isInteger(word) && word >= 0 && word <= 0xffffffff);
  if (whole && words.some((word) => word !== 0)) return words;
  throw new VitrineError(`random: state [${words.join(", ")}], expected four integers from 0 to 4294967295, not all 0; use what state() gave`);
}

/** SplitMix32: spreads one seed over four words that are never all zero. */
function seedWords(seed: number): RandomState {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new VitrineError(`random: seed ${seed}, expected an integer from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
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
