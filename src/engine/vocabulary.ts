/**
 * Whether a tokenizer and a model belong together, and which of the model's ids have no token.
 * Checkpoints often pad their vocabulary to a round number; those rows must never be chosen.
 */
import { FormatError } from "../base/errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/**
 * A warning for people, or undefined when all is well.
 * Throws FormatError when the tokenizer has ordinary tokens that the model has no row for.
 */
export function checkVocabularies(name: string, tokenizer: Tokenizer, V: number): string | undefined {
  for (let id = V; id < tokenizer.vocabularySize; id++) {
    const token = tokenizer.token(id);
    if (token.special || isHole(tokenizer, id)) continue; // special tokens added without a row: harmless until written out
    throw new FormatError(
      `${name}: the tokenizer has ${tokenizer.vocabularySize} tokens, the model only ${V} (config.json's vocab_size); the files belong to different models, fetch them again`,
    );
  }
  const missing = V - tokenizer.vocabularySize;
  if (missing > 1024 && missing > V / 20)
    return `${name}: the model has ${V} ids, the tokenizer only ${tokenizer.vocabularySize}; are both from the same model?`;
  return undefined;
}

/** Ids below V that no token stands behind: padding at the end, holes in between. */
export function idsWithoutToken(tokenizer: Tokenizer, V: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < V; id++) if (id >= tokenizer.vocabularySize || isHole(tokenizer, id)) ids.push(id);
  return ids;
}

function isHole(tokenizer: Tokenizer, id: number): boolean {
  const { bytes, text, special } = tokenizer.token(id);
  return bytes.length === 0 && text === "" && !special;
}
