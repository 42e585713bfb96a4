/** The library call and the command line that give the same numbers as the page, for the why card at depth "code". */
import { shellWord } from "../state/format.ts";
import { studio } from "../state/studio.svelte.ts";
import { textBefore as textOf } from "../state/text-before.ts";

/** The text before place `at`, as one would type it. */
export function textBefore(at: number): string {
  return textOf(studio.path, at, studio.prompt, studio.promptLength);
}

/** ` --model NAME`, and the context where it is not all the model has. */
export function modelFlags(context: number = studio.context): string {
  const { model } = studio;
  if (!model) return "";
  return ` --model ${shellWord(model.info.name)}` + (context < model.info.contextLength ? ` --context ${context}` : "");
}

export function samplingFlags(): string {
  const { temperature, topK, topP, minP } = studio;
  const flags = [` --temperature ${temperature}`];
  if (topK > 0) flags.push(` --top-k ${topK}`);
  if (topP < 1) flags.push(` --top-p ${topP}`);
  if (minP > 0) flags.push(` --min-p ${minP}`);
  return flags.join("");
}

/** One word behind the text before `at`, with its candidates. */
export function generateCommand(at: number, flags: string): string {
  const text = textBefore(at);
  return `vitrine generate${text === "" ? "" : ` ${shellWord(text)}`} --max-tokens 1${flags}`;
}

export function scoreCommand(to: number): string {
  return scoreWords(textBefore(to));
}

export function scoreWords(text: string): string {
  return `vitrine score ${shellWord(text)}${modelFlags()}`;
}

/** `const model = ...; const next = await model.predict([ids])`: exact, however the text would be split when read again. */
export function predictCalls(ids: readonly number[], name = "next"): string {
  return `const model = await loadModel(${JSON.stringify(studio.model?.info.name ?? "")});\nconst ${name} = await model.predict([${ids.join(", ")}]);`;
}
