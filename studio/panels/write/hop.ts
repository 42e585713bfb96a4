/**
 * How the frame moves while a word is drawn: it looks at bars about as often as they are probable, slower and slower, and settles on the
 * one that was drawn. The choice itself has been made by the engine; this only shows it. Pure, and the same for the same seed.
 */
import type { randomFrom } from "../../engine/engine-client.ts";

type Random = ReturnType<typeof randomFrom>;

export interface Hop {
  /** Index of the bar. */
  readonly row: number;
  /** Milliseconds it stays there; the last one is where it settles. */
  readonly stay: number;
}

const longest = 1200;
/** Below this nobody could follow it. */
const shortest = 140;

/** Milliseconds for the whole of it: a share of the time one word has at this speed; at most 1.2 s. */
export function hopTime(speed: number, playing: boolean): number {
  const time = playing ? Math.min(longest, (0.6 * 1000) / speed) : 900;
  return time < shortest ? 0 : time;
}

/** Ends at `chosen`, no bar twice running. `weights`: the probabilities of the bars. */
export function hops(weights: readonly number[], chosen: number, time: number, random: Random): Hop[] {
  const count = time === 0 || weights.length < 2 ? 1 : Math.max(2, Math.min(9, Math.round(time / 100)));
  const rows = [chosen];
  while (rows.length < count) rows.unshift(draw(weights, rows[0], random.next()));
  // each stays longer than the one before it
  const total = (rows.length * (rows.length + 1)) / 2;
  return rows.map((row, i) => ({ row, stay: (time * (i + 1)) / total }));
}

/** An index other than `not`, by one coin: as often as it is probable, with a little for the improbable ones so that all may be looked at. */
function draw(weights: readonly number[], not: number, coin: number): number {
  const least = Math.max(...weights) * 0.05;
  const share = (i: number): number => (i === not ? 0 : Math.max(weights[i], least, Number.MIN_VALUE));
  let left = coin * weights.reduce((sum, _, i) => sum + share(i), 0);
  for (let i = 0; i < weights.length; i++) {
    left -= share(i);
    if (left < 0 && i !== not) return i;
  }
  return not === weights.length - 1 ? weights.length - 2 : weights.length - 1; // rounding
}
