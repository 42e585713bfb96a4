/** What the why card says of this panel's numbers. */
import type { Contributions } from "../../engine/protocol.ts";
import { percent, signed, whole } from "../../state/format.ts";
import { studio } from "../../state/studio.svelte.ts";
import type { Why } from "../../state/why.ts";
import type { Column, Way } from "./columns.ts";
import { ladderCode, lensCode, pushCode, whatIfCode } from "./commands.ts";
import type { Difference, DifferenceRow } from "./difference.ts";
import { lens } from "./lens-state.svelte.ts";
import { t } from "./messages.ts";
import type { Muteable, Part } from "./parts.ts";
import { partName, stageName } from "./words.ts";

const isGpt2 = (): boolean => studio.model?.config.family === "gpt2";
const vocabulary = (): number => studio.model?.info.vocabularySize ?? 0;

/** Candidate number `nth` of the selected cell. */
export function whyAnswer(column: Column, stage: number, nth: number): Why {
  const at = stage * column.top + nth;
  const [id, p, logit] = [column.ids[at], column.probabilities[at], column.logits[at]];
  const last = stage === column.stages - 1;
  const [answer, token] = [lens.word(id), lens.word(lens.ids[column.position] ?? -1)];
  const story = t("whyCellStory", { stage: stageName(stage), token, answer: lens.word(column.ids[stage * column.top]) });
  return {
    key: `lens.answer.${nth}`,
    title: `${t("whyCell", { stage: stageName(stage) })}: ${answer}`,
    value: percent(p),
    provenance: last ? "computed" : "derived",
    story: `${story} ${last ? t("whyCellLast", { p: percent(p) }) : t("caution")}`,
    formula: String.raw`p = \frac{e^{z}}{\sum_j e^{z_j}}, \quad z = W_U \, \mathrm{norm}(x)`,
    operands: [
      { symbol: "z", name: t("logitName"), value: signed(logit, 4) },
      { symbol: String.raw`\ln \sum_j e^{z_j}`, name: t("logSum"), value: signed(logit - Math.log(p), 4) },
      { symbol: "p", name: t("probabilityName"), value: percent(p) },
      { symbol: "V", name: t("vocabularyName"), value: whole(vocabulary()) },
    ],
    code: lensCode(lens.place(), stage, nth),
  };
}

/** A token on the ladder, at one stage. */
export function whyLine(way: Way, stage: number): Why {
  const [token, p, rank] = [lens.word(way.id), way.probabilities[stage], way.ranks[stage]];
  return {
    key: `lens.ladder.${stage}`,
    title: t("whyLine", { token, stage: stageName(stage) }),
    value: `${t("rankAt", { n: whole(rank) })}, ${percent(p)}`,
    provenance: stage === way.ranks.length - 1 ? "computed" : "derived",
    story: t("whyLineStory", { token, stage: stageName(stage), n: whole(rank) }),
    formula: String.raw`r = \left|\{\, j : z_j \ge z \,\}\right|, \quad p = \frac{e^{z}}{\sum_j e^{z_j}}`,
    operands: [
      { symbol: "r", name: t("rankName"), value: whole(rank) },
      { symbol: "p", name: t("probabilityName"), value: percent(p) },
      { symbol: "V", name: t("vocabularyName"), value: whole(vocabulary()) },
    ],
    code: ladderCode(lens.place(), way.id, stage),
  };
}

/** One part's share of a logit. */
export function whyPush(part: Part, { target, relative, logit }: Contributions, sum: number): Why {
  const token = lens.word(target);
  const name = partName(part);
  const written = isGpt2() ? String.raw`(w - \bar w)` : "w";
  return {
    key: `lens.push.${part.key}`,
    title: t("whyPush", { part: name, token }),
    value: signed(part.amount, 4),
    provenance: "derived",
    story: `${t("whyPushStory", { part: name, token })}${relative ? ` ${t("relativeHint")}` : ""}`,
    formula: part.kind === "norm-bias" ? String.raw`b_f \cdot u` : String.raw`\frac{${written} \odot \gamma}{\sigma} \cdot u`,
    operands: [
      { symbol: "w", name: t(isGpt2() ? "written" : "writtenPlain"), value: t("vector", { n: studio.model?.info.width ?? 0 }) },
      { symbol: String.raw`\gamma`, name: t("normWeight"), value: t("vector", { n: studio.model?.info.width ?? 0 }) },
      { symbol: "u", name: t(relative ? "readsRelative" : "reads", { token }), value: t("vector", { n: studio.model?.info.width ?? 0 }) },
      { symbol: String.raw`\Delta z`, name: t("thisPush"), value: signed(part.amount, 4) },
      { symbol: String.raw`\sum \Delta z`, name: t("allPushes"), value: signed(sum, 4) },
      { symbol: "z", name: t("modelLogit"), value: signed(logit, 4) },
    ],
    code: pushCode(lens.place(), target, relative),
  };
}

export function whyPushSum({ target, relative, logit }: Contributions, sum: number, parts: number): Why {
  const token = lens.word(target);
  return {
    key: "lens.push.sum",
    title: t("whyPushSum", { token }),
    value: signed(logit, 4),
    provenance: relative ? "derived" : "computed",
    story: t(relative ? "whyPushSumRelative" : "whyPushSumStory", { token }),
    formula: relative ? String.raw`z - \bar z = \sum_{i=1}^{n} \Delta z_i` : String.raw`z = \sum_{i=1}^{n} \Delta z_i`,
    operands: [
      { symbol: String.raw`\sum \Delta z_i`, name: t("allPushes"), value: signed(sum, 4) },
      { symbol: "z", name: t("modelLogit"), value: signed(logit, 4) },
      { symbol: "n", name: t("pushes"), value: whole(parts) },
    ],
    code: pushCode(lens.place(), target, relative),
  };
}

/** The changes that a difference comes from. */
export interface Changes {
  readonly ids: readonly number[];
  readonly edits: readonly (Muteable & { readonly scale: number })[];
}

function codeOf({ ids, edits }: Changes): NonNullable<Why["code"]> {
  return whatIfCode(lens.place(), lens.place(ids), edits);
}

export function whyBits({ bits, favouriteBefore, favouriteAfter }: Difference, changes: Changes): Why {
  return {
    key: "lens.whatif.bits",
    title: t("whyBits"),
    value: t("bits", { n: bits.toFixed(4) }),
    provenance: "derived",
    story: t("whyBitsStory"),
    formula: String.raw`D = \sum_j p_j \log_2 \frac{p_j}{q_j}`,
    operands: [
      { symbol: String.raw`\arg\max p`, name: t("beforeName"), value: lens.word(favouriteBefore) },
      { symbol: String.raw`\arg\max q`, name: t("afterName"), value: lens.word(favouriteAfter) },
      { symbol: "V", name: t("vocabularyName"), value: whole(vocabulary()) },
    ],
    code: codeOf(changes),
  };
}

export function whyDifference(row: DifferenceRow, which: "before" | "after" | "points", changes: Changes): Why {
  const token = lens.word(row.id);
  const [title, story] = (
    { before: ["whyBefore", "whyBeforeStory"], after: ["whyAfter", "whyAfterStory"], points: ["whyPoints", "whyPointsStory"] } as const
  )[which];
  return {
    key: `lens.whatif.${which}.${row.id}`,
    title: t(title, { token }),
    value: which === "points" ? t("points", { n: signed(row.points, 3) }) : percent(row[which]),
    provenance: which === "before" ? "computed" : "derived",
    story: t(story, { token }),
    formula: which === "points" ? String.raw`\Delta = 100\,(q - p)` : String.raw`${which === "before" ? "p" : "q"} = \frac{e^{z}}{\sum_j e^{z_j}}`,
    operands: [
      { symbol: "p", name: `${t("pBefore")}, ${t("rankAt", { n: whole(row.rankBefore) })}`, value: percent(row.before) },
      { symbol: "q", name: `${t("pAfter")}, ${t("rankAt", { n: whole(row.rankAfter) })}`, value: percent(row.after) },
    ],
    code: codeOf(changes),
  };
}

/** All tokens without a row together. */
export function whyRest({ rows, restBefore, restAfter }: Difference, which: "before" | "after" | "points", changes: Changes): Why {
  const points = (restAfter - restBefore) * 100;
  const value = { before: percent(restBefore), after: percent(restAfter), points: t("points", { n: signed(points, 3) }) }[which];
  const formula = {
    before: String.raw`1 - \sum_{i \in \text{shown}} p_i`,
    after: String.raw`1 - \sum_{i \in \text{shown}} q_i`,
    points: String.raw`\Delta = 100 \sum_{i \in \text{shown}} (p_i - q_i)`,
  }[which];
  return {
    key: `lens.whatif.rest.${which}`,
    title: t("rest"),
    value,
    provenance: "derived",
    story: t("restStory", { when: t(which === "points" ? "after" : which) }),
    formula,
    operands: [
      { symbol: String.raw`\sum p_i`, name: `${t("shownSum")}, ${t("before")}`, value: percent(1 - restBefore) },
      { symbol: String.raw`\sum q_i`, name: `${t("shownSum")}, ${t("after")}`, value: percent(1 - restAfter) },
      { symbol: "n", name: t("vocabularyName"), value: `${whole(vocabulary())} − ${rows.length}` },
    ],
    code: codeOf(changes),
  };
}
