/**
 * The living definition of the attention kernels: rotary positions, the key/value cache, and attention itself
 * in one call or in three steps (scores, softmax in kernels.ts, mix); and the way back through the rotary positions and attention.
 */
import { internal } from "../../base/errors.ts";
import type { AttentionSizes, Kernels } from "../device.ts";
import { floats, integers } from "./memory.ts";

export type AttentionKernel = "rope" | "ropeBackward" | "append" | "attention" | "attentionBackward" | "attentionScores" | "attentionMix";

export const attentionKernels: Pick<Kernels, AttentionKernel> = {
  rope(out, x, tables, past, B, T, heads, D, rotary) {
    turn(floats(out), floats(x), floats(tables), integers(past), B, T, heads, D, rotary, 1);
  },
  /** A rotation's transpose is its inverse: the same angle, the other way. */
  ropeBackward(dX, dY, tables, past, B, T, heads, D, rotary) {
    turn(floats(dX), floats(dY), floats(tables), integers(past), B, T, heads, D, rotary, -1);
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

  attentionBackward(dQ, dK, dV, dY, q, keys, values, y, sizes) {
    const [dq, dk, dv, dy, Q, K, V, Y] = [dQ, dK, dV, dY, q, keys, values, y].map(floats);
    const { B, T, H, KV, D, scale } = sizes;
    const past = integers(sizes.past).subarray(0, B);
    if (past.some((positions) => positions > 0)) throw internal(`attentionBackward: ${past.join(", ")} positions are cached, none was expected`);
    const [keyTotals, valueTotals] = [new Float64Array(B * T * KV * D), new Float64Array(B * T * KV * D)];
    eachQuery(sizes, (b, h, t, from, to, keysBH) => {
      const qBTH = ((b * T + t) * H + h) * D;
      const keyHead = Math.floor((h * KV) / H);

      // pass 1: the pattern again, softmax of the scores
      const scores: number[] = [];
      for (let s = from; s < to; s++) scores.push(dot(Q, qBTH, K, keysBH + s * D, D) * scale);
      const max = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - max));
      const total = weights.reduce((a, b) => a + b);

      // pass 2: through softmax, dScore = p (dP - sum of p dP), where dP = dY.v and that sum is dY.y; then to query, key and value
      const mean = dot(dy, qBTH, Y, qBTH, D);
      const dQuery = new Float64Array(D);
      for (let s = from; s < to; s++) {
        const p = weights[s - from] / total;
        const dScore = p * (dot(dy, qBTH, V, keysBH + s * D, D) - mean) * scale;
        const newBSH = ((b * T + s) * KV + keyHead) * D; // where a new key or value lies before it is appended
        for (let i = 0; i < D; i++) {
          dQuery[i] += dScore * K[keysBH + s * D + i];
          keyTotals[newBSH + i] += dScore * Q[qBTH + i];
          valueTotals[newBSH + i] += p * dy[qBTH + i];
        }
      }
      dq.set(dQuery, qBTH);
    });
    dk.set(keyTotals);
    dv.set(valueTotals);
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

/** Turns pair i of each head by its position's angle (direction 1) or back (-1); what is beyond the `rotary` first numbers stays. */
function turn(
  out: Float32Array,
  x: Float32Array,
  tables: Float32Array,
  past: Int32Array,
  B: number,
  T: number,
  heads: number,
  D: number,
  rotary: number,
  direction: 1 | -1,
): void {
  const half = rotary / 2;
  for (let b = 0; b < B; b++)
    for (let t = 0; t < T; t++)
      for (let h = 0; h < heads; h++) {
        const outBTH = ((b * T + t) * heads + h) * D;
        const tableT = (past[b] + t) * rotary;
        for (let i = 0; i < half; i++) {
          const [cos, sin] = [tables[tableT + i], direction * tables[tableT + half + i]];
          const [first, second] = [x[outBTH + i], x[outBTH + half + i]];
          out[outBTH + i] = first * cos - second * sin;
          out[outBTH + half + i] = second * cos + first * sin;
        }
        for (let i = rotary; i < D; i++) out[outBTH + i] = x[outBTH + i];
      }
}

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
