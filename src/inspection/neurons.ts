/**
 * Which neurons of an MLP speak up, and for which tokens: each neuron adds its activation times its output row to the residual stream
 * (Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the Vocabulary Space").
 */
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { tensorScope } from "../tensor/scope.ts";
import { tensor } from "../tensor/tensor.ts";
import { checkPlace, listen, positionIn, readRow } from "./capture.ts";
import { writeOut } from "./contributions.ts";
import type { Neurons, Pushed } from "./inspection.ts";

export interface NeuronOptions {
  /** Negative ones count from the end. Default: the last position. */
  readonly position?: number;
  /** How many neurons. Default 10. */
  readonly count?: number;
  /** How many tokens, both ways. Default 5. */
  readonly tokens?: number;
}

/** Neurons written out at once, each alone. */
const rowsAtOnce = 256;

/**
 * The neurons of one layer that write most into the stream at one position: |activation| times the length of the output row. Activation alone
 * would name neurons that shout but say little.
 *
 * Tokens are those whose unembedding rows the output row, with the activation's sign, points to and away from: plain W_out W_U for an activation
 * of 1 or -1, without the last norm's gain and scale; for GPT-2, whose last norm takes the mean away, the row is centred first.
 */
export async function neurons(model: LanguageModel, ids: readonly number[], layer: number, options: NeuronOptions = {}): Promise<Neurons> {
  checkPlace(model, layer);
  const position = positionIn(ids, options.position);
  const { mlpWidth: N, width: C, vocabularySize: V, family } = model.config;
  const [count, tokens] = [Math.min(atLeastOne("neurons", options.count ?? 10), N), Math.min(atLeastOne("tokens", options.tokens ?? 5), V)];

  const name = `blocks.${layer}.mlp.hook_post`;
  const heard = await listen(model, ids.slice(0, position + 1), [name], (_, tensor) => readRow(tensor, position));
  const activations = heard.get(name)!;
  const strengths = await strengthsOf(model, layer, activations);
  const loudest = largestOf(strengths, count);

  const rows = await writeOut(
    model,
    layer,
    "mlp",
    oneHot(loudest, N, (n) => Math.sign(activations[n])),
  ); // (count, C)
  if (family === "gpt2") for (let i = 0; i < count; i++) centre(rows.subarray(i * C, (i + 1) * C));
  const logits = await read(model, rows);
  return {
    layer,
    position,
    neurons: loudest.map((index, i) => {
      const row = logits.subarray(i * V, (i + 1) * V);
      const pushed = (ids: number[]): Pushed[] => ids.map((id) => ({ id, amount: row[id] }));
      return {
        index,
        activation: activations[index],
        strength: strengths[index],
        promotes: pushed(largestOf(row, tokens)),
        suppresses: pushed(largestOf(row.map((x) => -x), tokens)), // prettier-ignore
      };
    }),
  };
}

/** (N,): the length of what each neuron writes. */
async function strengthsOf(model: LanguageModel, layer: number, activations: Float32Array): Promise<Float32Array> {
  const { mlpWidth: N, width: C } = model.config;
  const strengths = new Float32Array(N);
  const breathe = breather();
  for (let from = 0; from < N; from += rowsAtOnce) {
    const some = Array.from({ length: Math.min(rowsAtOnce, N - from) }, (_, i) => from + i);
    const written = await writeOut(
      model,
      layer,
      "mlp",
      oneHot(some, N, (n) => activations[n]),
    );
    for (const [i, n] of some.entries()) strengths[n] = Math.sqrt(squares(written.subarray(i * C, (i + 1) * C)));
    await breathe();
  }
  return strengths;
}

/** A row for each of the neurons, in which it speaks alone. */
function oneHot(some: readonly number[], N: number, value: (n: number) => number): Float32Array {
  const rows = new Float32Array(some.length * N);
  for (const [i, n] of some.entries()) rows[i * N + n] = value(n);
  return rows;
}

/** (rows, C) -> (rows, V), without the last norm. */
async function read(model: LanguageModel, rows: Float32Array): Promise<Float32Array> {
  const ask = (): Promise<Float32Array> => {
    using _ = tensorScope();
    return model.unembed(tensor(model.device, rows, [rows.length / model.config.width, model.config.width]), true).read();
  };
  return ask();
}

/** Places of the `count` largest numbers, largest first, ties to the lower place. */
function largestOf(numbers: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < numbers.length; i++) {
    if (best.length === count && !(numbers[i] > numbers[best[count - 1]])) continue;
    let at = best.length;
    while (at > 0 && numbers[i] > numbers[best[at - 1]]) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}

function centre(row: Float32Array): void {
  const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
  for (let c = 0; c < row.length; c++) row[c] -= mean;
}

function squares(row: Float32Array): number {
  return row.reduce((sum, x) => sum + x * x, 0);
}

function atLeastOne(what: string, n: number): number {
  if (Number.isInteger(n) && n >= 1) return n;
  throw new VitrineError(`neurons: ${n} ${what}; give a whole number from 1`);
}
