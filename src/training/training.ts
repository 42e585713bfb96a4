/**
 * What training is to those who ask for it (engine/, cli/): settings in, a stream of steps out. trainer.ts runs it.
 *
 * The road of one step: batch.ts draws windows of tokens, the model reads them under a tape, every position is asked for its
 * successor, backward turns the losses into gradients, optimiser.ts clips them and steps. The rest is care: schedule.ts sets the
 * learning rate, evaluate.ts looks at text that is never trained on, checkpoint.ts sees that nothing is lost.
 */
import type { JsonObject } from "../base/json.ts";
import type { RandomState } from "../base/random.ts";

export interface TrainOptions {
  /** Steps of the optimiser in all, those before a resume included. */
  readonly steps: number;
  /** Sequences in a batch, and how many batches are added up before a step (default 1). */
  readonly batch: number;
  readonly accumulate?: number;
  /** Tokens of a sequence; default the model's context length. */
  readonly context?: number;
  /** The highest learning rate, reached after `warmup` steps; it then falls as a cosine to `leastLearningRate` (default a tenth) at the last step. */
  readonly learningRate: number;
  readonly leastLearningRate?: number;
  /** Default: a hundredth of the steps, at least 1 and at most 2,000. */
  readonly warmup?: number;
  /** AdamW. Defaults 0.9, 0.95 (0.99 is better for small batches), 1e-8 and 0.1; matrices decay, vectors do not. */
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
  /** The gradient's norm is cut to it; default 1. 0 = never. */
  readonly clip?: number;
  /** Share of the numbers dropped after the embedding and where blocks write into the stream; default 0. */
  readonly dropout?: number;
  /** Blocks are computed again on the way back instead of kept: less memory, a third more time. Default false. */
  readonly recompute?: boolean;
  /** Look at the validation text every so many steps (default: twenty times in all), over so many batches (default 20). 0 = only at the end. */
  readonly evaluateEvery?: number;
  readonly evaluateBatches?: number;
  /** Save every so many steps; default 250. The last step and an interruption save too. */
  readonly saveEvery?: number;
  /** Draws windows and dropout. Default 0. */
  readonly seed?: number;
}

/** One step, as the log keeps it. */
export interface TrainStep {
  readonly type: "step";
  /** Counts from 1. */
  readonly step: number;
  readonly steps: number;
  /** Mean -ln p over the batch, in nats, before the step. */
  readonly loss: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Predicted positions this step. */
  readonly tokens: number;
  /** Of the whole step, evaluation and saving left out. */
  readonly seconds: number;
}

/** A look at text that is not trained on. */
export interface TrainEvaluation {
  readonly type: "evaluation";
  readonly step: number;
  /** Mean -ln p of the validation text, in nats; and of the training text, on as many windows. */
  readonly validationLoss: number;
  readonly trainLoss: number;
  /** Lowest so far. */
  readonly best: boolean;
}

export interface TrainSaved {
  readonly type: "saved";
  readonly step: number;
  /** The best one so far was written too. */
  readonly best: boolean;
  readonly seconds: number;
}

export interface TrainEnd {
  readonly type: "end";
  readonly reason: "done" | "aborted";
  readonly step: number;
  /** Predicted positions in all, and seconds, of this run. */
  readonly tokens: number;
  readonly seconds: number;
}

/** Something went wrong that training survives: a save failed and will be tried again, or a resume stands on another device. */
export interface TrainWarning {
  readonly type: "warning";
  readonly step: number;
  readonly message: string;
}

export type TrainEvent = TrainStep | TrainEvaluation | TrainSaved | TrainWarning | TrainEnd;

/** Everything beside weights and optimiser memories that a run needs to go on bit for bit. */
export interface TrainState {
  /** Steps done. */
  readonly step: number;
  /** Of the batches to come. */
  readonly random: RandomState;
  /** The lowest validation loss, and after which step it was met. */
  readonly bestLoss: number | null;
  readonly bestStep: number;
  /** The step after which was last looked at the validation text. */
  readonly evaluated: number;
  /** What is trained on; a resume on other text is refused. */
  readonly data: string;
  /** The model's config; a resume with another is refused. */
  readonly model: JsonObject;
  /** Which device computed, for people: on another one the last digits differ. */
  readonly device: string;
  /** With every default filled in. */
  readonly options: Required<TrainOptions>;
}
