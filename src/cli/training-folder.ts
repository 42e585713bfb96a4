/**
 * The folder of a training run: what may be written where, its plan (run.json), and its model as `generate --model DIR` opens it.
 * Checkpoints are training/checkpoint.ts's, the log training-log.ts's.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { isJsonObject, parseJsonObject } from "../base/json.ts";
import { nodeFolder, nodeFolderWriter, removeLeftovers } from "../host/node-files.ts";
import { saveModel } from "../engine/save.ts";
import type { LanguageModel } from "../model/model.ts";
import { readCheckpoint } from "../training/checkpoint.ts";
import type { CheckpointPlace } from "../training/checkpoint.ts";
import type { TrainState } from "../training/training.ts";
import { bestFolder, trainPlanFile } from "./run-folder.ts";
import type { TrainPlan } from "./training-plan.ts";

const planVersion = 1;
/** Below the run's folder. */
export const tokensFolder = "tokens";

export interface SavedRun {
  readonly plan: TrainPlan;
  /** What the run is trained on, as checkpoints name it; undefined in one that an older version began. */
  readonly data: string | undefined;
  /** Of the checkpoint; undefined where the run ended before its first. */
  readonly state: TrainState | undefined;
}

/** What there is to go on from. Throws VitrineError when there is no run. */
export async function openSavedRun(out: string): Promise<SavedRun> {
  const path = join(out, trainPlanFile);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? `there is no ${trainPlanFile} in it` : (error as Error).message;
    throw new VitrineError(`--resume: ${quoted(out)} holds no run of vitrine train, ${why}; name the --out of a run, or leave --resume out`, {
      cause: error,
    });
  });
  for (const folder of [out, join(out, bestFolder)]) await removeLeftovers(folder);
  const state = await readCheckpoint(nodeFolder(out));
  const { plan, data } = parsePlan(path, text);
  return { plan, data: state?.data ?? data, state };
}

/** Written by us, so its frame is checked and what is in it believed: wrong numbers are refused where they are used. */
function parsePlan(name: string, text: string): Pick<SavedRun, "plan" | "data"> {
  const { version, plan, data } = parseJsonObject(name, text);
  if (version !== planVersion) throw new FormatError(`${name}: its version is ${JSON.stringify(version)}, this program reads ${planVersion}`);
  const whole = isJsonObject(plan) && isTexts(plan.files) && [plan.model, plan.options, plan.sample, plan.validation].every(isJsonObject);
  if (!whole) throw new FormatError(`${name}: not the plan of a run; begin anew in another --out`);
  return { plan: plan as unknown as TrainPlan, data: typeof data === "string" ? data : undefined };
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

export async function writePlan(out: string, plan: TrainPlan, data: string): Promise<void> {
  const text = `${JSON.stringify({ version: planVersion, data, plan }, null, 2)}\n`;
  await nodeFolderWriter(out).write(trainPlanFile, [new TextEncoder().encode(text)]);
}

/** Where the run saves itself: checkpoint and latest model in the folder, the best one below. The tokenizer's files lie in it already. */
export function placeOf(out: string, model: LanguageModel): CheckpointPlace {
  const folder = nodeFolder(out);
  return {
    folder,
    writer: nodeFolderWriter(out),
    saveLast: (notes) => saveModel(model, nodeFolderWriter(out), { notes }),
    saveBest: (notes) => saveModel(model, nodeFolderWriter(join(out, bestFolder)), { notes, tokenizer: folder }),
  };
}
