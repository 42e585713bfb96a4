/** The library call and the command line that give the same numbers as the page, for the why card at depth "code". */
import { shellWord } from "../state/format.ts";
import { studio } from "../state/studio.svelte.ts";
import { textBefore as textOf } from "../state/text-before.ts";
import type { TreeNode } from "../state/tree.ts";

/** The text before place `at`, as one would type it. */
export function textBefore(at: number): string {
  return textOf(studio.path, at, studio.prompt, studio.promptTip);
}

/** ` --model NAME`, and the context where it is not all the model has. */
export function modelFlags(context: number = studio.context): string {
  const { model } = studio;
  if (!model) return "";
  return ` --model ${shellWord(model.info.name)}` + (context < model.info.contextLength ? ` --context ${context}` : "");
}

/** ` --model NAME` and the context with which the model sees before place `at` just what it saw when the token there was chosen. */
export function sightFlags(at: number): string {
  const node = studio.path[at] as TreeNode | undefined;
  const forgotten = node?.forgotten ?? studio.forgotten;
  return modelFlags(forgotten > 0 ? at - forgotten : (node?.drawn?.context ?? studio.context));
}

/** One word behind the text before `at`, with its candidates. */
export function generateCommand(at: number, flags: string): string {
  const text = textBefore(at);
  return `vitrine generate${text === "" ? "" : ` ${shellWord(text)}`} --max-tokens 1${flags}`;
}

export function scoreWords(text: string, flags: string = modelFlags()): string {
  return `vitrine score ${shellWord(text)}${flags}`;
}

/** `const model = ...; const next = await model.predict([ids])`: exact, however the text would be split when read again. */
export function predictCalls(ids: readonly number[], name = "next"): string {
  return `const model = await loadModel(${JSON.stringify(studio.model?.info.name ?? "")});\nconst ${name} = await model.predict([${ids.join(", ")}]);`;
}

/** What the snippets of the cards use of the library. */
const exported = [
  "capture",
  "contributions",
  "distributionOf",
  "divergence",
  "forwardWith",
  "headStages",
  "loadModel",
  "loadTokenizer",
  "logitLens",
  "matrixOf",
  "neurons",
  "presetConfig",
  "sampler",
  "tally",
] as const;

/** The calls with what they import, so that they run as they stand. */
export function runnable(library: string): string {
  const used = exported.filter((name) => new RegExp(`(?<![.\\w])${name}\\(`).test(library));
  return library.startsWith("import ") || used.length === 0 ? library : `import { ${used.join(", ")} } from "vitrine";\n${library}`;
}
