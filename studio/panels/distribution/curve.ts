/** The top token's share and the entropy against the temperature: what the curve draws. */
import type { Own } from "./spread.ts";
import { tempered } from "./spread.ts";

export interface CurvePoint {
  readonly temperature: number;
  /** Of the most probable token. */
  readonly topShare: number;
  /** In bits. */
  readonly entropy: number;
}

export const highest = 10;

/** Close together where the curve is steep. */
export const temperatures: readonly number[] = [
  ...Array.from({ length: 20 }, (_, i) => i / 20),
  ...Array.from({ length: 20 }, (_, i) => 1 + i / 10),
  ...Array.from({ length: 29 }, (_, i) => 3 + i / 4),
];

export function curvePoint(own: Own, temperature: number): CurvePoint {
  const after = tempered(own, temperature);
  return { temperature, topShare: after.probability(own.best), entropy: after.entropy() };
}

/** The share of a token whose logit is `gap` (0 or less) away from the top one's: its weight is e^(gap / T) of the top one's. */
export function shareAt({ temperature, topShare }: CurvePoint, gap: number): number {
  return temperature === 0 ? 0 : topShare * Math.exp(gap / temperature);
}

/** One pass over the vocabulary for each point, in slices short enough that the page stays free. Nothing comes when given up. */
export async function curveOf(own: Own, signal: AbortSignal): Promise<readonly CurvePoint[] | undefined> {
  const points: CurvePoint[] = [];
  for (;;) {
    const until = performance.now() + 5;
    while (points.length < temperatures.length && performance.now() < until) points.push(curvePoint(own, temperatures[points.length]));
    if (points.length === temperatures.length) return points;
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return undefined;
  }
}
