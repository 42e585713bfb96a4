/**
 * The parameter table: every tensor of a checkpoint with its name, shape, place among the weights and category of the tally.
 * Each family file writes its own table with these builders; loading, saving, counting and the exact tally all read it.
 */
import type { Shape } from "../base/shape.ts";
import { elements } from "../base/shape.ts";
import type { Matrix } from "../device/device.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelWeights } from "./weights.ts";

export type Category =
  | "Embedding"
  | "Positions"
  | "Key"
  | "Query"
  | "Value"
  | "Output"
  | "Gate-projection"
  | "Up-projection"
  | "Down-projection"
  | "Biases"
  | "Norms"
  | "Unembedding";

export interface Parameter {
  /** As Hugging Face saves it. */
  readonly name: string;
  /** As in the file. */
  readonly shape: Shape;
  readonly place: Place;
  /** How many of its numbers belong to which category. */
  readonly shares: readonly (readonly [Category, number])[];
}

/** Where the numbers go: rows of a matrix, or elements of a vector, from `at` on. */
type Place =
  | { readonly kind: "matrix"; readonly of: (weights: ModelWeights) => Matrix; readonly at: number; readonly order: "outputs-first" | "inputs-first" }
  | { readonly kind: "vector"; readonly of: (weights: ModelWeights) => Tensor; readonly at: number };

/** A matrix saved as PyTorch's Linear does, (outputs, inputs), into rows `at` ... of a device matrix. */
export function outputsFirst(name: string, shape: Shape, category: Category, of: (weights: ModelWeights) => Matrix, at = 0): Parameter {
  return { name, shape, place: { kind: "matrix", of, at, order: "outputs-first" }, shares: [[category, elements(shape)]] };
}

/** A matrix saved as GPT-2's Conv1D does, (inputs, outputs). */
export function inputsFirst(name: string, shape: Shape, shares: Parameter["shares"], of: (weights: ModelWeights) => Matrix): Parameter {
  return { name, shape, place: { kind: "matrix", of, at: 0, order: "inputs-first" }, shares };
}

/** A bias or a norm's weight, into elements `at` ... of a vector. */
export function vector(name: string, length: number, category: "Biases" | "Norms", of: (weights: ModelWeights) => Tensor | null, at = 0): Parameter {
  // The table lists a vector only where the config has it, and then the weights hold it.
  return { name, shape: [length], place: { kind: "vector", of: of as (weights: ModelWeights) => Tensor, at }, shares: [[category, length]] };
}

/** All numbers of a checkpoint; a tied unembedding is counted once. */
export function countParameters(parameters: readonly Parameter[]): number {
  return parameters.reduce((count, { shape }) => count + elements(shape), 0);
}
