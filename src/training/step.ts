/**
 * One step of training: draw batches, read them under a tape, ask every position for its successor, go back from the losses to the
 * gradients, clip them, and move the weights a little. How far is schedule.ts's to say, when to stop trainer.ts's.
 */
import { VitrineError } from "../base/errors.ts";
import type { LanguageModel } from "../model/model.ts";
import { crossEntropy } from "../tensor/ops/cross-entropy.ts";
import { tensorScope } from "../tensor/scope.ts";
import { Tape } from "../tensor/tape.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Batch, Batches } from "./batch.ts";
import type { AdamW } from "./optimiser.ts";
import { learningRateAt } from "./schedule.ts";
import type { TrainSettings } from "./settings.ts";
import type { TrainStep } from "./training.ts";

export interface StepParts {
  readonly model: LanguageModel;
  readonly optimiser: AdamW;
  readonly batches: Batches;
  readonly settings: TrainSettings;
  /** Counts from 1. */
  readonly step: number;
  /** Where the last checkpoint is, for messages. */
  readonly saved: string;
}

/** Throws VitrineError, before any weight has changed, when the loss or the gradients are no longer numbers. */
export async function trainStep(parts: StepParts): Promise<Omit<TrainStep, "type" | "step" | "steps">> {
  const started = performance.now();
  const { optimiser, settings, step } = parts;
  const batches = Array.from({ length: settings.accumulate }, () => parts.batches.next());
  const tokens = batches.reduce((sum, { counted }) => sum + counted, 0);

  optimiser.clearGradients();
  let nats = 0;
  for (const [i, batch] of batches.entries()) nats += await accumulate(parts, batch, i, 1 / tokens);
  const loss = nats / tokens;
  const learningRate = learningRateAt(settings, step);
  const gradientNorm = Number.isFinite(loss) ? await optimiser.gradientNorm() : NaN;
  if (!Number.isFinite(loss)) throw diverged(parts, "loss", loss, learningRate);
  if (!Number.isFinite(gradientNorm)) throw diverged(parts, "gradient norm", gradientNorm, learningRate);

  const { clip } = settings;
  optimiser.step(learningRate, clip > 0 && gradientNorm > clip ? clip / gradientNorm : 1);
  return { loss, learningRate, gradientNorm, tokens, seconds: (performance.now() - started) / 1000 };
}

/** Adds one batch's gradients, each loss counting `weight`. Gives the sum of the losses in nats. */
async function accumulate(
  { model, optimiser, settings, step }: StepParts,
  { inputs, targets }: Batch,
  index: number,
  weight: number,
): Promise<number> {
  const { device } = model;
  const { dropout, recompute } = settings;
  const seed = mix(settings.seed, step * settings.accumulate + index);
  const tape = new Tape(optimiser.gradients);
  try {
    const losses = tape.record(() => {
      using scope = tensorScope();
      const logits = model.forward(inputs, { logits: "all", training: { dropout, seed, recompute } });
      return scope.keep(crossEntropy(logits, tensor(device, targets)));
    });
    try {
      const weights = tensor(device, new Float32Array(targets.length).fill(weight), losses.shape);
      try {
        tape.backward(losses, weights);
      } finally {
        weights.dispose();
      }
      let nats = 0;
      for (const loss of await losses.read()) nats += loss;
      return nats;
    } finally {
      losses.dispose();
    }
  } finally {
    tape.dispose();
  }
}

/** 32 bits that differ from step to step and from seed to seed: SplitMix32's finaliser over both. */
function mix(seed: number, count: number): number {
  let z = (seed ^ Math.floor(seed / 2 ** 32) ^ Math.imul(count, 0x9e3779b9)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

function diverged({ step, saved, settings }: StepParts, what: string, value: number, learningRate: number): VitrineError {
  const cause =
    step === 1
      ? "weights that are not numbers, or far too large ones, are the likely cause: check the model that training started from"
      : `a learning rate that is too high is the likely cause: go on with a lower one (--resume --learning-rate X; it was ${learningRate.toPrecision(3)} at this step)${
          step <= 2 * settings.warmup ? ", make the warm-up longer (--warmup)" : ""
        }, or check the text for stretches unlike the rest`;
  return new VitrineError(`training: the ${what} became ${value} at step ${step}; ${saved}; ${cause}`, { blame: "work" });
}
