/**
 * Published dimensions, as rows of a table: GPT-2's four sizes (Radford et al. 2019, and its released configs) and GPT-3 (Brown et al. 2020, table 2.1).
 */
import { nearest, VitrineError } from "../base/errors.ts";
import type { ModelConfig } from "./config.ts";
import { readConfig } from "./config-file.ts";

/** The dimensions that differ from size to size. */
export interface Dimensions {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  /** Neurons of each MLP; default 4 x width. */
  readonly mlpWidth?: number;
  /** Default true, as in GPT-2. */
  readonly tied?: boolean;
}

/** GPT-3's unembedding is counted as its own matrix, as the lecture does; the paper does not say. */
const presets: Readonly<Record<string, Dimensions>> = {
  gpt2: { layers: 12, heads: 12, width: 768, vocabularySize: 50257, contextLength: 1024 },
  "gpt2-medium": { layers: 24, heads: 16, width: 1024, vocabularySize: 50257, contextLength: 1024 },
  "gpt2-large": { layers: 36, heads: 20, width: 1280, vocabularySize: 50257, contextLength: 1024 },
  "gpt2-xl": { layers: 48, heads: 25, width: 1600, vocabularySize: 50257, contextLength: 1024 },
  gpt3: { layers: 96, heads: 96, width: 12288, vocabularySize: 50257, contextLength: 2048, tied: false },
};

export const presetNames: readonly string[] = Object.keys(presets);

/** A preset, with some dimensions changed if asked. Throws VitrineError for an unknown name or dimensions that cannot be. */
export function presetConfig(name: string, changes: Partial<Dimensions> = {}): ModelConfig {
  if (!Object.hasOwn(presets, name)) {
    const meant = nearest(name, presetNames);
    throw new VitrineError(`presets: there is no "${name}"${meant ? `; did you mean ${meant}?` : ""} Presets are ${presetNames.join(", ")}`);
  }
  return gpt2Config({ ...presets[name], ...changes }, name);
}

/** A GPT-2 of any size. `name` is what messages call it. Throws FormatError for dimensions that cannot be. */
export function gpt2Config(dimensions: Dimensions, name = "gpt2 dimensions"): ModelConfig {
  return readConfig(
    {
      model_type: "gpt2",
      n_layer: dimensions.layers,
      n_head: dimensions.heads,
      n_embd: dimensions.width,
      n_inner: dimensions.mlpWidth,
      n_positions: dimensions.contextLength,
      vocab_size: dimensions.vocabularySize,
      tie_word_embeddings: dimensions.tied ?? true,
    },
    name,
  );
}
