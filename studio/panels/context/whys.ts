/** Where the numbers of the panel come from, for the why card. A side is one memory: what it sees of the text, and what it makes of that. */
import type { CompleteDistribution } from "../../engine/engine-client.ts";
import { nodeCommand } from "../../parts/node-command.ts";
import { generateCommand, modelFlags, predictCalls } from "../../parts/same-number.ts";
import { percent, signed, visible, whole } from "../../state/format.ts";
import type { Why } from "../../state/why.ts";
import type { Distance, Pair } from "./comparison.ts";
import { t } from "./messages.ts";

export interface Side {
  readonly name: "full" | "short";
  readonly distribution: CompleteDistribution;
  /** All ids before the place, of which the first `forgotten` are out of sight. */
  readonly ids: readonly number[];
  readonly forgotten: number;
  readonly context: number;
}

/** Rows that the command shows at least, and at most. */
const fewest = 10;
const mostShown = 1000;

const seenOf = ({ ids, forgotten }: Pick<Side, "ids" | "forgotten">): readonly number[] => ids.slice(forgotten);

/** The context with which the command, given the whole text at once, sees what the side sees. */
function flags({ ids, forgotten, context }: Omit<Side, "name" | "distribution">): string {
  return modelFlags(forgotten > 0 ? ids.length - forgotten : context);
}

/** Its probability by the library, and on the command line: of the candidates where it is among them. */
function probabilityCode(side: Omit<Side, "name" | "distribution">, id: number, rank: number): NonNullable<Why["code"]> {
  const calls = predictCalls(seenOf(side));
  const value = `next.probability(${id})`;
  const command =
    rank > mostShown
      ? nodeCommand("loadModel", [calls], value)
      : generateCommand(side.ids.length, `${flags(side)} --json --show ${Math.max(fewest, rank)}`);
  return { library: `${calls}\n${value};`, command };
}

export function pairWhy({ id, text }: Pair, side: Side): Why {
  const { name, distribution, ids, forgotten } = side;
  const logit = distribution.logits[id];
  const seen = whole(ids.length - forgotten);
  return {
    key: `context.${name}.${id}`,
    title: t(name === "full" ? "fullTitle" : "shortTitle", { token: visible(text), n: seen }),
    value: percent(distribution.probability(id)),
    provenance: "computed",
    story: t("probabilityStory", { token: visible(text), seen, all: whole(ids.length) }),
    formula: String.raw`p_i = \frac{e^{z_i}}{\sum_{j=1}^{V} e^{z_j}}`,
    operands: [
      { symbol: "z_i", name: t("logit"), value: signed(logit, 4) },
      { symbol: String.raw`\ln \sum_j e^{z_j}`, name: t("logSum"), value: signed(logit - distribution.logprob(id), 4) },
    ],
    code: probabilityCode(side, id, distribution.rank(id)),
  };
}

/** A point of the curve: the favourite's chance with a memory of this size. */
export interface Point {
  readonly context: number;
  readonly forgotten: number;
  readonly p: number;
  readonly logprob: number;
  readonly rank: number;
  readonly logit: number;
}

export const pointCards = "context.point.";
export const pointKey = (context: number): string => pointCards + String(context);

export function pointWhy(point: Point, favourite: Pick<Pair, "id" | "text">, ids: readonly number[]): Why {
  const { context, forgotten, p, logprob, rank, logit } = point;
  const seen = whole(ids.length - forgotten);
  return {
    key: pointKey(context),
    title: t("shortTitle", { token: visible(favourite.text), n: seen }),
    value: percent(p),
    provenance: "computed",
    story: `${t("probabilityStory", { token: visible(favourite.text), seen, all: whole(ids.length) })} ${t("pointStory")}`,
    formula: String.raw`p_i = \frac{e^{z_i}}{\sum_{j=1}^{V} e^{z_j}}`,
    operands: [
      { symbol: "c", name: t("knob"), value: whole(context) },
      { symbol: "z_i", name: t("logit"), value: signed(logit, 4) },
      { symbol: String.raw`\ln \sum_j e^{z_j}`, name: t("logSum"), value: signed(logit - logprob, 4) },
      { symbol: "r", name: t("rankName"), value: whole(rank) },
    ],
    code: probabilityCode({ ids, forgotten, context }, favourite.id, rank),
  };
}

export function divergenceWhy(full: Side, short: Side, rows: readonly Pair[], bits: number): Why {
  const calls = [predictCalls(seenOf(full), "full"), `const short = await model.predict([${seenOf(short).join(", ")}]);`];
  const value = "divergence(full, short) / Math.LN2";
  return {
    key: "context.divergence",
    title: t("divergenceTitle"),
    value: t("bits", { n: bits.toFixed(4) }),
    provenance: "derived",
    story: t("divergenceStory"),
    formula: String.raw`D = \sum_{i=1}^{V} p_i \log_2 \frac{p_i}{q_i}`,
    operands: rows.slice(0, 4).map((row) => ({
      symbol: String.raw`p \log_2 \tfrac{p}{q}`,
      name: visible(row.text),
      value: signed(row.full === 0 ? 0 : row.full * Math.log2(row.full / row.short), 4),
    })),
    code: { library: [...calls, `${value};`].join("\n"), command: nodeCommand("divergence, loadModel", calls, value) },
  };
}

export function entropyWhy(side: Side, { entropyFull, entropyShort }: Distance): Why {
  const bits = side.name === "full" ? entropyFull : entropyShort;
  const calls = predictCalls(seenOf(side));
  return {
    key: `context.entropy.${side.name}`,
    title: t("entropyTitle"),
    value: t("bits", { n: bits.toFixed(3) }),
    provenance: "derived",
    story: t("entropyStory", { n: (2 ** bits).toFixed(1) }),
    formula: String.raw`H = -\sum_{i=1}^{V} p_i \log_2 p_i`,
    operands: [
      { symbol: "H", name: t("entropyName"), value: bits.toFixed(4) },
      { symbol: "2^H", name: t("effective"), value: (2 ** bits).toFixed(2) },
    ],
    code: { library: `${calls}\nnext.entropy();`, command: nodeCommand("loadModel", [calls], "next.entropy()") },
  };
}
