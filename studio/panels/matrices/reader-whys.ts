/** The words of a row times a vector: its sum, the bias, what the model computed, how far they differ, and the code that gives the same. */
import type { ModelConfig } from "../../engine/protocol.ts";
import { nodeCommand } from "../../parts/node-command.ts";
import { signed, whole } from "../../state/format.ts";
import type { Why } from "../../state/why.ts";
import { t } from "./messages.ts";
import { biasPlace, resultWidth } from "./places.ts";
import type { MatrixCategory, Meeting } from "./places.ts";
import type { OpenMatrix } from "./reading.ts";

/** One row of a matrix, met by the vector of one position. */
export interface Product {
  readonly model: string;
  readonly config: ModelConfig;
  readonly matrix: OpenMatrix;
  readonly meet: Meeting;
  readonly row: number;
  /** What the model has read, up to this position. */
  readonly ids: readonly number[];
  readonly weights: Float32Array;
  readonly vector: Float32Array;
  readonly sum: number;
  readonly bias: number | undefined;
  /** Checkpoint name of the bias. */
  readonly biasName: string | undefined;
  /** What the model computed. */
  readonly captured: number;
}

/** Of the whole row. "lookup": how far a row is from the vector that was taken from it. */
export type ProductNumber = "sum" | "bias" | "together" | "captured" | "difference" | "lookup";
/** Of one term: its two factors, their product, and the sum up to it. */
export type TermNumber = "weight" | "data" | "term" | "running";

export function together({ sum, bias }: Product): number {
  return sum + (bias ?? 0);
}

/** The page's own sum minus what the model computed. */
export function difference(product: Product): number {
  return together(product) - product.captured;
}

export function told(x: number): string {
  return x === 0 ? "0" : x.toExponential(1).replaceAll("-", "−");
}

export function productWhy(key: ProductNumber, product: Product): Why {
  const shared = { key: `reader-${key}`, provenance: key === "captured" || key === "bias" ? "computed" : "derived" } as const;
  switch (key) {
    case "sum":
      return { ...shared, ...sumWhy(product) };
    case "bias":
      return { ...shared, ...biasWhy(product) };
    case "together":
      return { ...shared, ...togetherWhy(product) };
    case "captured":
      return { ...shared, ...capturedWhy(product) };
    case "difference":
      return { ...shared, ...differenceWhy(product) };
    case "lookup":
      return { ...shared, ...lookupWhy(product) };
  }
}

/** `k`: the term, from 0; of "running" the terms in the sum. */
export function termWhy(key: TermNumber, product: Product, k: number, running: number): Why {
  const shared = { key: `reader-${key}`, provenance: key === "weight" || key === "data" ? "computed" : "derived" } as const;
  const { row, weights, vector, meet } = product;
  const [w, x] = [weights[k] ?? 0, vector[k] ?? 0];
  const factors = [
    { symbol: `w_{${row},\\,${k}}`, name: t("weights"), value: signed(w, 6) },
    { symbol: `x_{${k}}`, name: meet.input ?? "", value: signed(x, 6) },
  ];
  switch (key) {
    case "weight": {
      const story = t("whyStory", { n: whole(product.matrix.rows * product.matrix.columns), row: whole(row), column: whole(k) });
      return {
        ...shared,
        title: t("weightTitle", { k }),
        value: signed(w, 6),
        story,
        formula: `w_{${row},\\,${k}}`,
        code: code(product, `row[${k}]`),
      };
    }
    case "data":
      return {
        ...shared,
        title: t("dataTitle", { k }),
        value: signed(x, 6),
        story: t("whyData"),
        formula: `x_{${k}}`,
        operands: [factors[1]],
        code: code(product, dataAt(product, String(k))),
      };
    case "term":
      return {
        ...shared,
        title: t("product", { k }),
        value: signed(w * x, 6),
        story: t("whyTerm"),
        formula: `w_{${row},\\,${k}}\\; x_{${k}}`,
        operands: factors,
        code: code(product, `row[${k}] * ${dataAt(product, String(k))}`),
      };
    case "running":
      return {
        ...shared,
        title: t("sumSoFar", { k: whole(k), n: whole(weights.length) }),
        value: signed(running, 6),
        story: t("whySum"),
        formula: `\\sum_{i=0}^{${k - 1}} w_{${row},\\,i}\\; x_i`,
        code: code(product, ownSum(product, 0, k)),
      };
  }
}

/** What one head's numbers, from `from` on, bring to a sum over all heads. */
export function headWhy(product: Product, head: number, from: number, sum: number): Why {
  const to = from + product.config.headDimension;
  return {
    key: "reader-head",
    title: t("headPart", { n: head }),
    value: signed(sum, 6),
    provenance: "derived",
    story: t("whyHead", { d: product.config.headDimension }),
    formula: `\\sum_{i=${from}}^{${to - 1}} w_{${product.row},\\,i}\\; x_i`,
    code: code(product, ownSum(product, from, to)),
  };
}

type Answer = Omit<Why, "key" | "provenance">;

function sumWhy(product: Product): Answer {
  const { row, weights, vector, sum } = product;
  const n = weights.length;
  const term = (k: number): string => `${signed(weights[k], 4)} · ${signed(vector[k], 4)}`;
  return {
    title: t("total2", { n: whole(n) }),
    value: signed(sum, 6),
    story: t("whySum"),
    formula: `\\sum_{i=0}^{${n - 1}} w_{${row},\\,i}\\; x_i`,
    operands: [
      { symbol: "n", name: t("terms", { from: 0, to: n - 1, n }), value: whole(n) },
      { symbol: "w_0 x_0", name: t("product", { k: 0 }), value: term(0) },
      { symbol: `w_{${n - 1}} x_{${n - 1}}`, name: t("product", { k: n - 1 }), value: term(n - 1) },
    ],
    code: code(product, ownSum(product)),
  };
}

function biasWhy(product: Product): Answer {
  return {
    title: t("bias"),
    value: signed(product.bias ?? 0, 6),
    story: t("whyBias"),
    formula: `b_{${product.row}}`,
    operands: [{ symbol: "b", name: t("checkpointName"), value: product.biasName ?? "" }],
    code: code(product, "b"),
  };
}

function togetherWhy(product: Product): Answer {
  const { sum, bias, row } = product;
  return {
    title: t("together"),
    value: signed(together(product), 6),
    story: bias === undefined ? t("whySum") : t("whyTogether"),
    formula: `\\sum_i w_{${row},\\,i}\\; x_i${bias === undefined ? "" : ` + b_{${row}}`}`,
    operands: [
      { symbol: "\\sum w x", name: t("total2", { n: whole(product.weights.length) }), value: signed(sum, 6) },
      ...(bias === undefined ? [] : [{ symbol: "b", name: t("bias"), value: signed(bias, 6) }]),
    ],
    code: code(product, allTogether(product)),
  };
}

function capturedWhy(product: Product): Answer {
  const { meet, captured } = product;
  return {
    title: t("captured"),
    value: signed(captured, 6),
    story: t("whyCaptured"),
    formula: `\\text{${meet.output.replaceAll("_", "\\_")}}`,
    operands: [{ symbol: "y", name: meet.output, value: signed(captured, 6) }],
    code: code(product, capturedAt(product)),
  };
}

function differenceWhy(product: Product): Answer {
  return {
    title: t("difference"),
    value: told(difference(product)),
    story: `${t("whyDifference")} ${t("differenceWords")}`,
    formula: `\\sum_i w_i x_i ${product.bias === undefined ? "" : "+ b"} - y`,
    operands: [
      { symbol: "\\sum w x + b", name: t("together"), value: signed(together(product), 7) },
      { symbol: "y", name: t("captured"), value: signed(product.captured, 7) },
    ],
    code: code(product, `${allTogether(product)} - ${capturedAt(product)}`),
  };
}

function lookupWhy(product: Product): Answer {
  const { meet, ids, weights } = product;
  const taken = `heard.get("${meet.output}").data[${(ids.length - 1) * weights.length} + i]`;
  return {
    title: t("largestDifference", { n: whole(weights.length) }),
    value: told(product.captured),
    story: t("whyLookupDifference"),
    formula: "\\max_i |w_i - x_i|",
    operands: [{ symbol: "x", name: meet.output, value: whole(weights.length) }],
    code: code(product, `row.reduce((most, w, i) => Math.max(most, Math.abs(w - ${taken})), 0)`),
  };
}

// The same numbers in code: `row`, `b` and `heard` are what code() reads.

function dataAt({ meet, ids, weights }: Product, i: string): string {
  return `heard.get("${meet.input}").data[${(ids.length - 1) * weights.length} + ${i}]`;
}

function ownSum(product: Product, from = 0, to = product.weights.length): string {
  const all = from === 0 && to === product.weights.length;
  return `row${all ? "" : `.slice(${from}, ${to})`}.reduce((sum, w, i) => sum + w * ${dataAt(product, from === 0 ? "i" : `${from} + i`)}, 0)`;
}

function allTogether(product: Product): string {
  return ownSum(product) + (product.bias === undefined ? "" : " + b");
}

function capturedAt({ meet, row, ids, config, matrix }: Product): string {
  const place = (ids.length - 1) * resultWidth(config, matrix.category as MatrixCategory) + meet.outputStart + row;
  return `heard.get("${meet.output}").data[${place}]`;
}

/** The pass, the row and its bias by the library; the same as one command. */
function code({ model, config, matrix, meet, row, ids, biasName: bias }: Product, value: string): NonNullable<Why["code"]> {
  const [first, second] = [biasPlace(config, matrix.category, matrix.head, row), matrix.columns];
  const block = matrix.turned ? `[0, ${second}], [${first}, 1]` : `[${first}, 1], [0, ${second}]`;
  const { input, output } = meet;
  const reads = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(value);
  const calls = [
    `const { model } = await loadModel(${JSON.stringify(model)});`,
    ...(reads("row") ? [`const { data: row } = await matrixOf(model, "${matrix.name}", ${block});`] : []),
    ...(reads("b") && bias !== undefined ? [`const { data: [b] } = await matrixOf(model, "${bias}", [0, 1], [${first}, 1]);`] : []),
    ...(reads("heard")
      ? [`const heard = await capture(model, ${JSON.stringify(ids)}, ${JSON.stringify(input === undefined ? [output] : [input, output])});`]
      : []),
  ];
  return { library: [...calls, `${value};`].join("\n"), command: nodeCommand("capture, loadModel, matrixOf", calls, value) };
}
