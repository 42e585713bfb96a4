/** The command and the library call that print the same numbers as this panel. */
import { samplingFlags } from "../../parts/sampling-code.ts";
import { shellWord } from "../../state/format.ts";
import type { Sampling } from "../../engine/protocol.ts";

export interface Asked {
  /** Everything before the place, as one prompt. */
  readonly text: string;
  readonly model: string;
  /** Positions the model looked back at; undefined = all of them. */
  readonly context: number | undefined;
}

export function generateCommand({ text, model, context }: Asked, knobs: Sampling, show: number): string {
  const window = context === undefined ? "" : ` --context ${context}`;
  return `vitrine generate ${shellWord(text)} --model ${shellWord(model)} --json --show ${show} --max-tokens 1${samplingFlags(knobs)}${window}`;
}

/** For tokens that `--show` does not reach: 1,000 is its most. */
export function scoreCommand({ text, model }: Asked, token: string): string {
  return `vitrine score ${shellWord(text + token)} --model ${shellWord(model)} --json`;
}

export function predictCall({ text, context }: Asked): string {
  return `const own = await model.predict(${JSON.stringify(text)}${context === undefined ? "" : `, { context: ${context} }`});`;
}
