/** The rank ladder's lines and where their labels stand. Pure; Ladder.svelte draws. */
import type { Column, Way } from "./columns.ts";

export interface Line extends Way {
  /** The model's own favourite. */
  readonly final: boolean;
  /** The token that really came next. */
  readonly came: boolean;
}

/** Every token that led at any stage and the one that came, best at the last stage first. */
export function linesOf({ leaders, came, final, stages }: Column): Line[] {
  const ways = came === undefined || leaders.some(({ id }) => id === came.id) ? leaders : [...leaders, came];
  return ways
    .map((way) => ({ ...way, final: way.id === final, came: way.id === came?.id }))
    .toSorted((a, b) => a.ranks[stages - 1] - b.ranks[stages - 1]);
}

/** Which lines get a label where only `room` fit: those that matter, then the best at the end. Gives them in their order. */
export function labelled(lines: readonly Line[], room: number, chosen?: number): Line[] {
  const weight = (line: Line): number => (line.id === chosen ? 0 : line.final ? 1 : line.came ? 2 : 3);
  const picked = new Set(lines.toSorted((a, b) => weight(a) - weight(b)).slice(0, Math.max(1, room)));
  return lines.filter((line) => picked.has(line));
}

/** Moves ascending heights apart so that neighbours are `gap` apart, between `top` and `bottom`, as little as possible from the top down. */
export function spread(heights: readonly number[], gap: number, top: number, bottom: number): number[] {
  const placed: number[] = [];
  for (const height of heights) placed.push(Math.max(height, top, placed.length > 0 ? placed[placed.length - 1] + gap : top));
  for (let n = placed.length - 1, limit = bottom; n >= 0 && placed[n] > limit; n--, limit -= gap) placed[n] = limit;
  return placed;
}

/** Powers of ten from 1 up to the first that holds `most`. */
export function decades(most: number): number[] {
  const ticks = [1];
  while (ticks[ticks.length - 1] < most) ticks.push(ticks[ticks.length - 1] * 10);
  return ticks;
}
