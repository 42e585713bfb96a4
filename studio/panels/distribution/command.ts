/** The command and the library call that print the same numbers as this panel. */
import { shellWord } from "../../state/format.ts";
import type { Sampling } from "../../engine/protocol.ts";

export interface Asked {
  /** Everything before the place, as one prompt. */
  readonly text: string;
  readonly model: string;
  /** Positions the model looked back at; undefined = all of them. */
  readonly context: number | undefined;
}

export function samplingFlags({ temperature, topK, topP, minP }: Sampling): string {
  const flags = [` --temperature ${temperature}`];
  if (topK > 0) flags.push(` --top-k ${topK}`);
  if (topP < 1) flags.push(` --top-p ${topP}`);
  if (minP > 0) flags.push(` --min-p ${minP}`);
  return flags.join("");
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

export function samplerCall({ temperature, topK, topP, minP }: Sampling): string {
  const options = [`temperature: ${temperature}`];
  if (topK > 0) options.push(`topK: ${topK}`);
  if (topP < 1) options.push(`topP: ${topP}`);
  if (minP > 0) options.push(`minP: ${minP}`);
  return `sampler({ ${options.join(", ")} })`;
}
