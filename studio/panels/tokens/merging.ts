/** Which piece of the text a token grew in, and the steps of its growth. */
import type { MergeStep } from "../../engine/protocol.ts";

export interface Chunk {
  readonly steps: readonly MergeStep[];
  /** The tokens it became: the first of them on the list of tokens, and how many. */
  readonly first: number;
  readonly count: number;
}

/**
 * The stretch that token `at` belongs to. Tokenizers cut a text into stretches first and merge within each; the last step of a stretch holds
 * its tokens. `before`: tokens of the template that stand before the text's own (Llama's <s>).
 */
export function chunkAt(chunks: readonly (readonly MergeStep[])[], at: number, before: number): Chunk | undefined {
  let first = before;
  for (const steps of chunks) {
    const count = steps.length === 0 ? 0 : steps[steps.length - 1].pieces.length;
    if (at >= first && at < first + count) return { steps, first, count };
    first += count;
  }
  return undefined;
}

/** Tokens the template put before the text, when `count` tokens came of these chunks. */
export function templateTokens(chunks: readonly (readonly MergeStep[])[], tokens: readonly { readonly special: boolean }[], count: number): number {
  const merged = chunks.reduce((sum, steps) => sum + (steps.length === 0 ? 0 : steps[steps.length - 1].pieces.length), 0);
  let before = 0;
  while (before < count - merged && tokens[before]?.special) before++;
  return before;
}

/** The two parts that this step joined, as they stood in the step before. */
export function joined(steps: readonly MergeStep[], step: number): readonly [string, string] | undefined {
  if (step <= 0 || steps[step].at < 0) return undefined;
  const { at } = steps[step];
  const { pieces } = steps[step - 1];
  return [pieces[at], pieces[at + 1]];
}
