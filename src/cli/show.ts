/**
 * `generate --show N`: what of a step is put on show, and in which words it is said how the choice was made.
 * Turns a Step into plain data; bars.ts draws it, json.ts writes it.
 */
import type { GenerateOptions, Step } from "../engine/engine.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { BarChart, BarRow } from "./bars.ts";
import { tokenLabel } from "./visible.ts";

/** The n candidates the model liked best, the chosen one after them if it is not among them, and the mass that is left. */
export function chartOf(
  step: Step,
  number: number,
  n: number,
  tokenizer: Tokenizer,
  vocabularySize: number,
  sampling: GenerateOptions,
  unicode: boolean,
): BarChart {
  const rows: BarRow[] = step.distribution.top(n).map(({ id, probability }, i) => ({
    label: tokenLabel(tokenizer.token(id), unicode),
    rank: i + 1,
    own: probability,
    drawn: step.filtered.probability(id),
    chosen: id === step.token.id,
  }));
  if (!rows.some((row) => row.chosen)) {
    rows.push({ label: tokenLabel(step.token, unicode), rank: step.rank, own: step.probability, drawn: step.sampledFrom, chosen: true });
  }
  const left = (of: (row: BarRow) => number): number => clean(1 - rows.reduce((sum, row) => sum + of(row), 0));
  return {
    number,
    rows,
    others: { count: vocabularySize - rows.length, own: left((row) => row.own), drawn: left((row) => row.drawn) },
    compare: isChanged(sampling),
    note: describeSampling(sampling),
    vocabularySize,
  };
}

/** What is left of 1 after subtracting doubles: the last digits are noise. */
function clean(rest: number): number {
  return rest < 1e-12 ? 0 : rest;
}

/** Whether words are drawn with other probabilities than the model's own. */
function isChanged(sampling: GenerateOptions): boolean {
  return (sampling.temperature ?? 1) !== 1 || describeFilters(sampling).length > 0;
}

/** "T = 0.8, top-k 40, seen words penalised"; "" for the model's own distribution. */
export function describeSampling(sampling: GenerateOptions): string {
  const temperature = sampling.temperature ?? 1;
  return [...(temperature === 1 ? [] : [`T = ${temperature}`]), ...describeFilters(sampling)].join(", ");
}

function describeFilters(sampling: GenerateOptions): string[] {
  const { topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, logitBias = {} } = sampling;
  return [
    ...(topK > 0 ? [`top-k ${topK}`] : []),
    ...(topP < 1 ? [`top-p ${topP}`] : []),
    ...(minP > 0 ? [`min-p ${minP}`] : []),
    ...(repetitionPenalty !== 1 ? [`repetition ${repetitionPenalty}`] : []),
    ...(frequencyPenalty !== 0 ? [`frequency ${frequencyPenalty}`] : []),
    ...(presencePenalty !== 0 ? [`presence ${presencePenalty}`] : []),
    ...(Object.keys(logitBias).length > 0 ? ["biased"] : []),
  ];
}
