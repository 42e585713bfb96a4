/** Small random models of both families, on the plain device and on the C kernels, for the tests of this room. */
import { randomFrom } from "../base/random.ts";
import { devices } from "../device/devices.testing.ts";
import type { TestDevice } from "../device/devices.testing.ts";

export const twoDevices: readonly TestDevice[] = devices.filter(({ name }) => name === "reference" || name === "wasm, SIMD, 1 thread");

const llama = {
  model_type: "llama",
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  hidden_size: 36,
  intermediate_size: 50,
  max_position_embeddings: 40,
  vocab_size: 50,
};

/** config.json's of models whose parts differ: biases, shared keys, q/k norms, a head size of its own, a window, tied or not. */
export const files: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ["gpt2", { model_type: "gpt2", n_layer: 3, n_head: 3, n_embd: 24, n_positions: 40, vocab_size: 50 }],
  [
    "gpt2, untied",
    { model_type: "gpt2", n_layer: 2, n_head: 2, n_embd: 16, n_inner: 30, n_positions: 40, vocab_size: 50, tie_word_embeddings: false },
  ],
  ["llama", llama],
  ["llama with biases, tied", { ...llama, attention_bias: true, mlp_bias: true, tie_word_embeddings: true }],
  ["qwen3", { ...llama, model_type: "qwen3", head_dim: 10 }],
  ["mistral with a window", { ...llama, model_type: "mistral", sliding_window: 5 }],
];

export function randomIds(seed: number, length: number): number[] {
  const random = randomFrom(seed);
  return Array.from({ length }, () => Math.floor(random.next() * 50));
}
