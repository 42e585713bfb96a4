/** Where the tokens of a long row stand, so that only those in sight need to be drawn. Pure. */
export interface Ribbon {
  readonly lefts: readonly number[];
  readonly widths: readonly number[];
  readonly whole: number;
}

export function ribbonOf(widths: readonly number[], gap = 1): Ribbon {
  const lefts: number[] = [];
  let at = 0;
  for (const width of widths) {
    lefts.push(at);
    at += width + gap;
  }
  return { lefts, widths, whole: Math.max(0, at - gap) };
}

export function centreOf({ lefts, widths }: Ribbon, i: number): number {
  return lefts[i] + widths[i] / 2;
}

/** First and last (excluded) token that is at least partly between two places. */
export function inSight({ lefts, widths }: Ribbon, from: number, to: number): readonly [first: number, end: number] {
  let first = 0;
  while (first < lefts.length && lefts[first] + widths[first] < from) first++;
  let end = first;
  while (end < lefts.length && lefts[end] <= to) end++;
  return [first, end];
}
