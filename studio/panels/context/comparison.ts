/** What a shorter memory does to the next word: two distributions side by side, how far apart they are, and the finding in words. Pure. */
import { divergence } from "../../engine/engine-client.ts";
import type { CompleteDistribution } from "../../engine/engine-client.ts";

export interface Pair {
  readonly id: number;
  readonly text: string;
  /** With all the context the model has. */
  readonly full: number;
  /** With the shorter one. */
  readonly short: number;
}

/** The `count` tokens that matter most to either side, by the full context's order. */
export function pairs(full: CompleteDistribution, short: CompleteDistribution, textOf: (id: number) => string, count: number): Pair[] {
  const ids = new Set([...full.top(count), ...short.top(count)].map(({ id }) => id));
  return [...ids]
    .map((id) => ({ id, text: textOf(id), full: full.probability(id), short: short.probability(id) }))
    .toSorted((a, b) => Math.max(b.full, b.short) - Math.max(a.full, a.short))
    .slice(0, count)
    .toSorted((a, b) => b.full - a.full || b.short - a.short);
}

export interface Distance {
  /** Of the shorter context's distribution from the full one's, in bits. */
  readonly bits: number;
  readonly entropyFull: number;
  readonly entropyShort: number;
}

export function distance(full: CompleteDistribution, short: CompleteDistribution): Distance {
  return { bits: divergence(full, short) / Math.LN2, entropyFull: full.entropy(), entropyShort: short.entropy() };
}

/** Context sizes worth trying on a text: 1, 2, 4 ... and all of it. */
export function contextSizes(length: number, most: number): number[] {
  const all = Math.min(length, most);
  const sizes: number[] = [];
  for (let size = 1; size < all; size *= 2) sizes.push(size);
  if (all > 0) sizes.push(all);
  return sizes;
}

/** A logarithmic slider with `steps` steps from 1 to `most`. */
export const sizeAt = (step: number, steps: number, most: number): number =>
  Math.max(1, Math.min(most, Math.round(2 ** ((step / steps) * Math.log2(most)))));
export const stepOf = (size: number, steps: number, most: number): number =>
  most <= 1 ? steps : Math.round((Math.log2(Math.max(1, Math.min(size, most))) / Math.log2(most)) * steps);

export type Finding =
  | "whole" // nothing fell out
  | "same" // what fell out did not matter
  | "surer"
  | "lessSure"
  | "changed"; // another favourite

/** Below this many bits nobody would notice. */
const unnoticed = 0.02;

export function finding(forgotten: number, full: CompleteDistribution, short: CompleteDistribution): Finding {
  if (forgotten === 0) return "whole";
  const [favourite] = full.top(1);
  if (short.top(1)[0].id !== favourite.id) return "changed";
  if (divergence(full, short) / Math.LN2 < unnoticed) return "same";
  return short.probability(favourite.id) > favourite.probability ? "surer" : "lessSure";
}
