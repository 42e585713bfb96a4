/**
 * Where the weights of a category lie, and what they meet. The lecture draws every matrix with one row for each number that comes out;
 * GPT-2's checkpoints keep the matrices of the blocks the other way round, (inputs, outputs). Pure.
 */
import type { ModelConfig, NamedMatrix, Tally, WeightBlock } from "../../engine/protocol.ts";

export type Category = Tally["rows"][number]["category"];
export type MatrixCategory = NamedMatrix["category"];
export type Range = readonly [from: number, count: number];

const byHead: readonly Category[] = ["Query", "Key", "Value", "Output"];
const ofWholeModel: readonly Category[] = ["Embedding", "Positions", "Unembedding"];
const vectors: readonly Category[] = ["Biases", "Norms"];

export function hasHeads(category: Category): boolean {
  return byHead.includes(category);
}

export function hasLayers(category: Category): boolean {
  return !ofWholeModel.includes(category);
}

export function isVector(category: Category): category is "Biases" | "Norms" {
  return vectors.includes(category);
}

/** Row i belongs to token i. */
export function rowsAreTokens(category: Category): boolean {
  return category === "Embedding" || category === "Unembedding";
}

/** The checkpoint has one row for each input: what is drawn as a row is a column there. */
export function liesTurned({ family }: ModelConfig, category: Category): boolean {
  return family === "gpt2" && hasLayers(category) && !isVector(category);
}

/** The key/value head that a head reads; several may share it. */
export function keyHead({ heads, kvHeads }: ModelConfig, head: number): number {
  return Math.floor((head * kvHeads) / heads);
}

/** First of a head's numbers among all that the matrix gives (or, for Output, takes). */
export function headStart(config: ModelConfig, category: Category, head: number | undefined): number {
  if (head === undefined) return 0;
  return config.headDimension * (category === "Key" || category === "Value" ? keyHead(config, head) : head);
}

/** A weight of the drawing, in the checkpoint's tensor. GPT-2 has queries, keys and values side by side. */
export function inCheckpoint(
  config: ModelConfig,
  category: Category,
  head: number | undefined,
  row: number,
  column: number,
): readonly [row: number, column: number] {
  const start = headStart(config, category, head);
  const third = config.family === "gpt2" ? ["Query", "Key", "Value"].indexOf(category) : 0;
  const [output, input] = category === "Output" ? [row, start + column] : [Math.max(0, third) * config.width + start + row, column];
  return liesTurned(config, category) ? [input, output] : [output, input];
}

/** What a matrix is multiplied with, and what comes of it: names of activations. */
export interface Meeting {
  /** Undefined for a lookup: a row is taken as it is. */
  readonly input: string | undefined;
  /** "logits" for the unembedding. */
  readonly output: string;
  /** Place of the first row's result in the activation at one position. */
  readonly outputStart: number;
}

export function meeting(config: ModelConfig, category: MatrixCategory, layer: number, head: number | undefined): Meeting {
  const block = (name: string): string => `blocks.${layer}.${name}`;
  const start = headStart(config, category, head);
  const gated = config.family === "llama";
  switch (category) {
    case "Embedding":
      return { input: undefined, output: "hook_embed", outputStart: 0 };
    case "Positions":
      return { input: undefined, output: "hook_pos_embed", outputStart: 0 };
    case "Query":
    case "Key":
    case "Value":
      return { input: block("ln1.hook_normalized"), output: block(`attn.hook_${category[0].toLowerCase()}`), outputStart: start };
    case "Output":
      return { input: block("attn.hook_z"), output: block("hook_attn_out"), outputStart: 0 };
    case "Gate-projection":
      return { input: block("ln2.hook_normalized"), output: block("mlp.hook_pre"), outputStart: 0 };
    case "Up-projection":
      return { input: block("ln2.hook_normalized"), output: block(gated ? "mlp.hook_pre_linear" : "mlp.hook_pre"), outputStart: 0 };
    case "Down-projection":
      return { input: block("mlp.hook_post"), output: block("hook_mlp_out"), outputStart: 0 };
    case "Unembedding":
      return { input: "ln_final.hook_normalized", output: "logits", outputStart: 0 };
  }
}

/** The bias that is added after a matrix, where the checkpoint has one: its name beside the matrix's. */
export function biasName(matrix: string, names: readonly string[]): string | undefined {
  const name = matrix.replace(/weight$/, "bias");
  return name !== matrix && names.includes(name) ? name : undefined;
}

/** Which number of that bias belongs to a row. */
export function biasPlace(config: ModelConfig, category: Category, head: number | undefined, row: number): number {
  const [first, second] = inCheckpoint(config, category, head, row, 0);
  return liesTurned(config, category) ? second : first;
}

/** A block as it is drawn: (rows, columns), rows are outputs. */
export function drawn({ data, rows: [, height], columns: [, width] }: WeightBlock, turned: boolean): Float32Array {
  if (!turned) return data;
  const values = new Float32Array(data.length);
  for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) values[column * height + row] = data[row * width + column];
  return values;
}

/** One position's numbers of an activation (T, ...). */
export function atPosition({ shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array }, position: number): Float32Array {
  const width = data.length / shape[0];
  return data.subarray(position * width, (position + 1) * width);
}

/** Sums of the products so far: (n + 1,), beginning with 0. */
export function runningSum(weights: ArrayLike<number>, vector: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(weights.length + 1);
  for (let i = 0; i < weights.length; i++) sums[i + 1] = sums[i] + weights[i] * vector[i];
  return sums;
}

/** Numbers that the activation holds at one position, where a matrix's results are a part of it. */
export function resultWidth({ headDimension: D, heads, kvHeads, mlpWidth, width, vocabularySize }: ModelConfig, category: MatrixCategory): number {
  if (category === "Unembedding") return vocabularySize;
  if (category === "Query") return heads * D;
  if (category === "Key" || category === "Value") return kvHeads * D;
  return category === "Up-projection" || category === "Gate-projection" ? mlpWidth : width;
}
