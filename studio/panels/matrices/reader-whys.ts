/** The words of a row times a vector: its sum, the bias, what the model computed, how far they differ, and the code that gives the same. */
import type { ModelConfig } from "../../engine/protocol.ts";
import { shellWord, signed, whole } from "../../state/format.ts";
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
  readonly text: string;
  readonly weights: Float32Array;
  readonly vector: Float32Array;
  readonly sum: number;
  readonly bias: number | undefined;
  /** Checkpoint name of the bias. */
  readonly biasName: string | undefined;
  /** What the model computed. */
  readonly captured: number;
}

export type ProductNumber = "sum" | "bias" | "captured" | "difference";

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
    case "captured":
      return { ...shared, ...capturedWhy(product) };
    case "difference":
      return { ...shared, ...differenceWhy(product) };
  }
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
    code: code(product, ownSum(product)),
  };
}

function capturedWhy(product: Product): Answer {
  const { meet, row, ids, config, matrix, captured } = product;
  const place = (ids.length - 1) * resultWidth(config, matrix.category as MatrixCategory) + meet.outputStart + row;
  return {
    title: t("captured"),
    value: signed(captured, 6),
    story: t("whyCaptured"),
    formula: `\\text{${meet.output.replaceAll("_", "\\_")}}`,
    operands: [{ symbol: "y", name: meet.output, value: signed(captured, 6) }],
    code: code(product, `heard.get("${meet.output}").data[${place}];`),
  };
}

function differenceWhy(product: Product): Answer {
  return {
    title: t("difference"),
    value: difference(product).toExponential(1).replace("-", "−"),
    story: `${t("whyDifference")} ${t("differenceWords")}`,
    formula: `\\sum_i w_i x_i ${product.bias === undefined ? "" : "+ b"} - y`,
    operands: [
      { symbol: "\\sum w x + b", name: t("together"), value: signed(together(product), 7) },
      { symbol: "y", name: t("captured"), value: signed(product.captured, 7) },
    ],
    code: code(product, ownSum(product)),
  };
}

function ownSum({ meet, ids, weights }: Product): string {
  return `row.reduce((sum, w, i) => sum + w * heard.get("${meet.input}").data[${(ids.length - 1) * weights.length} + i], 0);`;
}

/** The pass and the row by the library; the same as one command. */
function code({ model, config, matrix, meet, row, ids, text }: Product, last: string): NonNullable<Why["code"]> {
  const [first, second] = [biasPlace(config, matrix.category, matrix.head, row), matrix.columns];
  const block = matrix.turned ? `[0, ${second}], [${first}, 1]` : `[${first}, 1], [0, ${second}]`;
  const { input, output } = meet;
  const calls = [
    `const { model } = await loadModel("${model}");`,
    `const { data: row } = await matrixOf(model, "${matrix.name}", ${block});`,
    `const heard = await capture(model, ${JSON.stringify(ids)}, ${JSON.stringify(input === undefined ? [output] : [input, output])});`,
  ];
  const script = `import { loadModel, matrixOf, capture } from "vitrine"; ${calls.join(" ")} console.log(${last.replace(/;$/, "")}); process.exit()`;
  return {
    library: [...calls, last].join("\n"),
    command:
      output === "logits"
        ? `vitrine generate ${shellWord(text)} --model ${model} --max-tokens 1 --json`
        : `node --input-type=module -e ${shellWord(script)}`,
  };
}
