/** Names and sentences of this panel in the visitor's language, and numbers at the visitor's depth. */
import { percent, signed } from "../../state/format.ts";
import { studio } from "../../state/studio.svelte.ts";
import { stageAt } from "./columns.ts";
import { t } from "./messages.ts";
import type { Muteable, Part } from "./parts.ts";

/** In a sentence: "attention 3". */
export function stageName(stage: number): string {
  const { layer, point } = stageAt(stage);
  return point === "pre" ? t("embedding") : t(point === "mid" ? "attention" : "mlp", { n: layer });
}

/** Beside a row: "attn 3". */
export function stageLabel(stage: number): string {
  const { layer, point } = stageAt(stage);
  return point === "pre" ? t("embeddingShort") : t(point === "mid" ? "attentionShort" : "mlpShort", { n: layer });
}

export function partName({ kind, layer, head }: Pick<Part, "kind" | "layer" | "head">): string {
  const names = {
    embedding: "partEmbedding",
    positions: "partPositions",
    attention: "partAttention",
    head: "partHead",
    "attention-bias": "partAttentionBias",
    mlp: "partMlp",
    "norm-bias": "partNormBias",
  } as const;
  return t(names[kind], { layer, head });
}

export function muteableName({ layer, head }: Muteable): string {
  return partName({ kind: head < 0 ? "mlp" : "head", layer, head });
}

/** A probability: whole percents are enough for the story. */
export function shown(p: number): string {
  return studio.depth === "story" ? roughly(p) : percent(p);
}

/** Whole percents, where there is room for no more. */
export function roughly(p: number): string {
  const value = p * 100;
  return value > 0 && value < 1 ? "<1 %" : `${value.toFixed(0)} %`;
}

export function shownSigned(x: number): string {
  return signed(x, studio.depth === "story" ? 1 : 2);
}

export interface Piece {
  readonly text: string;
  /** The text is the name of a hole. */
  readonly hole: boolean;
}

/** A sentence cut at its {holes}, for those that are filled with more than text. */
export function pieces(sentence: string): Piece[] {
  return sentence
    .split(/(\{\w+\})/)
    .filter((text) => text !== "")
    .map((text) => (/^\{\w+\}$/.test(text) ? { text: text.slice(1, -1), hole: true } : { text, hole: false }));
}
