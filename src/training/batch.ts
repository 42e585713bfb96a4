/**
 * Batches: windows of a text, each asked for the successor of every token in it. Training draws them at random places, with
 * replacement, as nanoGPT does; looking at a text (trainer.ts) takes evenly spread ones, the same each time.
 */
import { VitrineError } from "../base/errors.ts";
import { randomFrom } from "../base/random.ts";
import type { Random, RandomState } from "../base/random.ts";
import type { TokenData } from "./token-list.ts";

export interface Batch {
  /** B sequences of T tokens. */
  readonly inputs: readonly (readonly number[])[];
  /** (B, T): the token that follows each, or -1 where it does not count. */
  readonly targets: Int32Array;
  /** Targets that count. */
  readonly counted: number;
}

export interface Batches {
  next(): Batch;
  /** From which the same batches come again. */
  state(): RandomState;
}

/** Windows drawn before it is believed that none holds anything to learn. */
const DRAWS = 1000;

/**
 * Batches of `batch` windows of `context` tokens from random places; the same seed or state gives the same ones.
 * With a mask, a window in which nothing counts is drawn again.
 * Throws VitrineError when the text is too short for one window, or nothing in it counts.
 */
export function randomBatches(data: TokenData, batch: number, context: number, from: number | RandomState): Batches {
  checkLength(data, context, "the training text");
  checkMask(data);
  const random = randomFrom(from);
  return {
    next: () => batchAt(data, Array.from({ length: batch }, () => draw(data, context, random)), context), // prettier-ignore
    state: () => random.state(),
  };
}

/** Throws VitrineError, which names both lengths and the cure, when there is no window of `context` tokens and a successor. */
export function checkLength(data: TokenData, context: number, what: string): void {
  const { length } = data.tokens;
  if (length > context) return;
  throw new VitrineError(
    `training: ${what} has ${length} tokens, a context of ${context} needs at least ${context + 1}; use a context of at most ${Math.max(1, length - 1)}, or more text`,
  );
}

function checkMask({ tokens, mask }: TokenData): void {
  if (mask === undefined) return;
  if (mask.length !== tokens.length)
    throw new VitrineError(`training: a mask of ${mask.length} for ${tokens.length} tokens; expected one number for each`);
  if (mask.indexOf(1, 1) < 0)
    throw new VitrineError("training: the mask counts no token, so there is nothing to learn; mark what is to be learned with 1");
}

function draw(data: TokenData, context: number, random: Random): number {
  const places = data.tokens.length - context;
  for (let i = 0; i < DRAWS; i++) {
    const start = Math.floor(random.next() * places);
    if (data.mask === undefined || data.mask.subarray(start + 1, start + context + 1).includes(1)) return start;
  }
  throw new VitrineError(
    `training: ${DRAWS} windows of ${context} tokens in a row held nothing to learn; use a larger context or more text that counts`,
  );
}

/**
 * Batches of windows spread evenly over a text: `count` windows at most, fewer where they would overlap. Never random.
 * With a mask, over those windows in which something counts.
 */
export function evenBatches(data: TokenData, batch: number, context: number, count: number): Batch[] {
  const most = data.tokens.length - 1 - context; // where the last one may start
  const spread = (windows: number): number[] => Array.from({ length: windows }, (_, i) => Math.floor((i * most) / Math.max(1, windows - 1)));
  const windows = Math.max(1, Math.min(count, Math.floor((data.tokens.length - 1) / context)));
  const starts =
    data.mask === undefined ? spread(windows) : spreadOver(data.mask, spread(Math.ceil((data.tokens.length - 1) / context)), context, count);
  const batches: Batch[] = [];
  for (let at = 0; at < starts.length; at += batch) batches.push(batchAt(data, starts.slice(at, at + batch), context));
  return batches;
}

/** Of windows that cover a text, `count` at most in which something counts; the first one where none has. */
function spreadOver(mask: Uint8Array, all: readonly number[], context: number, count: number): number[] {
  const counting = all.filter((start) => mask.subarray(start + 1, start + context + 1).includes(1));
  if (counting.length === 0) return all.slice(0, 1);
  const chosen = Math.min(count, counting.length);
  return Array.from({ length: chosen }, (_, i) => counting[Math.floor((i * counting.length) / chosen)]);
}

function batchAt({ tokens, mask }: TokenData, starts: readonly number[], context: number): Batch {
  const targets = new Int32Array(starts.length * context);
  let counted = 0;
  starts.forEach((start, b) => {
    for (let t = 0; t < context; t++) {
      const next = start + t + 1;
      const counts = mask === undefined || mask[next] === 1;
      targets[b * context + t] = counts ? tokens[next] : -1;
      if (counts) counted++;
    }
  });
  return { inputs: starts.map((start) => Array.from(tokens.subarray(start, start + context))), targets, counted };
}
