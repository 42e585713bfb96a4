/**
 * What could stand in one place of the text, as rows of bars: the likeliest, and the chosen one wherever it ranks.
 * From the facts a token carries (hovering asks nobody), or from all logits where they are known.
 */
import type { CompleteDistribution } from "../../engine/engine-client.ts";
import type { TreeNode } from "../../state/tree.ts";

export interface Row {
  readonly id: number;
  readonly text: string;
  /** 1 = the favourite. */
  readonly rank: number;
  /** The model's own, T = 1. */
  readonly own: number;
  /** After temperature and filters; undefined where it is not known yet. */
  readonly drawn: number | undefined;
  readonly logit: number | undefined;
}

export interface Chart {
  readonly rows: readonly Row[];
  /** What stands in the text there; undefined where nothing does yet. */
  readonly chosen: number | undefined;
  /** How many tokens are not shown, and their probability together. */
  readonly others: number;
  readonly rest: number;
}

export const rowCount = 12;

/** The rows of a token that stands in the text. `drawn` gives what each candidate would be drawn with, where that is known. */
export function chartOfNode(node: TreeNode, V: number, drawn?: CompleteDistribution, count: number = rowCount): Chart {
  const { token, probability = 0, rank, sampledFrom } = node;
  const rows: Row[] = node.top.slice(0, count).map((choice, at) => ({
    id: choice.id,
    text: choice.text,
    rank: at + 1,
    own: choice.probability,
    drawn: drawn?.probability(choice.id) ?? (choice.id === token.id ? sampledFrom : undefined),
    logit: choice.logit,
  }));
  if (rows.length > 0 && rank !== undefined && !rows.some(({ id }) => id === token.id)) {
    const row = { id: token.id, text: token.text, rank, own: probability, drawn: drawn?.probability(token.id) ?? sampledFrom };
    rows.splice(count - 1, 1, {
      ...row,
      logit: drawn === undefined ? undefined : node.top[0].logit + Math.log(probability / node.top[0].probability),
    });
  }
  return closed(rows, token.id, V);
}

/** The rows of a place that is still open. */
export function chartOf(own: CompleteDistribution, drawn: CompleteDistribution, textOf: (id: number) => string, count: number = rowCount): Chart {
  const rows = own.top(count).map(({ id, logit, probability }, at) => ({
    id,
    text: textOf(id),
    rank: at + 1,
    own: probability,
    drawn: drawn.probability(id),
    logit,
  }));
  return closed(rows, undefined, own.logits.length);
}

function closed(rows: readonly Row[], chosen: number | undefined, V: number): Chart {
  const rest = Math.max(0, 1 - rows.reduce((sum, { own }) => sum + own, 0));
  return { rows, chosen, others: Math.max(0, V - rows.length), rest };
}

/** The probability at which a bar is full: flat distributions stay visibly flat, and those that are nearly sure don't overflow. */
export function fullBar(rows: readonly Row[]): number {
  return rows.reduce((most, { own, drawn = 0 }) => Math.max(most, own, drawn), 0.25);
}

/** Of a token, in bits: -log2 p. */
export function surprise(node: { readonly logprob: number | undefined }): number | undefined {
  return node.logprob === undefined ? undefined : Math.max(0, -node.logprob / Math.LN2);
}
