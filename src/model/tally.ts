/**
 * Where the weights are: the eight categories of the lecture, with formulas, counts and matrices.
 * Counts come from the family's parameter table, the same that loads checkpoints; here are only the words and formulas for them.
 */
import type { ModelConfig } from "./config.ts";
import { parametersOf } from "./families.ts";
import type { Category } from "./parameters.ts";

export type TallyRow = {
  readonly category: Category;
  /** For people: "d_query * d_embed * n_heads * n_layers". */
  readonly formula: string;
  /** The same with numbers: "128 * 12,288 * 96 * 96". */
  readonly numbers: string;
  readonly weights: number;
  /** Matrices by the lecture's rule: Key, Query and Value once per head, Output once per layer. 0 for vectors. */
  readonly matrices: number;
};

export interface Tally {
  readonly name: string;
  /** "video": the eight categories only. "exact": also positions, biases and norms, and a tied unembedding counts 0. */
  readonly rule: "video" | "exact";
  readonly rows: readonly TallyRow[];
  readonly weights: number;
  readonly matrices: number;
}

/** A factor with its symbol; a product of factors; a sum of products. */
type Factor = readonly [symbol: string, value: number];
type Product = readonly Factor[];

const ORDER: readonly Category[] = [
  "Embedding",
  "Positions",
  "Key",
  "Query",
  "Value",
  "Output",
  "Gate-projection",
  "Up-projection",
  "Down-projection",
  "Biases",
  "Norms",
  "Unembedding",
];
const LECTURE = new Set<Category>(["Embedding", "Key", "Query", "Value", "Output", "Up-projection", "Down-projection", "Unembedding"]);

/**
 * Counts the weights of a config, loaded or not.
 * "video" is the lecture's rule: the eight categories, biases, norms and positions left out, the unembedding counted even when it is
 * the embedding's own matrix; a gated MLP's second matrix into the neurons counts as Up-projection.
 * "exact" is what a checkpoint file holds: every number once.
 */
export function tally(config: ModelConfig, rule: "video" | "exact", name: string = config.modelType): Tally {
  const counted = new Map<Category, number>();
  const videoRule = rule === "video";
  for (const { shares } of parametersOf(videoRule ? { ...config, tied: false } : config))
    for (const [category, weights] of shares) {
      const column = videoRule && category === "Gate-projection" ? "Up-projection" : category;
      counted.set(column, (counted.get(column) ?? 0) + weights);
    }
  const sums = formulas(config, rule);
  const matrices = matrixCounts(config, rule);
  const tiedAway = !videoRule && config.tied;
  const rows = ORDER.filter((category) => (videoRule ? LECTURE.has(category) : sums[category].length > 0 || category === "Unembedding")).map(
    (category): TallyRow => ({
      category,
      formula: tiedAway && category === "Unembedding" ? "0 (the embedding's own matrix)" : written(sums[category], ([symbol]) => symbol),
      numbers: tiedAway && category === "Unembedding" ? "0" : written(sums[category], ([, value]) => value.toLocaleString("en-US")),
      weights: counted.get(category) ?? 0,
      matrices: matrices[category] ?? 0,
    }),
  );
  const sum = (of: (row: TallyRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  return { name, rule, rows, weights: sum((row) => row.weights), matrices: sum((row) => row.matrices) };
}

function written(sum: readonly Product[], word: (factor: Factor) => string): string {
  return sum.map((product) => product.map(word).join(" * ")).join(" + ");
}

/** Each category as a sum of products; empty = the model has none. */
function formulas(config: ModelConfig, rule: "video" | "exact"): Readonly<Record<Category, readonly Product[]>> {
  const { biases } = config;
  const embed: Factor = ["d_embed", config.width];
  const vocabulary: Factor = ["n_vocab", config.vocabularySize];
  const layers: Factor = ["n_layers", config.layers];
  const neurons: Factor = ["n_neurons", config.mlpWidth];
  const heads: Factor = ["n_heads", config.heads];
  const kvHeads: Factor = config.kvHeads === config.heads ? heads : ["n_kv_heads", config.kvHeads];
  const query: Factor = ["d_query", config.headDimension];
  const value: Factor = ["d_value", config.headDimension];
  const two: Factor = ["2", 2];
  const gated = config.family === "llama";
  const intoNeurons: readonly Factor[] = [neurons, embed, layers];

  const biasVectors: readonly (readonly Factor[])[] = [
    ...(biases.qkv
      ? [
          [query, heads],
          [query, kvHeads],
          [value, kvHeads],
        ]
      : []),
    ...(biases.output ? [[embed]] : []),
    ...(biases.mlp ? [...(gated ? [[neurons]] : []), [neurons], [embed]] : []),
  ];
  const normVectors: Product[] = gated
    ? [[two, embed, layers], [embed]]
    : [
        [two, two, embed, layers],
        [two, embed],
      ]; // GPT-2's have biases too
  if (config.qkNorm) normVectors.push([two, query, layers]);

  return {
    Embedding: [[embed, vocabulary]],
    Positions: config.rotary ? [] : [[embed, ["n_context", config.contextLength]]],
    Key: [[query, embed, kvHeads, layers]],
    Query: [[query, embed, heads, layers]],
    Value: [[value, embed, kvHeads, layers]],
    Output: [[embed, value, heads, layers]],
    "Gate-projection": gated && rule === "exact" ? [intoNeurons] : [],
    "Up-projection": [gated && rule === "video" ? [two, ...intoNeurons] : intoNeurons],
    "Down-projection": [[embed, neurons, layers]],
    Biases: biasVectors.map((vector) => [...vector, layers]),
    Norms: normVectors,
    Unembedding: [[vocabulary, embed]],
  };
}

/** The lecture counts Key, Query and Value once per head and layer, the others once per layer. */
function matrixCounts(config: ModelConfig, rule: "video" | "exact"): Partial<Record<Category, number>> {
  const { layers, heads, kvHeads } = config;
  const gated = config.family === "llama";
  const exact = rule === "exact";
  return {
    Embedding: 1,
    Positions: exact && !config.rotary ? 1 : 0,
    Key: kvHeads * layers,
    Query: heads * layers,
    Value: kvHeads * layers,
    Output: layers,
    "Gate-projection": exact && gated ? layers : 0,
    "Up-projection": !exact && gated ? 2 * layers : layers,
    "Down-projection": layers,
    Unembedding: exact && config.tied ? 0 : 1,
  };
}
