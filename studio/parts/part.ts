/** A long text is in the page only around the place in the light: every token there costs elements, styles and listeners. Pure; Tape and Prose use it. */

/** Tokens `from` to `to` (excluded) of a text. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

/** The beginning moves so many at a time, so that most tokens written change nothing else. */
const stride = 20;

/** The part around `place` of a text of `count` tokens, at least `reach` on either side as far as there are any; all of a text that is not long. */
export function partAround(count: number, place: number, reach = 200): Part {
  if (count <= 2 * reach) return { from: 0, to: count };
  const from = Math.max(0, Math.floor((place - reach) / stride) * stride);
  return { from, to: Math.min(count, from + 2 * reach + stride) };
}

/** Where to look for more, once a scrolled view of `size` comes near an end that is not the text's. */
export function moreAt(
  part: Part,
  count: number,
  { start, size, whole }: { readonly start: number; readonly size: number; readonly whole: number },
): number | undefined {
  if (part.from > 0 && start < size / 2) return part.from;
  if (part.to < count && start + size > whole - size / 2) return part.to;
  return undefined;
}
