/**
 * The living definition of the attention kernels: rotary positions, the key/value cache, and attention itself
 * in one call or in three steps (scores, softmax in kernels.ts, mix).
 */
import { internal } from "../../base/errors.ts";
import type { AttentionSizes, Kernels } from "../device.ts";
import { floats, integers } from "./memory.ts";

export const attentionKernels: Pick<Kernels, "rope" | "append" | "attention" | "attentionScores" | "attentionMix"> = {
  rope(out, x, tables, past, B, T, heads, D, rotary) {
    const [o, a, table, start] = [floats(out), floats(x), floats(tables), integers(past)];
    const half = rotary / 2;
    for (let b = 0; b < B; b++)
      for (let t = 0; t < T; t++)
        for (let h = 0; h < heads; h++) {
          const outBTH = ((b * T + t) * heads + h) * D;
          const turn = (start[b] + t) * rotary;
          for (let i = 0; i < half; i++) {
            const [cos, sin] = [table[turn + i], table[turn + half + i]];
            const [first, second] = [a[outBTH + i], a[outBTH + half + i]];
            o[outBTH + i] = first * cos - second * sin;
            o[outBTH + half + i] = second * cos + first * sin;
          }
          for (let i = rotary; i < D; i++) o[outBTH + i] = a[outBTH + i];
        }
  },

  append(cache, x, past, B, T, heads, D, capacity) {
    const [o, a, start] = [floats(cache), floats(x), integers(past)];
    for (let b = 0; b < B; b++) {
      if (start[b] + T > capacity) throw internal(`append: ${T} positions after ${start[b]} in a cache of ${capacity}`);
      for (let t = 0; t < T; t++)
        for (let h = 0; h < heads; h++)
          for (let i = 0; i < D; i++) o[((b * heads + h) * capacity + start[b] + t) * D + i] = a[((b * T + t) * heads + h) * D + i];
    }
  },

  attention(out, q, keys, values, sizes) {
    const [o, Q, K, V] = [floats(out), floats(q), floats(keys), floats(values)];
    const { H, T, D } = sizes;
    eachQuery(sizes, (b, h, t, from, to, keysBH) => {
      const qBTH = ((b * T + t) * H + h) * D;

      // pass 1: scores of the keys this query may see, and their max
      const scores: number[] = [];
      for (let s = from; s < to; s++) scores.push(dot(Q, qBTH, K, keysBH + s * D, D) * sizes.scale);
      const max = Math.max(...scores);

      // pass 2: exp, shifted by max so it cannot overflow
      const weights = scores.map((score) => Math.exp(score - max));
      const total = weights.reduce((a, b) => a + b);

      // pass 3: the mean of the values under those weights
      for (let i = 0; i < D; i++) {
        let y = 0;
        for (let s = from; s < to; s++) y += weights[s - from] * V[keysBH + s * D + i];
        o[qBTH + i] = y / total;
      }
    });
  },

  attentionScores(out, q, keys, sizes, S) {
    const [o, Q, K] = [floats(out), floats(q), floats(keys)];
    const { H, T, D } = sizes;
    eachQuery(sizes, (b, h, t, from, to, keysBH) => {
      for (let s = 0; s < S; s++) {
        const visible = s >= from && s < to;
        o[((b * H + h) * T + t) * S + s] = visible ? dot(Q, ((b * T + t) * H + h) * D, K, keysBH + s * D, D) * sizes.scale : -Infinity;
      }
    });
  },

  /** Reads the values of visible positions only: what lies beyond was never written. */
  attentionMix(out, pattern, values, sizes, S) {
    const [o, P, V] = [floats(out), floats(pattern), floats(values)];
    const { H, T, D } = sizes;
    eachQuery(sizes, (b, h, t, from, to, keysBH) => {
      for (let i = 0; i < D; i++) {
        let y = 0;
        for (let s = from; s < to; s++) y += P[((b * H + h) * T + t) * S + s] * V[keysBH + s * D + i];
        o[((b * T + t) * H + h) * D + i] = y;
      }
    });
  },
};

/** Visits every query head of every new position, with the range of positions it sees and where its key head's cache begins. */
function eachQuery(sizes: AttentionSizes, visit: (b: number, h: number, t: number, from: number, to: number, keysBH: number) => void): void {
  const { B, T, H, KV, D, capacity, window } = sizes;
  const past = integers(sizes.past);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let t = 0; t < T; t++) {
        const position = past[b] + t;
        const from = window > 0 ? Math.max(0, position - window + 1) : 0;
        const keyHead = Math.floor((h * KV) / H);
        visit(b, h, t, from, position + 1, (b * KV + keyHead) * capacity * D);
      }
}

function dot(x: Float32Array, xAt: number, y: Float32Array, yAt: number, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += x[xAt + i] * y[yAt + i];
  return total;
}
