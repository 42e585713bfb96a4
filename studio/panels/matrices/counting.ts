/** How fast a sum counts up: the first terms one by one, then faster and faster. Pure. */

/** Seconds for each of the first terms, and how many these are. */
const slowly = 0.4;
const slow = 6;
/** Seconds that the others take, whatever their number. */
const others = 3;

/** Terms in the sum after so many seconds, of `n`, when it began with `from`. */
export function termsAfter(seconds: number, from: number, n: number): number {
  const begun = slow * slowly;
  if (seconds < begun) return Math.min(n, from + Math.floor(seconds / slowly));
  const faster = ((seconds - begun) / others) ** 2 * Math.max(0, n - from - slow);
  return Math.min(n, from + Math.floor(slow + faster + (seconds - begun) / slowly));
}
