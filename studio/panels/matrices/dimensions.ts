/** A model bent to other dimensions, what cannot be, and the formulas of the tally taken apart. Pure. */
import type { ModelConfig } from "../../engine/protocol.ts";

export interface Dimensions {
  readonly width: number;
  readonly heads: number;
  /** Neurons of each MLP. */
  readonly mlpWidth: number;
  readonly layers: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
}

export type Dimension = keyof Dimensions;

/** Within these a number field takes any whole number. */
export const limits: Readonly<Record<Dimension, readonly [least: number, most: number]>> = {
  width: [1, 65_536],
  heads: [1, 1024],
  mlpWidth: [1, 262_144],
  layers: [1, 1024],
  vocabularySize: [1, 1_000_000],
  contextLength: [1, 1_000_000],
};

/** What the sliders reach; fields reach further. */
export const reach: Readonly<Record<Dimension, readonly [least: number, most: number]>> = {
  width: [32, 16_384],
  heads: [1, 128],
  mlpWidth: [32, 65_536],
  layers: [1, 128],
  vocabularySize: [64, 262_144],
  contextLength: [16, 131_072],
};

export const dimensionNames: readonly Dimension[] = ["width", "heads", "mlpWidth", "layers", "vocabularySize", "contextLength"];

export function dimensionsOf({ width, heads, mlpWidth, layers, vocabularySize, contextLength }: ModelConfig): Dimensions {
  return { width, heads, mlpWidth, layers, vocabularySize, contextLength };
}

/** How many neurons the model would have at this width: in the proportion it came with. */
export function neuronsAt(width: number, base: ModelConfig): number {
  return Math.max(1, Math.round((base.mlpWidth * width) / base.width));
}

/** One dimension changed. Neurons go with the width until they were set apart from it. */
export function changed(base: ModelConfig, now: Dimensions, dimension: Dimension, value: number): Dimensions {
  const next = { ...now, [dimension]: value };
  return dimension === "width" && now.mlpWidth === neuronsAt(now.width, base) ? { ...next, mlpWidth: neuronsAt(value, base) } : next;
}

/** Query heads that share a key. */
function sharing({ heads, kvHeads }: ModelConfig): number {
  return heads / kvHeads;
}

/** Heads share the width evenly, and keys are shared evenly by heads. */
export function fits(base: ModelConfig, { width, heads }: Pick<Dimensions, "width" | "heads">): boolean {
  return width % heads === 0 && heads % sharing(base) === 0;
}

/** The nearest heads for this width and the nearest widths for these heads that work, nearest first. */
export function nearestThatFit(
  base: ModelConfig,
  { width, heads }: Pick<Dimensions, "width" | "heads">,
): { readonly heads: number[]; readonly widths: number[] } {
  const near = (from: number, [least, most]: readonly [number, number], works: (n: number) => boolean): number[] => {
    const found: number[] = [];
    for (const step of [-1, 1])
      for (let n = from + step; n >= least && n <= most; n += step)
        if (works(n)) {
          found.push(n);
          break;
        }
    return found.toSorted((a, b) => Math.abs(a - from) - Math.abs(b - from));
  };
  return {
    heads: near(heads, [1, Math.min(width, limits.heads[1])], (n) => fits(base, { width, heads: n })),
    widths: near(width, limits.width, (n) => fits(base, { width: n, heads })),
  };
}

/** The same model with other dimensions: as many heads share a key as before. */
export function bend(base: ModelConfig, dimensions: Dimensions): ModelConfig {
  const { width, heads } = dimensions;
  const ownHead = base.headDimension * base.heads !== base.width;
  return {
    ...base,
    ...dimensions,
    kvHeads: heads / sharing(base),
    headDimension: ownHead ? base.headDimension : width / heads,
  };
}

/** Position 0 to 1 of a value on a logarithmic slider, and back, in whole numbers that are multiples of `step`. */
export function toSlider(value: number, [least, most]: readonly [number, number]): number {
  return Math.min(1, Math.max(0, Math.log(value / least) / Math.log(most / least)));
}

export function fromSlider(place: number, [least, most]: readonly [number, number], step = 1): number {
  const value = least * (most / least) ** place;
  return Math.max(step, Math.round(value / step) * step);
}

/** A factor of a formula with its number, such as n_heads = 96; a number that stands for itself has no symbol. */
export interface Factor {
  readonly symbol: string;
  readonly value: string;
}

/** "d_embed * n_vocab" and "12,288 * 50,257" -> sums of products of factors. Empty where the formula is words. */
export function factors(formula: string, numbers: string): readonly (readonly Factor[])[] {
  const split = (text: string): string[][] => text.split(" + ").map((product) => product.split(" * "));
  const [symbols, values] = [split(formula), split(numbers)];
  if (symbols.flat().some((symbol) => !/^(\w+)$/.test(symbol))) return [];
  return symbols.map((product, i) => product.map((symbol, j) => ({ symbol, value: values[i][j] })));
}

/** Which knobs a symbol follows. */
export function knobsOf(symbol: string): readonly Dimension[] {
  const knobs: Readonly<Record<string, readonly Dimension[]>> = {
    d_embed: ["width"],
    n_vocab: ["vocabularySize"],
    n_layers: ["layers"],
    n_heads: ["heads"],
    n_kv_heads: ["heads"],
    d_query: ["width", "heads"],
    d_value: ["width", "heads"],
    n_neurons: ["mlpWidth"],
    n_context: ["contextLength"],
  };
  return knobs[symbol] ?? [];
}

/** What a category's number of matrices is a product of; nothing where there is one. The heads of Output are counted as one matrix. */
export function matrixFactors(category: string, sum: readonly (readonly Factor[])[]): readonly Factor[] {
  const counted = category === "Output" ? ["n_layers"] : ["2", "n_heads", "n_kv_heads", "n_layers"];
  return sum.length === 1 ? sum[0].filter(({ symbol }) => counted.includes(symbol)) : [];
}

/** d_embed -> d_{embed}, for KaTeX. */
export function tex(sum: readonly (readonly Factor[])[]): string {
  const word = ({ symbol }: Factor): string =>
    symbol.replace(/^([a-z])_(.*)$/, (_, letter: string, name: string) => `${letter}_\\text{${name.replace("_", " ")}}`);
  return sum.map((product) => product.map(word).join(" \\cdot ")).join(" + ");
}
