/** What an edit changed: two distributions over the same vocabulary, side by side. */
import { distributionOf, divergence } from "../../engine/engine-client.ts";
import type { CompleteDistribution } from "../../engine/engine-client.ts";

export interface DifferenceRow {
  readonly id: number;
  readonly before: number;
  readonly after: number;
  /** after - before, in percentage points. */
  readonly points: number;
  readonly rankBefore: number;
  readonly rankAfter: number;
}

export interface Difference {
  /** The best of both, the likelier of its two probabilities first. */
  readonly rows: readonly DifferenceRow[];
  readonly favouriteBefore: number;
  readonly favouriteAfter: number;
  /** Kullback-Leibler divergence of the one after from the one before, in bits. */
  readonly bits: number;
  readonly restBefore: number;
  readonly restAfter: number;
}

export function differenceOf(logitsBefore: Float32Array, logitsAfter: Float32Array, count: number): Difference {
  const [before, after] = [distributionOf(logitsBefore), distributionOf(logitsAfter)];
  const [topBefore, topAfter] = [before.top(count), after.top(count)];
  const ids = new Set([...topBefore, ...topAfter].map(({ id }) => id));
  const rows = [...ids].map((id) => rowOf(id, before, after)).toSorted((a, b) => Math.max(b.before, b.after) - Math.max(a.before, a.after));
  return {
    rows,
    favouriteBefore: topBefore[0].id,
    favouriteAfter: topAfter[0].id,
    bits: divergence(before, after) / Math.LN2,
    restBefore: 1 - rows.reduce((sum, row) => sum + row.before, 0),
    restAfter: 1 - rows.reduce((sum, row) => sum + row.after, 0),
  };
}

function rowOf(id: number, before: CompleteDistribution, after: CompleteDistribution): DifferenceRow {
  const [p, q] = [before.probability(id), after.probability(id)];
  return { id, before: p, after: q, points: (q - p) * 100, rankBefore: before.rank(id), rankAfter: after.rank(id) };
}
