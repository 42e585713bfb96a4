/** The words of the count: weights, matrices, shares and the factors of their formulas, and the code that counts the same. */
import { nodeCommand } from "../../parts/node-command.ts";
import type { ModelConfig, Tally } from "../../engine/protocol.ts";
import { percent, shellWord, whole } from "../../state/format.ts";
import type { Why } from "../../state/why.ts";
import { bend, dimensionNames, dimensionsOf, factors, matrixFactors, neuronsAt, tex } from "./dimensions.ts";
import type { Dimension, Dimensions, Factor } from "./dimensions.ts";
import { t } from "./messages.ts";

export type TallyRow = Tally["rows"][number];

/** What is counted, and how. */
export interface Counted {
  readonly tally: Tally;
  /** "model" = the open one; else a preset. */
  readonly source: string;
  /** Of the model. */
  readonly name: string;
  /** As people read it. */
  readonly shownName: string;
  readonly base: ModelConfig;
  readonly bent: Dimensions | undefined;
}

/** The count by the library: what to import, the calls before it, and the tally itself. */
interface Calls {
  readonly names: string;
  readonly calls: readonly string[];
  readonly tally: string;
}

/** What has to be said to bend a preset, whose neurons go with the width by themselves. */
function bentDimensions({ base, bent }: Counted): readonly Dimension[] {
  if (!bent) return [];
  const own = { ...dimensionsOf(base), mlpWidth: neuronsAt(bent.width, base) };
  return dimensionNames.filter((dimension) => bent[dimension] !== own[dimension]);
}

function callsOf(counted: Counted): Calls {
  const { source, name, base, bent, tally: { rule } } = counted; // prettier-ignore
  if (source !== "model") {
    const changed = bentDimensions(counted);
    const other = changed.length > 0 ? `, { ${changed.map((dimension) => `${dimension}: ${bent![dimension]}`).join(", ")} }` : "";
    return { names: "presetConfig, tally", calls: [], tally: `tally(presetConfig("${source}"${other}), "${rule}")` };
  }
  if (!bent) return { names: "loadModel", calls: [`const model = await loadModel(${JSON.stringify(name)});`], tally: `model.tally("${rule}")` };
  const config = bend(base, bent);
  const changed = (Object.keys(config) as (keyof ModelConfig)[]).filter((key) => config[key] !== base[key]);
  const other = changed.map((key) => `, ${key}: ${String(config[key])}`).join("");
  const calls = [`const { model } = await loadModel(${JSON.stringify(name)});`];
  return { names: "loadModel, tally", calls, tally: `tally({ ...model.config${other} }, "${rule}")` };
}

/** `vitrine params` counts models and bent presets; undefined where a model was bent. */
function paramsCommand(counted: Counted): string | undefined {
  const { source, name, bent, tally: { rule } } = counted; // prettier-ignore
  if (source === "model") return bent ? undefined : `vitrine params ${shellWord(name)} --rule ${rule}`;
  const changes = bentDimensions(counted).map((dimension) => `${flags[dimension]} ${bent![dimension]}`);
  return [`vitrine params ${source}`, ...changes, `--rule ${rule}`].join(" ");
}

/** Of `vitrine params`. */
const flags: Readonly<Record<Dimension, string>> = {
  width: "--width",
  heads: "--heads",
  mlpWidth: "--neurons",
  layers: "--layers",
  vocabularySize: "--vocabulary",
  contextLength: "--context",
};

/** `value` of the tally, which stands for it by its own names: rows, weights, matrices. `printed` where the command's table has it. */
function code(counted: Counted, value: string, printed = true): NonNullable<Why["code"]> {
  const { names, calls, tally } = callsOf(counted);
  const all = [...calls, `const { rows, weights, matrices } = ${tally};`];
  return { library: [...all, `${value};`].join("\n"), command: (printed && paramsCommand(counted)) || nodeCommand(names, all, value) };
}

const rowOf = (category: string, then: string): string => `rows.find(({ category }) => category === "${category}").${then}`;
const sumOf = ({ formula, numbers }: TallyRow): readonly (readonly Factor[])[] => factors(formula, numbers);

/** What the rows have together, of weights or of matrices. */
function sumWhy(counted: Counted, of: "weights" | "matrices", symbol: string, words: Pick<Why, "key" | "title" | "story">): Why {
  const { tally, shownName } = counted;
  return {
    key: words.key,
    title: `${shownName}: ${words.title}`,
    value: whole(tally[of]),
    provenance: "derived",
    story: words.story,
    formula: `\\sum_\\text{rows} ${symbol}`,
    operands: tally.rows
      .filter((row) => row[of] > 0)
      .map((row) => ({ symbol: `${symbol}_\\text{${row.category}}`, name: t(row.category), value: whole(row[of]) })),
    code: code(counted, of),
  };
}

export function totalWhy(counted: Counted): Why {
  return sumWhy(counted, "weights", "N", { key: "tally-total", title: t("total"), story: t("totalStory") });
}

export function totalMatricesWhy(counted: Counted): Why {
  return sumWhy(counted, "matrices", "M", { key: "tally-matrices", title: t("matricesTitle"), story: t("whyMatrices") });
}

export function rowWhy(counted: Counted, row: TallyRow): Why {
  const { category, weights } = row;
  const sum = sumOf(row);
  const operands = new Map(sum.flat().filter(({ symbol }) => symbol !== "2").map((factor) => [factor.symbol, factor])); // prettier-ignore
  return {
    key: `tally-${category}`,
    title: t(category),
    value: whole(weights),
    provenance: "derived",
    story: `${t(`${category}Words`)} ${sum.length > 0 ? t("whyTally", { category: t(category) }) : t("tiedWords")}`,
    formula: sum.length > 0 ? `N = ${tex(sum)}` : undefined,
    operands: [...operands.values()].map((factor) => ({ symbol: tex([[factor]]), name: nameOf(factor), value: factor.value })),
    code: code(counted, rowOf(category, "weights")),
  };
}

export function rowMatricesWhy(counted: Counted, row: TallyRow): Why {
  const { category, matrices } = row;
  const product = matrixFactors(category, sumOf(row));
  const has = (symbol: RegExp): boolean => product.some((factor) => symbol.test(factor.symbol));
  const kind = category === "Output" ? "ofEachLayerHeads" : has(/heads$/) ? "ofEachHead" : has(/^2$/) ? "twoOfEachLayer" : has(/layers$/) ? "ofEachLayer" : "ofTheModel"; // prettier-ignore
  return {
    key: `tally-matrices-${category}`,
    title: `${t(category)}: ${t("matricesTitle")}`,
    value: whole(matrices),
    provenance: "derived",
    story: t(kind),
    formula: product.length > 0 ? `M = ${tex([product])}` : "M = 1",
    operands: product.map((factor) => ({ symbol: tex([[factor]]), name: nameOf(factor), value: factor.value })),
    code: code(counted, rowOf(category, "matrices")),
  };
}

export function shareWhy(counted: Counted, { category, weights }: TallyRow): Why {
  const all = counted.tally.weights;
  return {
    key: `tally-share-${category}`,
    title: `${t(category)}: ${t("share")}`,
    value: percent(weights / all),
    provenance: "derived",
    story: t("whyShare", { category: t(category) }),
    formula: `\\frac{N_\\text{${category}}}{\\sum_\\text{rows} N} = ${(weights / all).toPrecision(6)}`,
    operands: [
      { symbol: `N_\\text{${category}}`, name: t(category), value: whole(weights) },
      { symbol: "\\sum N", name: t("total"), value: whole(all) },
    ],
    code: code(counted, `${rowOf(category, "weights")} / weights`, false),
  };
}

/** One factor of a row's formula, such as n_heads. */
export function factorWhy(counted: Counted, category: string, factor: Factor): Why {
  return {
    key: factorKey(category, factor),
    title: nameOf(factor),
    value: factor.value,
    provenance: "computed",
    story: t("whyFactor", { name: counted.shownName }),
    formula: `${tex([[factor]])} = ${factor.value.replaceAll(",", "{,}")}`,
    code: code(counted, rowOf(category, "numbers")),
  };
}

export function factorKey(category: string, { symbol }: Factor): string {
  return `tally-factor-${category}-${symbol}`;
}

const named = ["d_embed", "n_vocab", "n_layers", "n_heads", "n_kv_heads", "d_query", "d_value", "n_neurons", "n_context"] as const;

function nameOf({ symbol }: Factor): string {
  const known = named.find((name) => name === symbol);
  return known ? t(known) : symbol;
}
