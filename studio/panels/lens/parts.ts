/** Parts of the model as this panel groups and names them: who pushed a word, and what was muted or scaled. Pure. */
import type { Edit } from "../../engine/protocol.ts";
import type { Contributions } from "../../engine/protocol.ts";

type Push = Contributions["pushes"][number];

/** Something that pushes: one write into the residual stream, or an attention with its heads inside. */
export interface Part {
  readonly key: string;
  readonly kind: Push["kind"] | "attention";
  readonly layer: number;
  readonly head: number;
  readonly amount: number;
  readonly inner: readonly Part[];
}

/** In the order of the pass; heads and the bias of one attention are gathered in one part. */
export function partsOf(pushes: readonly Push[]): Part[] {
  const parts: Part[] = [];
  for (const { kind, layer, head, amount } of pushes) {
    const part: Part = { key: keyOf(kind, layer, head), kind, layer, head, amount, inner: [] };
    if (kind !== "head" && kind !== "attention-bias") {
      parts.push(part);
      continue;
    }
    const last = parts.at(-1);
    if (last?.kind === "attention" && last.layer === layer)
      parts[parts.length - 1] = { ...last, amount: last.amount + amount, inner: [...last.inner, part] };
    else parts.push({ key: keyOf("attention", layer, -1), kind: "attention", layer, head: -1, amount, inner: [part] });
  }
  return parts;
}

function keyOf(kind: Part["kind"], layer: number, head: number): string {
  return [kind, ...(layer < 0 ? [] : [layer]), ...(head < 0 ? [] : [head])].join(".");
}

/** The rows to show: strongest first where sorted; the inside of opened parts below them. */
export function rowsOf(parts: readonly Part[], sorted: boolean, opened: ReadonlySet<string>): Part[] {
  const strongest = (some: readonly Part[]): readonly Part[] => (sorted ? some.toSorted((a, b) => Math.abs(b.amount) - Math.abs(a.amount)) : some);
  return strongest(parts).flatMap((part) => (opened.has(part.key) ? [part, ...strongest(part.inner)] : [part]));
}

export function sumOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { amount }) => sum + amount, 0);
}

/** A head or an MLP that can be muted. */
export interface Muteable {
  readonly layer: number;
  /** -1 = the MLP. */
  readonly head: number;
}

/** As `vitrine inspect --mute` names it: 3.1 is a head, mlp3 an MLP. */
export function muteName({ layer, head }: Muteable): string {
  return head < 0 ? `mlp${layer}` : `${layer}.${head}`;
}

export function editOf({ layer, head }: Muteable, scale: number): Edit {
  return head < 0 ? { kind: "mlp", layer, scale } : { kind: "head", layer, head, scale };
}

/** A part that speaks louder, softer or not at all. */
export type Scaled = Muteable & { readonly scale: number };

/** For the address: "3.1x0_mlp3x0.5". */
export function scaledText(edits: readonly Scaled[]): string {
  return edits.map((edit) => `${muteName(edit)}x${Number(edit.scale.toFixed(2))}`).join("_");
}

/** What is not such a text, or louder than twice, is left out; of two for the same part the later one counts. */
export function scaledFrom(text: string): Scaled[] {
  const found = new Map<string, Scaled>();
  for (const one of text.split("_")) {
    const match = /^(?:mlp(\d{1,3})|(\d{1,3})\.(\d{1,3}))x(\d(?:\.\d{1,2})?)$/.exec(one);
    if (match === null) continue;
    const [, mlp, layer, head, scale] = match;
    const part = mlp === undefined ? { layer: Number(layer), head: Number(head) } : { layer: Number(mlp), head: -1 };
    if (Number(scale) <= 2 && Number(scale) !== 1) found.set(muteName(part), { ...part, scale: Number(scale) });
  }
  return [...found.values()];
}

/** A token of the text with another in its place. */
export interface Swap {
  /** In the window. */
  readonly position: number;
  readonly from: number;
  readonly to: number;
}

/** For the address: "3.57_5.12" has token 57 at position 3 and 12 at position 5. */
export function swapsText(swaps: readonly Swap[]): string {
  return swaps.map(({ position, to }) => `${position}.${to}`).join("_");
}

/** `ids`: the text. What is not such a text, or beyond the text, is left out. */
export function swapsFrom(text: string, ids: readonly number[]): Swap[] {
  const found = new Map<number, Swap>();
  for (const one of text.split("_")) {
    const match = /^(\d{1,6})\.(\d{1,7})$/.exec(one);
    const position = Number(match?.[1] ?? -1);
    if (match !== null && position < ids.length) found.set(position, { position, from: ids[position], to: Number(match[2]) });
  }
  return [...found.values()];
}

/** Those swaps that fit the text: it may have changed since. */
export function fitting(swaps: readonly Swap[], ids: readonly number[]): Swap[] {
  return swaps.filter(({ position, from }) => ids[position] === from);
}

export function swapped(ids: readonly number[], swaps: readonly Swap[]): number[] {
  const result = [...ids];
  for (const { position, to } of fitting(swaps, ids)) result[position] = to;
  return result;
}

/** Tokens that a typed text can mean: the one that is exactly it, the one with a space before it, then those that begin so. */
export function tokensLike(typed: string, words: readonly string[], most: number): number[] {
  const text = typed.replaceAll("␣", " ").replaceAll("⏎", "\n");
  if (text === "") return [];
  const exact = words.indexOf(text);
  const spaced = text.startsWith(" ") ? -1 : words.indexOf(` ${text}`);
  const found = new Set([exact, spaced].filter((id) => id >= 0));
  for (let id = 0; id < words.length && found.size < most; id++) if (words[id].startsWith(text) || words[id].startsWith(` ${text}`)) found.add(id);
  return [...found];
}
