/**
 * What is known of a run while it goes on: the figures that every way of showing it draws from.
 */
import type { TrainEvaluation, TrainEvent, TrainStep } from "../training/training.ts";
import { History } from "./loss-curve.ts";

/** Weight of what came before in the smoothed loss and speed: they look back some ten steps. */
const memory = 0.9;

export class Figures {
  readonly steps: number;
  /** Raw losses by step, and those of the validation text. */
  readonly training: History = new History();
  readonly validation: History = new History();
  #last: TrainStep | undefined;
  #evaluation: TrainEvaluation | undefined;
  #best: number | undefined;
  #saved: number | undefined;
  readonly #loss = new Smooth();
  readonly #speed = new Smooth();
  readonly #now: () => number;
  #begun: number;
  #doneHere = 0;

  /** `now` in milliseconds. */
  constructor(steps: number, now: () => number = () => performance.now()) {
    this.steps = steps;
    this.#now = now;
    this.#begun = now();
  }

  add(event: TrainEvent): void {
    if (event.type === "step") {
      this.#recall(event);
      this.#doneHere++;
      if (event.seconds > 0) this.#speed.add(event.tokens / event.seconds);
    } else if (event.type === "evaluation") this.#look(event);
    else if (event.type === "saved") this.#saved = event.step;
  }

  /** What an earlier sitting logged: the curve goes on from it, the clock does not. */
  recall(events: readonly TrainEvent[]): void {
    for (const event of events) {
      if (event.type === "step") this.#recall(event);
      else if (event.type === "evaluation") this.#look(event);
    }
    this.#begun = this.#now();
  }

  #recall(event: TrainStep): void {
    this.#last = event;
    this.training.add(event.step, event.loss);
    this.#loss.add(event.loss);
  }

  #look(event: TrainEvaluation): void {
    this.#evaluation = event;
    this.#best = Math.min(this.#best ?? Infinity, event.validationLoss);
    this.validation.add(event.step, event.validationLoss);
  }

  /** The latest step; undefined before the first. */
  get last(): TrainStep | undefined {
    return this.#last;
  }

  /** The latest look at the validation text. */
  get evaluation(): TrainEvaluation | undefined {
    return this.#evaluation;
  }

  get bestValidation(): number | undefined {
    return this.#best;
  }

  /** The step of the latest checkpoint of this sitting. */
  get saved(): number | undefined {
    return this.#saved;
  }

  get smoothedLoss(): number | undefined {
    return this.#loss.value;
  }

  get tokensPerSecond(): number | undefined {
    return this.#speed.value;
  }

  /** By the pace of this sitting so far, looks, saves and samples included. */
  get secondsLeft(): number | undefined {
    if (this.#doneHere === 0 || this.#last === undefined) return undefined;
    const each = (this.#now() - this.#begun) / 1000 / this.#doneHere;
    return each * (this.steps - this.#last.step);
  }
}

/** A mean that forgets: exponential, without the bias of its beginning. */
class Smooth {
  #sum = 0;
  #weight = 0;

  add(value: number): void {
    if (!Number.isFinite(value)) return;
    this.#sum = memory * this.#sum + (1 - memory) * value;
    this.#weight = memory * this.#weight + (1 - memory);
  }

  get value(): number | undefined {
    return this.#weight === 0 ? undefined : this.#sum / this.#weight;
  }
}
