/** The command and the library call that print the same numbers as this panel. */
import { samplingFlags } from "../../parts/sampling-code.ts";
import { shellWord } from "../../state/format.ts";
import type { Sampling } from "../../engine/protocol.ts";

export interface Asked {
  /** Everything before the place, as one prompt. */
  readonly text: string;
  /** Its tokens where some were drawn: read again, the text may be cut into others. */
  readonly ids: readonly number[] | undefined;
  readonly model: string;
  /** Positions the model looked back at; undefined = all of them. */
  readonly context: number | undefined;
}

export function generateCommand({ text, model, context }: Asked, knobs: Sampling, show: number): string {
  const window = context === undefined ? "" : ` --context ${context}`;
  return `vitrine generate ${shellWord(text)} --model ${shellWord(model)} --json --show ${show} --max-tokens 1${samplingFlags(knobs)}${window}`;
}

/** The calls that give the model's own distribution, `own`. */
export function predictCalls({ text, ids, model, context }: Asked): readonly string[] {
  const window = context === undefined ? "" : `, { context: ${context} }`;
  return [
    `const model = await loadModel(${JSON.stringify(model)});`,
    `const own = await model.predict(${ids ? `[${ids.join(", ")}]` : JSON.stringify(text)}${window});`,
  ];
}
