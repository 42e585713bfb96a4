/** The same numbers by the library and on the command line, for the why card. Pure. */
import { shellWord } from "../../state/format.ts";
import { tapOf } from "./columns.ts";
import { muteName } from "./parts.ts";
import type { Muteable } from "./parts.ts";

export interface Code {
  readonly library: string;
  readonly command: string;
}

/** What is asked about: a position of a text read by a model. */
export interface Place {
  readonly model: string;
  readonly text: string;
  /** From 0. */
  readonly position: number;
}

function opening({ model, text }: Place, imports: string): string {
  return [
    `import { ${imports} } from "vitrine";`,
    `const { model, tokenizer } = await loadModel(${JSON.stringify(model)});`,
    `const ids = tokenizer.encode(${JSON.stringify(text)});`,
  ].join("\n");
}

function inspect({ model, text, position }: Place, flags: string): string {
  return `vitrine inspect ${shellWord(text)} --model ${shellWord(model)} ${flags} --position ${position} --json`;
}

/** Candidate number `nth` (from 0) of a stage. */
export function lensCode(place: Place, stage: number, nth: number): Code {
  const top = Math.max(5, nth + 1);
  return {
    library: [
      opening(place, "loadModel, logitLens"),
      `const lens = await logitLens(model, ids, { positions: [${place.position}], top: ${top} });`,
      `lens.probabilities[${stage} * lens.top + ${nth}]; // ${tapOf(stage)}`,
    ].join("\n"),
    command: inspect(place, `--lens --top ${top}`),
  };
}

/** A token's rank and probability at a stage. */
export function ladderCode(place: Place, id: number, stage: number): Code {
  return {
    library: [
      opening(place, "loadModel, logitLens"),
      `const lens = await logitLens(model, ids, { positions: [${place.position}], targets: [${id}] });`,
      `[lens.target.ranks[${stage}], lens.target.probabilities[${stage}]]; // ${tapOf(stage)}`,
    ].join("\n"),
    command: inspect(place, "--lens --top 10"),
  };
}

export function pushCode(place: Place, target: number, relative: boolean): Code {
  return {
    library: [
      opening(place, "contributions, loadModel"),
      `const { logit, pushes } = await contributions(model, ids, {`,
      `  position: ${place.position}, target: ${target}, relative: ${relative},`,
      `});`,
    ].join("\n"),
    command: inspect(place, `--contributions id:${target}${relative ? "" : " --absolute"}`),
  };
}

/** Both distributions of a what-if. The command mutes; other scales are the library's. */
export function whatIfCode(before: Place, after: Place, edits: readonly (Muteable & { readonly scale: number })[], commandMutesOnly: string): Code {
  const list = edits.map(({ layer, head, scale }) =>
    head < 0 ? `{ kind: "mlp", layer: ${layer}, scale: ${scale} }` : `{ kind: "head", layer: ${layer}, head: ${head}, scale: ${scale} }`,
  );
  const other = after.text === before.text ? [] : [`const other = tokenizer.encode(${JSON.stringify(after.text)});`];
  const library = [
    opening(before, "distributionOf, divergence, forwardWith, loadModel"),
    ...other,
    `const read = (all) => all.slice(0, ${before.position + 1});`,
    `const before = distributionOf(await forwardWith(model, read(ids), []));`,
    `const after = distributionOf(await forwardWith(model, read(${other.length > 0 ? "other" : "ids"}), [${list.join(", ")}]));`,
    `divergence(before, after) / Math.LN2; // bits`,
  ].join("\n");
  const scaled = edits.some(({ scale }) => scale !== 0);
  const flags = edits.length === 0 ? "--lens --top 10" : `--mute ${edits.map(muteName).join(",")}`;
  return { library, command: scaled ? `# ${commandMutesOnly}` : inspect(after, flags) };
}
