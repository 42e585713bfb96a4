/** How large the steps are: small at first, while the optimiser knows nothing, largest after the warm-up, then ever smaller as half a cosine (Loshchilov and Hutter 2017). */
import type { TrainSettings } from "./settings.ts";

/** The learning rate of a step, which counts from 1: it is `learningRate` at step `warmup`, and `leastLearningRate` at the last. */
export function learningRateAt(settings: Pick<TrainSettings, "steps" | "warmup" | "learningRate" | "leastLearningRate">, step: number): number {
  const { steps, warmup, learningRate, leastLearningRate } = settings;
  if (step <= warmup) return (learningRate * step) / warmup;
  const done = Math.min(1, (step - warmup) / (steps - warmup));
  return leastLearningRate + ((learningRate - leastLearningRate) * (1 + Math.cos(Math.PI * done))) / 2;
}
