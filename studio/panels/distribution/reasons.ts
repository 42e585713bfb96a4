/** Why every number of this panel is what it is: the words, formulas and calls behind its why cards. */
import { samplerCall } from "../../parts/sampling-code.ts";
import { signed, visible, whole } from "../../state/format.ts";
import type { Provenance, Why } from "../../state/why.ts";
import type { Sampling } from "../../engine/protocol.ts";
import { nodeCommand } from "../../parts/node-command.ts";
import { generateCommand, predictCalls } from "./command.ts";
import type { Asked } from "./command.ts";
import { t } from "./messages.ts";
import { exactShare } from "./scale.ts";
import type { Row, Spread } from "./spread.ts";
import type { SoftmaxSteps, StepsRow } from "./softmax-steps.ts";

export interface Reasons {
  rank(row: Row): Why;
  logit(row: Row): Why;
  tempered(row: Row): Why;
  drawn(row: Row): Why;
  rest(column: "tempered" | "drawn"): Why;
  topShare(): Why;
  entropy(): Why;
  step(name: "divided" | "shifted" | "weight" | "probability", row: StepsRow, steps: SoftmaxSteps): Why;
  total(name: "sum" | "largest" | "others" | "othersShare" | "all", steps: SoftmaxSteps): Why;
}

interface Known {
  readonly logits: Float32Array;
  readonly knobs: Sampling;
  readonly view: Spread;
  readonly textOf: (id: number) => string;
  /** Undefined for the lecture's example, which no model made. */
  readonly asked: Asked | undefined;
}

/** Of `--show`. */
const mostShown = 1000;

/** Digits enough to compare with what the command prints. */
function exact(x: number): string {
  return Number(x.toPrecision(10)).toString().replace("-", "−");
}

/** A logit, or what was given as one: fp32 knows seven digits. */
function single(x: number): string {
  return Number(x.toPrecision(7)).toString().replace("-", "−");
}

export function reasonsFor({ logits, knobs, view, textOf, asked }: Known): Reasons {
  const V = logits.length;
  const T = exact(knobs.temperature);
  const provenance: Provenance = "derived";
  const filtered = view.kept < V && knobs.temperature > 0;
  const token = (id: number): string => visible(textOf(id));
  const temperature = { symbol: "T", name: t("opTemperature"), value: T };
  const own = asked
    ? predictCalls(asked)
    : [`const own = distributionOf(Float32Array.of(${Array.from(logits, single).join(", ").replaceAll("−", "-")}));`];
  const names = asked ? "distributionOf, loadModel, sampler" : "distributionOf, sampler";
  const at = `distributionOf(own.logits, ${knobs.temperature})`;
  const tempered = knobs.temperature === 0 ? `sampler({ temperature: 0 }).filter(own, [], [])` : at;

  const code = (expression: string): { library: string; command: string } => ({
    library: [`import { ${names} } from "vitrine";`, ...own, `${expression};`].join("\n"),
    command: nodeCommand(names, own, expression),
  });
  /** What `vitrine generate --show` prints of a token: its logit, its rank, the model's own probability. */
  const shownCode = (row: Row, expression: string): { library: string; command: string } =>
    asked && !asked.ids && row.rank <= mostShown
      ? { ...code(expression), command: generateCommand(asked, knobs, Math.max(20, row.rank)) }
      : code(expression);
  /** What the tokens without a row have together. */
  const restOf = (distribution: string): string => {
    const ids = view.rows.map(({ id }) => id);
    return view.rows.every(({ rank }, i) => rank === i + 1)
      ? `${distribution}.rest(${ids.length})`
      : `1 - [${ids.join(", ")}].reduce((sum, id) => sum + ${distribution}.probability(id), 0)`;
  };

  const softmaxFormula = String.raw`p_i = \frac{e^{z_i / T}}{\sum_{j=1}^{V} e^{z_j / T}}`;
  const sum = (): number => 1 / view.topShare; // the favourite's weight is 1 once the largest is taken off
  const largest = (): number => logits.reduce((most, logit) => Math.max(most, logit), -Infinity);

  return {
    rank: (row) => ({
      key: `rank-${row.id}`,
      title: t("rankTitle", { token: token(row.id) }),
      value: whole(row.rank),
      provenance,
      story: t("whyRank"),
      formula: String.raw`\mathrm{rank}_i = 1 + \left|\{\, j : z_j > z_i \,\}\right|`,
      operands: [
        { symbol: "z_i", name: t("opLogit"), value: single(row.logit) },
        { symbol: "V", name: t("opVocabulary"), value: whole(V) },
      ],
      code: shownCode(row, `own.rank(${row.id})`),
    }),
    logit: (row) => ({
      key: `logit-${row.id}`,
      title: t("logitOf", { token: token(row.id) }),
      value: signed(row.logit, 6),
      provenance: asked ? "computed" : "illustrative",
      story: t(asked ? "whyLogit" : "whyLogitLecture"),
      formula: asked ? String.raw`z_i = \mathrm{norm}(x) \cdot W_U[:, i]` : undefined,
      operands: asked
        ? [
            { symbol: "i", name: t("opId"), value: String(row.id) },
            { symbol: "p_i", name: t("opOwn"), value: exact(row.probability) },
          ]
        : undefined,
      code: shownCode(row, `own.logits[${row.id}]`),
    }),
    tempered: (row) => ({
      key: `tempered-${row.id}`,
      title: t("shareTitle", { token: token(row.id), t: T }),
      value: exact(row.tempered),
      provenance,
      story: t(knobs.temperature === 0 ? "whyGreedy" : "whySoftmax"),
      formula:
        knobs.temperature === 0
          ? String.raw`p_i = \begin{cases} 1 & i = \arg\max_j z_j \\ 0 & \text{else} \end{cases}`
          : String.raw`p_i = \frac{e^{(z_i - m) / T}}{\sum_{j=1}^{V} e^{(z_j - m) / T}},\; m = \max_j z_j`,
      operands: [
        { symbol: "z_i", name: t("opLogit"), value: single(row.logit) },
        temperature,
        { symbol: "m", name: t("opLargest"), value: single(largest()) },
        { symbol: String.raw`\sum`, name: t("opSum", { n: whole(V) }), value: exact(sum()) },
        { symbol: "p_i(1)", name: t("opOwn"), value: exact(row.probability) },
      ],
      code: knobs.temperature === 1 ? shownCode(row, `own.probability(${row.id})`) : code(`${tempered}.probability(${row.id})`),
    }),
    drawn: (row) => ({
      key: `drawn-${row.id}`,
      title: t("drawnTitle", { token: token(row.id) }),
      value: exact(row.drawn),
      provenance,
      story:
        row.cut !== undefined
          ? t("whyCut", { rule: t(`cut-${row.cut}`) })
          : filtered
            ? t("whyDrawn", { n: whole(view.kept), mass: exactShare(view.keptMass) })
            : t(knobs.temperature === 0 ? "whyGreedy" : "whyDrawnAll"),
      formula: String.raw`q_i = \begin{cases} p_i \big/ \sum_{j \in K} p_j & i \in K \\ 0 & i \notin K \end{cases}`,
      operands: [
        { symbol: "p_i", name: t("opShare"), value: exact(row.tempered) },
        { symbol: String.raw`\sum_K`, name: t("opMass"), value: exact(view.keptMass) },
        { symbol: "|K|", name: t("keptOf", { n: "" }).trim(), value: whole(view.kept) },
      ],
      code: code(`${samplerCall(knobs)}.filter(own, [], []).probability(${row.id})`),
    }),
    rest: (column) => {
      const value = view.rest[column];
      return {
        key: `rest-${column}`,
        title: t("restTitle"),
        value: exact(value),
        provenance,
        story: t("whyRest"),
        formula: column === "tempered" ? String.raw`1 - \sum_{i \in \text{shown}} p_i` : String.raw`1 - \sum_{i \in \text{shown}} q_i`,
        operands: [
          { symbol: String.raw`\sum`, name: t("opShown"), value: exact(1 - value) },
          { symbol: "n", name: t("restTitle"), value: whole(column === "tempered" ? view.rest.count : view.rest.kept) },
        ],
        code: code(restOf(column === "tempered" ? tempered : `${samplerCall(knobs)}.filter(own, [], [])`)),
      };
    },
    topShare: () => ({
      key: "top-share",
      title: t("topShare"),
      value: exact(view.topShare),
      provenance,
      story: t("whyTop"),
      formula: String.raw`\max_i p_i = \frac{1}{\sum_{j=1}^{V} e^{(z_j - m) / T}}`,
      operands: [temperature, { symbol: String.raw`\sum`, name: t("opSum", { n: whole(V) }), value: exact(sum()) }],
      code: code(`${tempered}.top(1)[0].probability`),
    }),
    entropy: () => ({
      key: "entropy",
      title: t("entropy"),
      value: t("bits", { n: exact(view.entropy) }),
      provenance,
      story: t("whyEntropy"),
      formula: String.raw`H = -\sum_{i=1}^{V} p_i \log_2 p_i`,
      operands: [temperature, { symbol: "V", name: t("opVocabulary"), value: whole(V) }],
      code: code(`${tempered}.entropy()`),
    }),
    step: (name, row, steps) => {
      const largestDivided = { symbol: "m", name: t("whyLargest"), value: exact(steps.largest) };
      const parts = {
        divided: {
          story: t("whyDivided"),
          formula: String.raw`z_i / T`,
          operands: [{ symbol: "z_i", name: t("opLogit"), value: single(row.logit) }, temperature],
          expression: `own.logits[${row.id}] / ${knobs.temperature}`,
        },
        shifted: {
          story: t("whyShifted"),
          formula: String.raw`s_i = z_i / T - m`,
          operands: [{ symbol: "z_i/T", name: t("divided"), value: exact(row.divided) }, largestDivided],
          expression: `own.logits[${row.id}] / ${knobs.temperature} - Math.max(...own.logits) / ${knobs.temperature}`,
        },
        weight: {
          story: t("whyWeight"),
          formula: String.raw`w_i = e^{s_i}`,
          operands: [{ symbol: "s_i", name: t("shifted"), value: exact(row.shifted) }],
          expression: `Math.exp((own.logits[${row.id}] - Math.max(...own.logits)) / ${knobs.temperature})`,
        },
        probability: {
          story: t("whySoftmax"),
          formula: String.raw`p_i = w_i \Big/ \sum_{j=1}^{V} w_j`,
          operands: [
            { symbol: "w_i", name: t("weight"), value: exact(row.weight) },
            { symbol: String.raw`\sum`, name: t("opSum", { n: whole(V) }), value: exact(steps.sum) },
          ],
          expression: `${at}.probability(${row.id})`,
        },
      }[name];
      const { story, formula, operands, expression } = parts;
      const value = exact(row[name]);
      return { key: `step-${name}-${row.id}`, title: `${token(row.id)}: ${t(name === "probability" ? "share" : name)}`, value, provenance, story, formula, operands, code: code(expression) }; // prettier-ignore
    },
    total: (name, steps) => {
      if (name === "all")
        return {
          key: "step-all",
          title: t("sum"),
          value: "100 %",
          provenance,
          story: t("whyAll"),
          formula: String.raw`\sum_{i=1}^{V} p_i = \sum_{i=1}^{V} \frac{w_i}{\sum_{j} w_j} = 1`,
          operands: [{ symbol: String.raw`\sum w_j`, name: t("opSum", { n: whole(V) }), value: exact(steps.sum) }],
          code: code(`${at}.rest(0)`),
        };
      const rest = name === "others" || name === "othersShare";
      const value = exact({ sum: steps.sum, largest: steps.largest, others: steps.others.weight, othersShare: steps.others.probability }[name]);
      const ids = steps.rows.map(({ id }) => id).join(", ");
      const weightOf = `Math.exp((own.logits[id] - Math.max(...own.logits)) / ${knobs.temperature})`;
      return {
        key: name === "othersShare" ? "step-others-share" : `step-${name}`,
        title: rest ? t("others", { n: whole(steps.others.count) }) : t(name),
        value,
        provenance,
        story: t(name === "sum" ? "whySum" : name === "largest" ? "whyLargest" : "whyOthers"),
        formula: name === "sum" ? String.raw`\sum_{j=1}^{V} e^{s_j}` : name === "largest" ? String.raw`m = \max_j z_j / T` : softmaxFormula,
        operands: [temperature, { symbol: "V", name: t("opVocabulary"), value: whole(V) }],
        code: code(
          name === "largest"
            ? `Math.max(...own.logits) / ${knobs.temperature}`
            : name === "sum"
              ? `1 / ${at}.top(1)[0].probability`
              : name === "othersShare"
                ? `1 - [${ids}].reduce((sum, id) => sum + ${at}.probability(id), 0)`
                : `1 / ${at}.top(1)[0].probability - [${ids}].reduce((sum, id) => sum + ${weightOf}, 0)`,
        ),
      };
    },
  };
}
