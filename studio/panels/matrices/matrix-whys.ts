/** The words of a matrix: where it stands, what a weight is, how its statistics come about, and the code that gives the same numbers. */
import type { ModelConfig } from "../../engine/protocol.ts";
import { signed, visible, whole } from "../../state/format.ts";
import { studio } from "../../state/studio.svelte.ts";
import type { Why } from "../../state/why.ts";
import { t } from "./messages.ts";
import type { Statistics } from "./overview.ts";
import { inCheckpoint, isVector } from "./places.ts";
import type { OpenMatrix } from "./reading.ts";
import type { Weight } from "./sheet.svelte.ts";
import type { Extent, Place } from "./sight.ts";

export type Statistic = "mean" | "deviation" | "largest";

export function placeName({ category, layer, head }: OpenMatrix): string {
  return [t(category), ...(layer === undefined ? [] : [t("layerN", { n: layer })]), ...(head === undefined ? [] : [t("headN", { n: head })])].join(
    t("comma"),
  );
}

/** `token` is there where rows are tokens. */
export function weightWords({ row, column, x }: Weight, token: string | undefined): string {
  const values = { row: whole(row), column: whole(column), w: signed(x, 5) };
  return token === undefined ? t("cell", values) : t("cellToken", { ...values, token: visible(token) });
}

const opening = (): string => `const { model } = await loadModel("${studio.model?.info.name}");`;

function command(of: OpenMatrix, tail: string): string {
  const code = `import { loadModel, matrixOf } from "vitrine"; ${opening()} const { data } = await matrixOf(model, "${of.name}"${tail}; process.exit()`;
  return `node --input-type=module -e '${code}'`;
}

/** Place in the checkpoint's tensor. */
function inTensor(config: ModelConfig, of: OpenMatrix, row: number, column: number): readonly [number, number] {
  return isVector(of.category) ? [row, column] : inCheckpoint(config, of.category, of.head, row, column);
}

export function weightWhy(config: ModelConfig, of: OpenMatrix, { row, column, x }: Weight): Why {
  const [first, second] = inTensor(config, of, row, column);
  const place = { n: whole(of.rows * of.columns), row: whole(row), column: whole(column) };
  const lookup = of.category === "Embedding" || of.category === "Positions";
  const block = `, [${first}, 1], [${second}, 1]`;
  return {
    key: "matrix-cell",
    title: t("whyTitle", { place: placeName(of) }),
    value: signed(x, 6),
    provenance: "computed",
    story: isVector(of.category) ? t("whyVector", place) : t(lookup ? "whyLookup" : "whyStory", place),
    formula: isVector(of.category) ? `b_{${column}}` : `W_{${row},\\,${column}}`,
    operands: [
      { symbol: "W", name: t("checkpointName"), value: of.name },
      { symbol: "i", name: t("checkpointRow"), value: whole(first) },
      { symbol: "j", name: t("checkpointColumn"), value: whole(second) },
    ],
    code: {
      library: `${opening()}\nconst { data } = await matrixOf(model, "${of.name}"${block});\ndata[0];`,
      command: command(of, `${block}); console.log(data[0])`),
    },
  };
}

const formulas: Readonly<Record<Statistic, string>> = {
  mean: "\\mu = \\frac{1}{n} \\sum w",
  deviation: "\\sigma = \\sqrt{\\frac{1}{n} \\sum (w - \\mu)^2}",
  largest: "\\max |w|",
};
const expressions: Readonly<Record<Statistic, string>> = {
  mean: "data.reduce((sum, w) => sum + w, 0) / data.length",
  deviation: "Math.sqrt(data.reduce((sum, w) => sum + w * w, 0) / data.length - (data.reduce((sum, w) => sum + w, 0) / data.length) ** 2)",
  largest: "data.reduce((most, w) => Math.max(most, Math.abs(w)), 0)",
};

/** `part` = what is in sight where only that is counted. */
export function statisticWhy(
  kind: Statistic,
  config: ModelConfig,
  of: OpenMatrix | undefined,
  statistics: Statistics | undefined,
  part: (Place & Extent) | undefined,
): Why {
  const value = statistics?.[kind] ?? 0;
  const count = whole(statistics?.count ?? 0);
  const rows = of && (part || of.head !== undefined || isThird(of)) ? range(config, of, part) : "";
  return {
    key: `matrix-${kind}`,
    title: `${t(kind)}: ${of ? placeName(of) : ""}`,
    value: kind === "mean" ? signed(value, 6) : value.toFixed(6),
    provenance: "derived",
    story: t("whyStatistic", { n: count }),
    formula: formulas[kind],
    operands: [{ symbol: "n", name: t("weights"), value: count }],
    code: of && {
      library: `${opening()}\nconst { data } = await matrixOf(model, "${of.name}"${rows});\n${expressions[kind]};`,
      command: command(of, `${rows}); console.log(${expressions[kind]})`),
    },
  };
}

/** GPT-2 keeps queries, keys and values in one tensor. */
function isThird(of: OpenMatrix): boolean {
  return of.turned && ["Query", "Key", "Value"].includes(of.category);
}

/** The rows and columns of the checkpoint that are counted. */
function range(config: ModelConfig, of: OpenMatrix, part: (Place & Extent) | undefined): string {
  const { row, column, rows, columns } = part ?? { row: 0, column: 0, rows: of.rows, columns: of.columns };
  const [first, second] = inTensor(config, of, row, column);
  const [high, wide] = of.turned ? [columns, rows] : [rows, columns];
  return `, [${first}, ${high}], [${second}, ${wide}]`;
}
