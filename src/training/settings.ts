/** What a training run is asked to do, checked once and with every default filled in. The options themselves are training.ts's. */
import { VitrineError } from "../base/errors.ts";
import type { TrainOptions } from "./training.ts";

export type TrainSettings = Required<TrainOptions>;

/** Throws VitrineError naming the option, what came and what was expected. */
export function trainSettings(options: TrainOptions, contextLength: number): TrainSettings {
  const { steps, batch, learningRate } = options;
  whole("steps", steps, 1, 1e9);
  whole("batch", batch, 1, 1e6);
  number("learningRate", learningRate, learningRate > 0, "a number above 0, such as 0.001");
  const settings: TrainSettings = {
    steps,
    batch,
    learningRate,
    accumulate: options.accumulate ?? 1,
    context: options.context ?? contextLength,
    leastLearningRate: options.leastLearningRate ?? learningRate / 10,
    warmup: options.warmup ?? Math.min(steps, 2000, Math.max(1, Math.round(steps / 100))),
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.95,
    epsilon: options.epsilon ?? 1e-8,
    weightDecay: options.weightDecay ?? 0.1,
    clip: options.clip ?? 1,
    dropout: options.dropout ?? 0,
    recompute: options.recompute ?? false,
    evaluateEvery: options.evaluateEvery ?? Math.max(1, Math.ceil(steps / 20)),
    evaluateBatches: options.evaluateBatches ?? 20,
    saveEvery: options.saveEvery ?? 250,
    seed: options.seed ?? 0,
  };
  whole("accumulate", settings.accumulate, 1, 1e6);
  whole("context", settings.context, 1, contextLength, "the model's context length");
  number(
    "leastLearningRate",
    settings.leastLearningRate,
    inside(settings.leastLearningRate, 0, learningRate),
    `a number from 0 to learningRate, ${learningRate}`,
  );
  whole("warmup", settings.warmup, 0, steps, "all steps");
  for (const beta of ["beta1", "beta2"] as const)
    number(beta, settings[beta], settings[beta] >= 0 && settings[beta] < 1, "a number from 0 to below 1");
  number("epsilon", settings.epsilon, settings.epsilon > 0, "a number above 0");
  number("weightDecay", settings.weightDecay, settings.weightDecay >= 0, "a number from 0 on");
  number("clip", settings.clip, settings.clip >= 0, "a number from 0 on; 0 = never");
  number("dropout", settings.dropout, settings.dropout >= 0 && settings.dropout < 1, "a number from 0 to below 1");
  whole("evaluateEvery", settings.evaluateEvery, 0, 1e9);
  whole("evaluateBatches", settings.evaluateBatches, 1, 1e6);
  whole("saveEvery", settings.saveEvery, 1, 1e9);
  whole("seed", settings.seed, 0, Number.MAX_SAFE_INTEGER);
  return Object.freeze(settings);
}

function inside(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}

function whole(name: string, value: number, least: number, most: number, why?: string): void {
  number(
    name,
    value,
    Number.isInteger(value) && inside(value, least, most),
    `a whole number from ${least} to ${most}${why === undefined ? "" : ` (${why})`}`,
  );
}

function number(name: string, value: number, right: boolean, expected: string): void {
  if (!right || !Number.isFinite(value)) throw new VitrineError(`training: ${name} is ${value}; expected ${expected}`);
}
