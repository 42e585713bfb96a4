/**
 * Attention, head by head: every number from query to mixed values for one head, and the patterns of many heads as small pictures.
 */
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { checkPlace, listen } from "./capture.ts";
import { writeOut } from "./contributions.ts";
import type { HeadStages, Patterns } from "./inspection.ts";

/**
 * Queries, keys, values, scores, pattern and mixed values of one head over `ids`, and how much each position really gives: a position that is
 * looked at may have little to say, so `weighted` multiplies the pattern by the length of the value as it arrives in the residual stream
 * (Kobayashi et al. 2020, "Attention is Not Only a Weight"). Throws VitrineError for a head that is not there.
 */
export async function headStages(model: LanguageModel, ids: readonly number[], layer: number, head: number): Promise<HeadStages> {
  checkPlace(model, layer, head);
  const { heads: H, kvHeads: KV, headDimension: D, rotary } = model.config;
  const at = `blocks.${layer}.attn.`;
  const [q, k] = rotary ? [`${at}hook_rot_q`, `${at}hook_rot_k`] : [`${at}hook_q`, `${at}hook_k`];
  const rest = ["hook_v", "hook_attn_scores", "hook_pattern", "hook_z"].map((name) => at + name);
  const heard = await listen(model, ids, [q, k, ...rest], (_, tensor) => tensor.read());

  const T = ids.length;
  const keyHead = Math.floor((head * KV) / H);
  const vectors = (name: string, heads: number, h: number): Float32Array => {
    const [all, own] = [heard.get(name)!, new Float32Array(T * D)]; // (T, heads, D) -> (T, D)
    for (let t = 0; t < T; t++) own.set(all.subarray((t * heads + h) * D, (t * heads + h + 1) * D), t * D);
    return own;
  };
  const square = (name: string): Float32Array => heard.get(name)!.slice(head * T * T, (head + 1) * T * T);

  const v = vectors(`${at}hook_v`, KV, keyHead);
  const pattern = square(`${at}hook_pattern`);
  const lengths = await writtenLengths(model, layer, head, v);
  return {
    layer,
    head,
    keyHead,
    positions: T,
    headDimension: D,
    q: vectors(q, H, head),
    k: vectors(k, KV, keyHead),
    v,
    scores: square(`${at}hook_attn_scores`),
    pattern,
    z: vectors(`${at}hook_z`, H, head),
    weighted: pattern.map((weight, i) => weight * lengths[i % T]),
  };
}

/** (T,): the length of each value v (T, D) after the head's rows of the output matrix. */
async function writtenLengths(model: LanguageModel, layer: number, head: number, v: Float32Array): Promise<Float64Array> {
  const { heads: H, headDimension: D, width: C } = model.config;
  const T = v.length / D;
  const alone = new Float32Array(T * H * D);
  for (let t = 0; t < T; t++) alone.set(v.subarray(t * D, (t + 1) * D), (t * H + head) * D);
  const written = await writeOut(model, layer, "attention", alone);
  return Float64Array.from({ length: T }, (_, t) => Math.hypot(...written.subarray(t * C, (t + 1) * C)));
}

export interface PatternOptions {
  /** From one layer to another (excluded). Default: all. */
  readonly layers?: readonly [from: number, to: number];
  /** Patterns wider than this are made smaller: each cell is the largest of its block. Default: they are left as they are. */
  readonly largest?: number;
}

/** Whole patterns held at once: beyond this the layers are heard in several passes. */
const numbersAtOnce = 2 ** 25;
/** What may be given back at most: 512 MB. */
const mostNumbers = 2 ** 27;

/**
 * The patterns of all heads of the layers asked for. At 500 tokens GPT-2's 144 patterns are 144 MB, so thumbnails should ask for `largest: 24`
 * and a closer look for one layer. Throws VitrineError for layers that are not there, and when the result would be larger than 512 MB.
 */
export async function patterns(model: LanguageModel, ids: readonly number[], options: PatternOptions = {}): Promise<Patterns> {
  const { layers: L, heads: H } = model.config;
  const [from, to] = options.layers ?? [0, L];
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to > L || from >= to)
    throw new VitrineError(`patterns: layers ${from} to ${to} of ${L}; give a first layer from 0 and the one to stop before`);
  const T = ids.length;
  const largest = options.largest ?? T;
  if (!Number.isInteger(largest) || largest < 1)
    throw new VitrineError(`patterns: at most ${options.largest} cells wide; give a whole number from 1`);
  const size = Math.min(T, largest);
  if ((to - from) * H * size * size > mostNumbers)
    throw new VitrineError(
      `patterns: ${(to - from) * H} patterns of ${size} x ${size} are too much at once; ask for fewer layers, or say largest: 24`,
    );

  const data = new Float32Array((to - from) * H * size * size);
  const together = Math.max(1, Math.floor(numbersAtOnce / (H * T * T)));
  for (let first = from; first < to; first += together) {
    const count = Math.min(together, to - first);
    const names = Array.from({ length: count }, (_, i) => `blocks.${first + i}.attn.hook_pattern`);
    const heard = await listen(model, ids, names, (_, tensor) => tensor.read());
    for (const [i, name] of names.entries())
      for (let h = 0; h < H; h++) {
        const whole = heard.get(name)!.subarray(h * T * T, (h + 1) * T * T);
        data.set(size === T ? whole : poolLargest(whole, T, size), ((first - from + i) * H + h) * size * size);
      }
  }
  return { from, to, heads: H, positions: T, size, data };
}

/** A (T, T) picture as (size, size): each cell the largest number of its block. Blocks differ by one row or column at most. */
export function poolLargest(picture: Float32Array, T: number, size: number): Float32Array {
  const pooled = new Float32Array(size * size).fill(-Infinity);
  const cell = Int32Array.from({ length: T }, (_, t) => Math.floor((t * size) / T));
  for (let i = 0; i < T; i++)
    for (let j = 0; j < T; j++) {
      const to = cell[i] * size + cell[j];
      if (picture[i * T + j] > pooled[to]) pooled[to] = picture[i * T + j];
    }
  return pooled;
}
