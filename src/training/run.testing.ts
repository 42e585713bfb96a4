/** Small runs for the tests of this room: a model of a few hundred numbers, a text to learn, and a place in memory to keep the run in. */
import type { Device } from "../device/device.ts";
import { tensorsToWrite, writeModelFolder } from "../formats/save-folder.ts";
import { configToFile } from "../model/config-file.ts";
import type { LanguageModel } from "../model/model.ts";
import { gpt2Config } from "../model/presets.ts";
import type { Dimensions } from "../model/presets.ts";
import { initialModel } from "../model/random-weights.ts";
import type { CheckpointPlace } from "./checkpoint.ts";
import { memoryPlace } from "./memory-place.testing.ts";
import type { MemoryPlace } from "./memory-place.testing.ts";
import type { TokenData } from "./token-list.ts";
import { train } from "./trainer.ts";
import type { TrainRun } from "./trainer.ts";
import type { TrainEvent, TrainOptions } from "./training.ts";

export const tiny: Dimensions = { layers: 1, heads: 2, width: 8, contextLength: 8, vocabularySize: 11 };

export const tinyModel = (device: Device, seed = 1, changes: Partial<Dimensions> = {}): Promise<LanguageModel> =>
  initialModel(gpt2Config({ ...tiny, ...changes }), device, seed);

/** A text that repeats: after each token comes the next, after the tenth the first. */
export const wheel = (length = 200): TokenData => ({ tokens: Uint16Array.from({ length }, (_, i) => i % 10) });

/** Where a run keeps itself: the folder, and the one for the best. */
export interface TestPlace {
  readonly last: MemoryPlace;
  readonly best: MemoryPlace;
  of(model: LanguageModel): CheckpointPlace;
}

export function testPlace(): TestPlace {
  const [last, best] = [memoryPlace("out"), memoryPlace("out/best")];
  const save = (model: LanguageModel, to: MemoryPlace) => async (metadata: Readonly<Record<string, string>>) => {
    const weights = await tensorsToWrite(() => model.parameters());
    await writeModelFolder(to.writer, { config: configToFile(model.config), weights, metadata });
  };
  const of = (model: LanguageModel): CheckpointPlace => ({
    folder: last.folder,
    writer: last.writer,
    saveLast: save(model, last),
    saveBest: save(model, best),
  });
  return { last, best, of };
}

/** Everything that influences numbers, all of it used. */
export const busy: TrainOptions = {
  steps: 6,
  batch: 2,
  accumulate: 2,
  context: 5,
  learningRate: 0.02,
  warmup: 2,
  dropout: 0.1,
  evaluateEvery: 2,
  evaluateBatches: 2,
  saveEvery: 3,
  seed: 5,
};

export interface Outcome {
  /** Without times. */
  readonly events: readonly Readonly<Record<string, unknown>>[];
  /** All weights after the last step, as bits. */
  readonly weights: readonly number[];
}

/** Runs to the end on a fresh model, stopping where `until` says so. */
export async function runOn(
  device: Device,
  run: Partial<TrainRun>,
  place?: TestPlace,
  until?: (event: TrainEvent) => boolean,
  model?: LanguageModel,
): Promise<Outcome> {
  const learner = model ?? (await tinyModel(device, run.resume ? 99 : 1)); // a resume must not need the weights it begins with
  const events: Record<string, unknown>[] = [];
  const stop = new AbortController();
  try {
    const data = { train: wheel(), validation: wheel(60), options: busy, data: "wheel", place: place?.of(learner), signal: stop.signal };
    for await (const event of train({ ...data, ...run, model: learner })) {
      const plain: Record<string, unknown> = { ...event };
      delete plain.seconds;
      events.push(plain);
      if (until?.(event)) stop.abort();
    }
    return { events, weights: await weightBits(learner) };
  } finally {
    if (!model) learner.dispose();
  }
}

export async function weightBits(model: LanguageModel): Promise<number[]> {
  const bits: number[] = [];
  for await (const { values } of model.parameters()) bits.push(...new Uint32Array(values.buffer, values.byteOffset, values.length));
  return bits;
}

/** Only what was learned and seen: no saves, warnings or ends, which an interruption adds. */
export const learned = ({ events }: Pick<Outcome, "events">): unknown[] => events.filter(({ type }) => type === "step" || type === "evaluation");
