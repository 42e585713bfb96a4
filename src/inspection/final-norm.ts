/**
 * The last norm with its scale frozen. Norms are not linear, but at one position the number they divide by is one number: with it held fast,
 * the logit of a token is a sum over everything that was written into the stream (Elhage et al. 2021; "direct logit attribution").
 */
import type { LanguageModel } from "../model/model.ts";
import { tensorScope } from "../tensor/scope.ts";
import { tensor } from "../tensor/tensor.ts";
import { weightsOf } from "./matrices.ts";

export interface FrozenNorm {
  /** Logits that `written`, a vector in the residual stream, adds to the token that `direction` reads. */
  push(written: Float32Array, direction: Float32Array): number;
  /** The same of the norm's bias, which nobody wrote; 0 for RMSNorm, which has none. */
  bias(direction: Float32Array): number;
}

/**
 * The last norm as it acts on the stream `residual` (C,) of one position. A direction is a row (C,) of the unembedding.
 * LayerNorm takes the mean away first (GPT-2), RMSNorm does not (Llama).
 */
export async function freezeNorm(model: LanguageModel, residual: Float32Array): Promise<FrozenNorm> {
  const { family, normEpsilon, width: C } = model.config;
  const centred = family === "gpt2";
  const names = weightsOf(model.config, "Norms").map(({ name }) => name).filter((name) => !/\d/.test(name)); // prettier-ignore
  const weight = await model.readParameter(names.find((name) => name.endsWith(".weight"))!);
  const biasName = names.find((name) => name.endsWith(".bias"));
  const bias = biasName === undefined ? undefined : await model.readParameter(biasName);

  const mean = centred ? sum(residual) / C : 0;
  const root = Math.sqrt(residual.reduce((total, x) => total + (x - mean) ** 2, 0) / C + normEpsilon);
  return {
    push(written, direction) {
      const middle = centred ? sum(written) / C : 0;
      let total = 0;
      for (let c = 0; c < C; c++) total += (written[c] - middle) * weight[c] * direction[c];
      return total / root;
    },
    bias: (direction) => (bias ? bias.reduce((total, b, c) => total + b * direction[c], 0) : 0),
  };
}

/** Rows of the unembedding read at once while its mean is taken. */
const rowsAtOnce = 4096;

/** (C,): the row of the unembedding that reads a token's logit; with `relative`, minus the mean of all rows. */
export async function readingDirection(model: LanguageModel, target: number, relative: boolean): Promise<Float32Array> {
  const { width: C, vocabularySize: V } = model.config;
  const [{ name }] = weightsOf(model.config, "Unembedding");
  const direction = await model.readParameter(name, { rows: [target, 1] });
  if (!relative) return direction;
  const mean = new Float64Array(C);
  for (let from = 0; from < V; from += rowsAtOnce) {
    const rows = await model.readParameter(name, { rows: [from, Math.min(rowsAtOnce, V - from)] });
    for (let i = 0; i < rows.length; i++) mean[i % C] += rows[i];
  }
  return direction.map((x, c) => x - mean[c] / V);
}

/** (V,) logits of one residual stream (C,). */
export async function logitsOf(model: LanguageModel, residual: Float32Array): Promise<Float32Array> {
  const ask = (): Promise<Float32Array> => {
    using _ = tensorScope();
    return model.unembed(tensor(model.device, residual, [1, residual.length])).read();
  };
  return ask();
}

function sum(numbers: Float32Array): number {
  return numbers.reduce((total, x) => total + x, 0);
}
