/**
 * The training loop: batches in, events out, nothing lost. One step is step.ts's, what it is made of batch.ts's, schedule.ts's and
 * optimiser.ts's; how a run keeps itself is checkpoint.ts's. Where files lie and what is shown are the doors' business.
 */
import { breather } from "../base/breath.ts";
import { VitrineError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import type { Learnable } from "../model/learnable.ts";
import type { LanguageModel } from "../model/model.ts";
import { checkLength, evenBatches, randomBatches } from "./batch.ts";
import type { Batch, Batches } from "./batch.ts";
import { checkpointFile, readCheckpoint, restoreCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { CheckpointPlace } from "./checkpoint.ts";
import { checkVocabulary, meanLoss } from "./evaluate.ts";
import { AdamW } from "./optimiser.ts";
import { trainSettings } from "./settings.ts";
import type { TrainSettings } from "./settings.ts";
import { checkSameRun } from "./state.ts";
import { trainStep } from "./step.ts";
import type { TokenData } from "./token-list.ts";
import type { TrainEvaluation, TrainEvent, TrainOptions, TrainState } from "./training.ts";

export interface TrainRun {
  /** Its weights change in place. */
  readonly model: LanguageModel;
  /** What is learned. Default: all of the model. LoRA gives its adapters' here. */
  readonly learnable?: readonly Learnable[];
  readonly train: TokenData;
  /** Without it nothing is evaluated and no best is kept. */
  readonly validation?: TokenData;
  readonly options: TrainOptions;
  /** What is trained on, for example a corpus's fingerprint. A resume with another is refused. */
  readonly data: string;
  /** Without it nothing is saved. */
  readonly place?: CheckpointPlace;
  /** Go on from the place's checkpoint. */
  readonly resume?: boolean;
  /** With `resume`: other `steps` than before are fine, and the schedule follows them. */
  readonly extend?: boolean;
  /** Without `resume`: a run that the place holds may be replaced. */
  readonly overwrite?: boolean;
  /** Ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/**
 * Trains, and tells of every step. Between two events the model is whole and may be used: samples change nothing in the run.
 * The same run on the same device gives the same numbers, and so does one that was interrupted at any moment and resumed.
 *
 * Throws VitrineError for options, texts or a checkpoint that do not fit; when a loss or gradient is no longer a number (nothing is
 * saved then: the last checkpoint stays, which is not written over either while losses are far worse than guessing); and when the last save, or that of an interruption, fails. Saves before are tried again
 * instead, with a warning: a disk that is full now may have room later. A caller who stops listening ends the run without a save.
 */
export async function* train(run: TrainRun): AsyncGenerator<TrainEvent, void> {
  const { model, signal } = run;
  const settings = trainSettings(run.options, model.config.contextLength);
  checkTexts(run, settings);
  await checkPlace(run);
  const optimiser = new AdamW(model.device, run.learnable ?? model.learnable(), settings);
  try {
    const loop = new Loop(run, settings, optimiser);
    if (run.resume) yield* loop.resume();
    const breathe = breather();
    const isOver = (): boolean => loop.step >= settings.steps || signal?.aborted === true;
    while (!isOver()) {
      yield await loop.next();
      yield* loop.look();
      if (loop.isSaveDue()) yield* loop.save(loop.step === settings.steps);
      await breathe();
    }
    yield* loop.end();
  } finally {
    optimiser.dispose();
  }
}

class Loop {
  /** Steps done. */
  step = 0;
  readonly #run: TrainRun;
  readonly #settings: TrainSettings;
  readonly #optimiser: AdamW;
  readonly #looks: { readonly validation: readonly Batch[]; readonly train: readonly Batch[] } | undefined;
  #batches: Batches;
  #best: number | null = null;
  #bestStep = 0;
  #evaluated = 0;
  #saved = 0;
  #savedOnce = false;
  #tokens = 0;
  /** Of the last step. */
  #loss = NaN;
  /** The best that was saved, and its step: one whose save failed may be beaten by a worse one. */
  #savedBest: readonly [number | null, number] = [null, 0];
  readonly #started = performance.now();

  constructor(run: TrainRun, settings: TrainSettings, optimiser: AdamW) {
    this.#run = run;
    this.#settings = settings;
    this.#optimiser = optimiser;
    this.#batches = randomBatches(run.train, settings.batch, settings.context, settings.seed);
    this.#looks = looksOf(run, settings);
  }

  /** Puts everything back to where the checkpoint was made, and the folders for people with it. */
  async *resume(): AsyncGenerator<TrainEvent> {
    const { train, place, model } = this.#run;
    const { batch, context } = this.#settings;
    const state = await restoreCheckpoint(place!.folder, model.device, this.#optimiser);
    this.step = this.#saved = state.step;
    this.#savedOnce = true;
    this.#batches = randomBatches(train, batch, context, state.random);
    this.#best = state.bestLoss;
    this.#bestStep = state.bestStep;
    this.#savedBest = [this.#best, this.#bestStep];
    this.#evaluated = state.evaluated;
    if (state.device !== model.device.summary)
      yield this.#warning(
        `this run was computed on "${state.device}" before and is now on "${model.device.summary}": its numbers will differ in their last digits`,
      );
    // The run may have ended between its checkpoint and the folders made from it.
    try {
      await this.#saveFolders();
    } catch (error) {
      yield this.#warning(messageOf(error));
    }
    yield* this.look(); // it may also have ended before it looked
    if (this.#evaluated > state.evaluated && this.isSaveDue()) yield* this.save(this.step === this.#settings.steps);
  }

  /** One step. */
  async next(): Promise<TrainEvent> {
    const { model } = this.#run;
    const step = this.step + 1;
    const result = await trainStep({
      model,
      optimiser: this.#optimiser,
      batches: this.#batches,
      settings: this.#settings,
      step,
      saved: this.#whereSaved(),
    });
    this.step = step;
    this.#tokens += result.tokens;
    this.#loss = result.loss;
    return { type: "step", step, steps: this.#settings.steps, ...result };
  }

  /** Looks at the validation text where it is due. An abort may end it half-way; a resume then looks first. */
  async *look(): AsyncGenerator<TrainEvaluation> {
    const { model, signal } = this.#run;
    const every = this.#settings.evaluateEvery;
    const due = this.step === this.#settings.steps || (every > 0 && this.step > 0 && this.step % every === 0);
    if (this.#looks === undefined || !due || this.#evaluated >= this.step) return;
    const validationLoss = await meanLoss(model, this.#looks.validation, signal);
    const trainLoss = validationLoss === undefined ? undefined : await meanLoss(model, this.#looks.train, signal);
    if (validationLoss === undefined || trainLoss === undefined) return;
    if (!Number.isFinite(validationLoss))
      throw new VitrineError(
        `training: the validation loss is ${validationLoss} after step ${this.step}; ${this.#whereSaved()}; resume from there with a lower learning rate`,
        { blame: "work" },
      );
    this.#evaluated = this.step;
    const best = this.#best === null || validationLoss < this.#best;
    if (best) [this.#best, this.#bestStep] = [validationLoss, this.step];
    yield { type: "evaluation", step: this.step, validationLoss, trainLoss, best };
  }

  /** Every so many steps, after the last, and when there is a new best: it must not be lost. */
  isSaveDue(): boolean {
    const { steps, saveEvery } = this.#settings;
    return this.step === steps || this.step % saveEvery === 0 || (this.#bestStep === this.step && this.#best !== null);
  }

  /** `must`: a failure ends the run; otherwise it is a warning, and the next save tries again. */
  async *save(must: boolean): AsyncGenerator<TrainEvent> {
    const { place, model } = this.#run;
    if (place === undefined) return;
    const started = performance.now();
    try {
      this.#checkWorthSaving();
      await writeCheckpoint(place.writer, model.device, this.#optimiser, this.#state());
      this.#saved = this.step;
      this.#savedOnce = true;
      const best = await this.#saveFolders();
      this.#savedBest = [this.#best, this.#bestStep];
      yield { type: "saved", step: this.step, best, seconds: (performance.now() - started) / 1000 };
    } catch (error) {
      if (must || !(error instanceof VitrineError)) {
        if (!(error instanceof VitrineError)) throw error;
        throw new VitrineError(`${error.message}; ${this.#whereSaved()}`, { blame: error.blame, cause: error });
      }
      [this.#best, this.#bestStep] = this.#savedBest;
      yield this.#warning(`not saved: ${error.message}; ${this.#whereSaved()}; training goes on and saves again later`);
    }
  }

  async *end(): AsyncGenerator<TrainEvent> {
    const aborted = this.step < this.#settings.steps;
    if (aborted && (this.step > this.#saved || (!this.#savedOnce && this.step > 0))) yield* this.save(true);
    const seconds = (performance.now() - this.#started) / 1000;
    yield { type: "end", reason: aborted ? "aborted" : "done", step: this.step, tokens: this.#tokens, seconds };
  }

  /** Throws VitrineError where the weights are lost though their numbers are still numbers: the checkpoint before is worth more. */
  #checkWorthSaving(): void {
    const { model } = this.#run;
    if (!(this.#loss > farWorseThanGuessing(model))) return;
    const guessing = Math.log(model.config.vocabularySize).toFixed(1);
    throw new VitrineError(
      `training: the loss is ${this.#loss.toPrecision(3)} at step ${this.step}, far worse than guessing (${guessing}); a learning rate that is too high is the likely cause: go on with a lower one (--resume --learning-rate X)`,
      { blame: "work" },
    );
  }

  /** The folders that `generate` opens. True when the best one was written too. */
  async #saveFolders(): Promise<boolean> {
    const { place } = this.#run;
    const best = this.#best !== null && this.#bestStep === this.step && place?.saveBest !== undefined;
    const notes: Record<string, string> = { "vitrine.step": String(this.step) };
    if (this.#best !== null && this.#bestStep === this.step) notes["vitrine.validationLoss"] = String(this.#best);
    await place?.saveLast(notes);
    if (best) await place.saveBest!(notes);
    return best;
  }

  #state(): TrainState {
    const { model, data } = this.#run;
    return {
      step: this.step,
      random: this.#batches.state(),
      bestLoss: this.#best,
      bestStep: this.#bestStep,
      evaluated: this.#evaluated,
      data,
      model: configJson(model),
      device: model.device.summary,
      options: this.#settings,
    };
  }

  #whereSaved(): string {
    const { place } = this.#run;
    if (place === undefined) return "nothing was being saved";
    return this.#savedOnce ? `the checkpoint of step ${this.#saved} stays in ${place.folder.name}` : "no checkpoint was made yet";
  }

  #warning(message: string): TrainEvent {
    return { type: "warning", step: this.step, message };
  }
}

/** In nats. A model that knows nothing has ln(vocabulary), one that is surely wrong more. */
function farWorseThanGuessing({ config }: LanguageModel): number {
  return 2 * Math.log(config.vocabularySize) + 2;
}

function messageOf(error: unknown): string {
  if (error instanceof VitrineError) return error.message;
  throw error;
}

function looksOf(
  { train, validation }: TrainRun,
  { batch, context, evaluateBatches }: TrainSettings,
): { validation: Batch[]; train: Batch[] } | undefined {
  if (validation === undefined || validation.tokens.length < 2) return undefined;
  const T = Math.min(context, validation.tokens.length - 1); // a short text is looked at whole
  const looks = {
    validation: evenBatches(validation, batch, T, batch * evaluateBatches),
    train: evenBatches(train, batch, T, batch * evaluateBatches),
  };
  return looks.validation.some(({ counted }) => counted > 0) && looks.train.some(({ counted }) => counted > 0) ? looks : undefined;
}

function checkTexts({ model, train, validation }: TrainRun, { context }: TrainSettings): void {
  checkLength(train, context, "the training text");
  for (const data of [train, validation]) if (data) checkVocabulary(data.tokens, model.config.vocabularySize);
}

/** Before anything is allocated: a resume needs the same run, a new run must not wipe another out. */
async function checkPlace(run: TrainRun): Promise<void> {
  const { place, model, data } = run;
  if (place === undefined) {
    if (run.resume) throw new VitrineError("resume: no folder to resume from; name the one the run was saved to");
    return;
  }
  if (!run.resume && run.overwrite) return;
  const state = await readCheckpoint(place.folder);
  if (run.resume) {
    if (state === undefined)
      throw new VitrineError(`${place.folder.name}: holds no ${checkpointFile}, so there is no run to resume; start one without resuming`);
    checkSameRun(
      place.folder.name,
      state,
      { data, model: configJson(model), options: trainSettings(run.options, model.config.contextLength) },
      run.extend ?? false,
    );
  } else if (state !== undefined) {
    throw new VitrineError(
      `${place.folder.name}: holds a run at step ${state.step} of ${state.options.steps}; resume it (--resume), or train into another folder`,
    );
  }
}

/** The config as a file gives it back. */
function configJson({ config }: LanguageModel): JsonObject {
  return JSON.parse(JSON.stringify(config)) as JsonObject;
}
