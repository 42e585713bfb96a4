/**
 * Cutting a string at the matches of a pattern, with Hugging Face's five ways of treating the matches.
 * The patterns of well-known models have scanners of their own (cutters.ts).
 */
import { VitrineError } from "../base/errors.ts";

/** `isolated`: matches are pieces of their own; `contiguous`: as isolated, with neighbouring matches joined. */
export type SplitBehavior = "removed" | "isolated" | "contiguous" | "merged with previous" | "merged with next";

/** tokenizer.json's spelling. */
export const splitBehaviors: ReadonlyMap<unknown, SplitBehavior> = new Map([
  ["Removed", "removed"],
  ["Isolated", "isolated"],
  ["Contiguous", "contiguous"],
  ["MergedWithPrevious", "merged with previous"],
  ["MergedWithNext", "merged with next"],
]);

interface Stretch {
  start: number;
  end: number;
  readonly match: boolean;
}

/** The pieces of `text`, none empty. With `invert` what the pattern does not match counts as matched. */
export function split(text: string, pattern: RegExp, behavior: SplitBehavior, invert = false): string[] {
  const stretches = invert ? stretchesOf(text, pattern).map(({ start, end, match }) => ({ start, end, match: !match })) : stretchesOf(text, pattern);
  return arrange(stretches, behavior).map(({ start, end }) => text.slice(start, end));
}

function stretchesOf(text: string, pattern: RegExp): Stretch[] {
  const stretches: Stretch[] = [];
  let done = 0;
  try {
    for (const found of text.matchAll(pattern)) {
      if (found[0] === "") continue;
      if (found.index > done) stretches.push({ start: done, end: found.index, match: false });
      done = found.index + found[0].length;
      stretches.push({ start: found.index, end: done, match: true });
    }
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    // JavaScript's matcher keeps a stack that a run of some millions of characters outgrows.
    throw new VitrineError(
      `encode: the tokenizer's pattern cannot match a run this long at character ${done} of ${text.length}; cut the text into lines`,
      { cause },
    );
  }
  if (done < text.length) stretches.push({ start: done, end: text.length, match: false });
  return stretches;
}

function arrange(stretches: Stretch[], behavior: SplitBehavior): Stretch[] {
  switch (behavior) {
    case "isolated":
      return stretches;
    case "removed":
      return stretches.filter(({ match }) => !match);
    case "contiguous": {
      const out: Stretch[] = [];
      for (const stretch of stretches) {
        const last = out.at(-1);
        if (last !== undefined && last.match === stretch.match) last.end = stretch.end;
        else out.push(stretch);
      }
      return out;
    }
    case "merged with previous": {
      const out: Stretch[] = [];
      let afterMatch = false;
      for (const stretch of stretches) {
        const last = out.at(-1);
        if (stretch.match && !afterMatch && last !== undefined) last.end = stretch.end;
        else out.push(stretch);
        afterMatch = stretch.match;
      }
      return out;
    }
    case "merged with next": {
      const out: Stretch[] = [];
      let beforeMatch = false;
      for (const stretch of stretches.toReversed()) {
        const last = out.at(-1);
        if (stretch.match && !beforeMatch && last !== undefined) last.start = stretch.start;
        else out.push(stretch);
        beforeMatch = stretch.match;
      }
      return out.reverse();
    }
  }
}
