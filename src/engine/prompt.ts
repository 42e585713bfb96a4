/**
 * From what the user gave as a prompt to the ids the model reads: text through the tokenizer's template, ids literally.
 */
import { VitrineError } from "../base/errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export interface PromptIds {
  readonly ids: readonly number[];
  /** What was done to the prompt that the user did not ask for, for people. */
  readonly note: string | undefined;
}

/**
 * Text gets the tokenizer's template (Llama's <s>). Text that comes to no ids at all begins with the start token instead
 * (GPT-2's <|endoftext|>): `bosId` of the model's configuration is asked where the tokenizer files name none.
 * Throws VitrineError when there is none either, and for an empty list of ids.
 */
export function promptIds(tokenizer: Tokenizer, prompt: string | readonly number[], bosId: number | undefined): PromptIds {
  if (typeof prompt !== "string") {
    if (prompt.length > 0) return { ids: prompt, note: undefined };
    const start = startId(tokenizer, bosId);
    throw new VitrineError(
      `the prompt is empty: a model predicts what follows something; give it ids, ${start === undefined ? "one at least" : `or [${start}], its start token`}`,
    );
  }
  const ids = tokenizer.encode(prompt);
  if (ids.length > 0) return { ids, note: undefined };
  const start = startId(tokenizer, bosId);
  if (start === undefined) {
    throw new VitrineError("the prompt is empty, and this model has no start token to begin with; give it at least one character of text");
  }
  return { ids: [start], note: `the prompt is empty, so the text begins after ${tokenizer.token(start).text || "the start token"} (id ${start})` };
}

function startId(tokenizer: Tokenizer, bosId: number | undefined): number | undefined {
  return tokenizer.bosId ?? bosId ?? tokenizer.eosId;
}
