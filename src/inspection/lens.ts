/**
 * The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"): the residual stream of every stage through the model's own
 * last norm and unembedding, as if the model ended there. What it says becomes the model's answer block by block.
 */
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { tensorScope } from "../tensor/scope.ts";
import { empty, tensor } from "../tensor/tensor.ts";
import { checkToken, listen, positionIn, readRow } from "./capture.ts";
import type { Followed, Leaders, Lens, Rung, Stage } from "./inspection.ts";
import { ranksIn } from "./ranks.ts";

export interface LensOptions {
  /** Which positions of the text; negative ones count from the end. Default: all of them. */
  readonly positions?: readonly number[];
  /** The token to follow at each of these positions, -1 for none. Default: the one that comes next in the text. */
  readonly targets?: readonly number[];
  /** The token to follow at the text's last position, which nothing comes after; only without `targets`. */
  readonly next?: number;
  /** Candidates kept for each stage and position. Default 5. */
  readonly top?: number;
  readonly signal?: AbortSignal;
}

/** Rows of logits held at once: 13 MB for GPT-2's vocabulary. All stages of a position go together, since its leaders are ranked at each. */
const rowsAtOnce = 64;

/** The stages of a model: S = 2 L + 1. */
export function lensStages(layers: number): Stage[] {
  const stages: Stage[] = [{ name: "blocks.0.hook_resid_pre", layer: 0, point: "pre" }];
  for (let layer = 0; layer < layers; layer++)
    for (const point of ["mid", "post"] as const) stages.push({ name: `blocks.${layer}.hook_resid_${point}`, layer, point });
  return stages;
}

/**
 * What every stage would predict at the positions asked for. One pass over `ids`, then S unembeddings for each position.
 * The last stage is the model's own prediction. Throws VitrineError for positions and tokens that are not there.
 */
export async function logitLens(model: LanguageModel, ids: readonly number[], options: LensOptions = {}): Promise<Lens> {
  const { width: C, vocabularySize: V, layers } = model.config;
  const positions = options.positions?.map((position) => positionIn(ids, position)) ?? [...ids.keys()];
  const targets = targetsOf(model, ids, positions, options);
  const top = Math.min(options.top ?? 5, V);
  if (!Number.isInteger(top) || top < 1) throw new VitrineError(`logitLens: the ${options.top} best candidates; give a whole number from 1`);

  const stages = lensStages(layers);
  const [S, T] = [stages.length, positions.length];
  const streams = await listen(model, ids, stages.map(({ name }) => name), (_, stream) => readRows(stream, positions)); // prettier-ignore

  const lens = emptyLens(stages, positions, targets, top);
  const at = Math.max(1, Math.floor(rowsAtOnce / S));
  const breathe = breather();
  for (let first = 0; first < T; first += at) {
    options.signal?.throwIfAborted();
    const count = Math.min(at, T - first);
    const residuals = new Float32Array(count * S * C); // position by position, all its stages
    for (const [stage, { name }] of stages.entries())
      for (let i = 0; i < count; i++) residuals.set(streams.get(name)![first + i], (i * S + stage) * C);
    const predicted = await predict(model, residuals, count * S, top);
    for (let i = 0; i < count; i++) notePosition(lens, first + i, predicted, i * S, V);
    await breathe();
  }
  return lens;
}

/** Rank and probability, stage by stage, of every token that led at any stage of `position` (of the text), in the order in which they led. */
export function rankLadder({ positions, leaders, stages: { length: S } }: Lens, position: number): Rung[] {
  const at = positions.indexOf(position);
  if (at < 0) throw new VitrineError(`rankLadder: position ${position} is not in this lens; ask logitLens for it`);
  const { ids, ranks, probabilities } = leaders[at];
  return Array.from(ids, (id, k) => ({ id, ranks: ranks.slice(k * S, (k + 1) * S), probabilities: probabilities.slice(k * S, (k + 1) * S) }));
}

function targetsOf(model: LanguageModel, ids: readonly number[], positions: readonly number[], { targets, next }: LensOptions): Int32Array {
  if (targets && targets.length !== positions.length)
    throw new VitrineError(`logitLens: ${targets.length} targets for ${positions.length} positions; give one for each, -1 for none`);
  const chosen = Int32Array.from(positions, (position, at) => targets?.[at] ?? ids[position + 1] ?? next ?? -1);
  for (const id of chosen) if (id !== -1) checkToken(model, id);
  return chosen;
}

function readRows(stream: Parameters<typeof readRow>[0], positions: readonly number[]): Promise<Float32Array[]> {
  return Promise.all(positions.map((position) => readRow(stream, position)));
}

/** Logits of some rows with their best candidates. */
interface Predicted {
  /** (rows, V) */
  readonly logits: Float32Array;
  /** (rows, top) */
  readonly ids: Int32Array;
  readonly values: Float32Array;
  /** (rows,): the logarithm of the sum of e^logit, so that e^(logit - it) is a probability. */
  readonly logSums: Float32Array;
}

async function predict(model: LanguageModel, residuals: Float32Array, rows: number, top: number): Promise<Predicted> {
  const { device, config } = model;
  const ask = (): [Promise<Float32Array>, Promise<Int32Array>, Promise<Float32Array>, Promise<Float32Array>] => {
    using _ = tensorScope();
    const logits = model.unembed(tensor(device, residuals, [rows, config.width]));
    const ids = empty(device, [rows, top], "i32");
    const [values, logSums] = [empty(device, [rows, top]), empty(device, [rows])];
    device.kernels.top(ids.buffer, values.buffer, logSums.buffer, logits.buffer, rows, config.vocabularySize, top);
    return [logits.read(), ids.readIntegers(), values.read(), logSums.read()];
  };
  const [logits, ids, values, logSums] = await Promise.all(ask());
  if (!logSums.every(Number.isFinite))
    throw new VitrineError("logitLens: the model's logits are not finite; the checkpoint's weights are damaged or overflow fp32", { blame: "work" });
  return { logits, ids, values, logSums };
}

function emptyLens(stages: readonly Stage[], positions: readonly number[], targets: Int32Array, top: number): Lens & { leaders: Leaders[] } {
  const [S, T] = [stages.length, positions.length];
  const followed = (ids: Int32Array): Followed => ({
    ids,
    probabilities: new Float32Array(S * T).fill(NaN),
    ranks: new Int32Array(S * T),
  });
  return {
    stages,
    positions: Int32Array.from(positions),
    top,
    ids: new Int32Array(S * T * top),
    probabilities: new Float32Array(S * T * top),
    logits: new Float32Array(S * T * top),
    final: followed(new Int32Array(T)),
    target: followed(targets),
    leaders: [],
  };
}

/** Fills in position number `t`, whose stages are the rows from `row` on. */
function notePosition(lens: Lens & { leaders: Leaders[] }, t: number, { logits, ids, values, logSums }: Predicted, row: number, V: number): void {
  const { top } = lens;
  const [S, T] = [lens.stages.length, lens.positions.length];
  for (let s = 0; s < S; s++)
    for (let n = 0; n < top; n++) {
      const [to, from] = [(s * T + t) * top + n, (row + s) * top + n];
      lens.ids[to] = ids[from];
      lens.logits[to] = values[from];
      lens.probabilities[to] = Math.exp(values[from] - logSums[row + s]);
    }

  const led = new Set(Array.from({ length: S }, (_, s) => ids[(row + s) * top]));
  const final = ids[(row + S - 1) * top];
  const target = lens.target.ids[t];
  lens.final.ids[t] = final;
  const watched = Int32Array.from(target < 0 ? led : new Set([...led, target])); // leaders first
  const K = led.size;
  const leaders: Leaders = { ids: watched.slice(0, K), ranks: new Int32Array(K * S), probabilities: new Float32Array(K * S) };
  for (let s = 0; s < S; s++) {
    const stage = logits.subarray((row + s) * V, (row + s + 1) * V);
    const ranks = ranksIn(stage, watched);
    for (const [k, id] of watched.entries()) {
      const probability = Math.exp(stage[id] - logSums[row + s]);
      if (k < K) [leaders.ranks[k * S + s], leaders.probabilities[k * S + s]] = [ranks[k], probability];
      if (id === final) [lens.final.ranks[s * T + t], lens.final.probabilities[s * T + t]] = [ranks[k], probability];
      if (id === target) [lens.target.ranks[s * T + t], lens.target.probabilities[s * T + t]] = [ranks[k], probability];
    }
  }
  lens.leaders.push(leaders);
}
