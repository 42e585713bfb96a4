/**
 * A model's dimensions with their public names: data, frozen, validated once at the border (config-file.ts reads config.json).
 */
import type { Activation } from "../device/device.ts";

export interface ModelConfig {
  /** config.json's model_type: "gpt2", "llama", "mistral", "qwen2", "qwen3" ... Only the border looks at it; layers look at the rows below. */
  readonly modelType: string;
  readonly family: "gpt2" | "llama";
  readonly layers: number; // L
  readonly heads: number; // H
  /** Key/value heads; equals heads without grouped-query attention. */
  readonly kvHeads: number;
  /** Width of the residual stream. */
  readonly width: number; // C
  readonly headDimension: number; // D
  /** Neurons of each MLP. */
  readonly mlpWidth: number;
  readonly contextLength: number;
  readonly vocabularySize: number; // V
  readonly activation: Activation;
  readonly normEpsilon: number;
  /** The unembedding is the embedding's own matrix. */
  readonly tied: boolean;
  readonly bosId: number | undefined;
  /** All ids that end a text. */
  readonly eosIds: readonly number[];
  /** Llama family only; undefined for GPT-2. */
  readonly rotary: RotaryConfig | undefined;
  /** Which of the optional parts the checkpoint has. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** RMSNorm on every query and key head (Qwen3). */
  readonly qkNorm: boolean;
  /** 0 = every earlier position is visible; else the width of the sliding attention window (Mistral). */
  readonly attentionWindow: number;
}

export interface RotaryConfig {
  readonly theta: number;
  /** How many of the D numbers of a head turn. */
  readonly dimensions: number;
  /** Hugging Face's rope_scaling. */
  readonly scaling:
    | { readonly kind: "none" }
    | { readonly kind: "linear"; readonly factor: number }
    | {
        readonly kind: "llama3";
        readonly factor: number;
        readonly lowFrequency: number;
        readonly highFrequency: number;
        readonly originalContext: number;
      };
}
