/** The same numbers by the library and on the command line, for the why card. Pure. */
import { nodeCommand } from "../../parts/node-command.ts";
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

function opening({ model, text }: Place): readonly string[] {
  return [`const { model, tokenizer } = await loadModel(${JSON.stringify(model)});`, `const ids = tokenizer.encode(${JSON.stringify(text)});`];
}

function imported(names: string): string {
  return `import { ${names} } from "vitrine";`;
}

/** The library's calls; on the command line Node makes them, and prints the value. */
function byLibrary(names: string, calls: readonly string[], value: string, remark = ""): Code {
  return { library: [imported(names), ...calls, `${value};${remark}`].join("\n"), command: nodeCommand(names, calls, value) };
}

function inspect({ model, text, position }: Place, flags: string): string {
  return `vitrine inspect ${shellWord(text)} --model ${shellWord(model)} ${flags} --position ${position} --json`;
}

const logitLens = "loadModel, logitLens";

/** Candidate number `nth` (from 0) of a stage. */
export function lensCode(place: Place, stage: number, nth: number): Code {
  const top = Math.max(5, nth + 1);
  const calls = [...opening(place), `const lens = await logitLens(model, ids, { positions: [${place.position}], top: ${top} });`];
  const { library } = byLibrary(logitLens, calls, `lens.probabilities[${stage} * lens.top + ${nth}]`, ` // ${tapOf(stage)}`);
  return { library, command: inspect(place, `--lens --top ${top}`) };
}

/** A token's rank and probability at a stage. */
export function ladderCode(place: Place, id: number, stage: number): Code {
  const calls = [...opening(place), `const { target } = await logitLens(model, ids, { positions: [${place.position}], targets: [${id}] });`];
  return byLibrary(logitLens, calls, `[target.ranks[${stage}], target.probabilities[${stage}]]`, ` // ${tapOf(stage)}`);
}

export function pushCode(place: Place, target: number, relative: boolean): Code {
  return {
    library: [
      imported("contributions, loadModel"),
      ...opening(place),
      `const { logit, pushes } = await contributions(model, ids, {`,
      `  position: ${place.position}, target: ${target}, relative: ${relative},`,
      `});`,
    ].join("\n"),
    command: inspect(place, `--contributions id:${target}${relative ? "" : " --absolute"}`),
  };
}

/** Both distributions of a what-if. `vitrine inspect` mutes; other scales and other texts are the library's. */
export function whatIfCode(before: Place, after: Place, edits: readonly (Muteable & { readonly scale: number })[]): Code {
  const list = edits.map(({ layer, head, scale }) =>
    head < 0 ? `{ kind: "mlp", layer: ${layer}, scale: ${scale} }` : `{ kind: "head", layer: ${layer}, head: ${head}, scale: ${scale} }`,
  );
  const other = after.text === before.text ? [] : [`const other = tokenizer.encode(${JSON.stringify(after.text)});`];
  const calls = [
    ...opening(before),
    ...other,
    `const read = (all) => all.slice(0, ${before.position + 1});`,
    `const before = distributionOf(await forwardWith(model, read(ids), []));`,
    `const after = distributionOf(await forwardWith(model, read(${other.length > 0 ? "other" : "ids"}), [${list.join(", ")}]));`,
  ];
  const code = byLibrary("distributionOf, divergence, forwardWith, loadModel", calls, "divergence(before, after) / Math.LN2", " // bits");
  const mutesOnly = edits.length > 0 && other.length === 0 && edits.every(({ scale }) => scale === 0);
  return mutesOnly ? { ...code, command: inspect(after, `--mute ${edits.map(muteName).join(",")}`) } : code;
}
