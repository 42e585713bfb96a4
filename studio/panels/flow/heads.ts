/** What the panel works out about heads: arcs, the sum behind a score, the sink dimmed. Pure. */
import type { HeadStages, Looks } from "../../engine/protocol.ts";

export type Measure = "weight" | "contribution";

/** (T,): how much the position numbered `p` of `looks` looks at each position, by one head or by the mean of all. */
export function lookRow({ heads, length: T, data }: Looks, p: number, head: number | "mean"): Float32Array {
  if (head !== "mean") return data.subarray((p * heads + head) * T, (p * heads + head + 1) * T);
  const mean = new Float32Array(T);
  for (let h = 0; h < heads; h++) for (let j = 0; j < T; j++) mean[j] += data[(p * heads + h) * T + j] / heads;
  return mean;
}

/** (T, T) of the measure. Contributions are lengths; weights sum to 1 in each row. */
export function pictureOf({ pattern, weighted }: HeadStages, measure: Measure): Float32Array {
  return measure === "weight" ? pattern : weighted;
}

/** Row i of a (T, T) picture as shares of its sum: weights as they are, contributions made comparable. */
export function shares(picture: Float32Array, T: number, i: number): Float32Array {
  const row = picture.slice(i * T, (i + 1) * T);
  const sum = row.reduce((total, x) => total + x, 0);
  return sum > 0 ? row.map((x) => x / sum) : row;
}

/** The largest number of the part that is drawn at full strength: all of it, or all but the first token's column. */
export function brightest(picture: Float32Array, T: number, dimFirst: boolean): number {
  let most = 0;
  for (let i = 0; i < picture.length; i++) if (picture[i] > most && !(dimFirst && i % T === 0)) most = picture[i];
  return most;
}

/** The positions that row `i` looks at most, best first; ties to the earlier. */
export function lookedAt(row: Float32Array, count: number, dimFirst = false): number[] {
  const order = [...row.keys()].filter((j) => row[j] > 0);
  const rank = (j: number): number => (dimFirst && j === 0 ? -1 : row[j]);
  return order.toSorted((a, b) => rank(b) - rank(a) || a - b).slice(0, count);
}

/** q.k / sqrt(D), term by term. */
export interface ScoreSum {
  readonly terms: readonly { readonly q: number; readonly k: number; readonly product: number }[];
  /** Of all products. */
  readonly total: number;
  readonly score: number;
  readonly hidden: boolean;
  readonly weight: number;
  /** Length of the value that is looked at. */
  readonly valueLength: number;
}

export function scoreSum(stages: HeadStages, i: number, j: number): ScoreSum {
  const { headDimension: D, positions: T, q, k, v, scores, pattern } = stages;
  const terms = Array.from({ length: D }, (_, d) => ({ q: q[i * D + d], k: k[j * D + d], product: q[i * D + d] * k[j * D + d] }));
  const score = scores[i * T + j];
  return {
    terms,
    total: terms.reduce((sum, { product }) => sum + product, 0),
    score,
    hidden: !Number.isFinite(score),
    weight: pattern[i * T + j],
    valueLength: Math.hypot(...v.subarray(j * D, (j + 1) * D)),
  };
}
