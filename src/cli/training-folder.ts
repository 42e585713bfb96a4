/**
 * The folder of a training run: what may be written where, its plan (run.json), and its model as `generate --model DIR` opens it.
 * Checkpoints are training/checkpoint.ts's, the log training-log.ts's.
 */
import { readFile, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { isJsonObject, parseJsonObject } from "../base/json.ts";
import { withLock } from "../host/lock.ts";
import type { Holder } from "../host/lock.ts";
import { nodeFolder, nodeFolderWriter, removeLeftovers, writingFailed } from "../host/node-files.ts";
import { saveModel } from "../engine/save.ts";
import type { LanguageModel } from "../model/model.ts";
import { readCheckpoint } from "../training/checkpoint.ts";
import type { CheckpointPlace } from "../training/checkpoint.ts";
import type { TrainState } from "../training/training.ts";
import type { TrainPlan } from "./training-plan.ts";

const planFile = "run.json";
const planVersion = 1;
/** Below the run's folder. */
export const tokensFolder = "tokens";
export const bestFolder = "best";
const lockFile = "run.lock";

/**
 * Runs `work` while no other process trains in the folder; a folder that was made for it and stayed empty goes again.
 * Throws VitrineError where one does, or the folder cannot be one.
 */
export async function inRunFolder<T>(out: string, work: () => Promise<T>): Promise<T> {
  const found = await stat(out).catch(() => undefined);
  if (found !== undefined && !found.isDirectory()) throw new VitrineError(`--out ${quoted(out)} is a file, expected a folder; choose another name`);
  const lock = join(out, lockFile);
  const waiting = ({ pid, host }: Holder): never => {
    const who = pid === undefined ? "another process" : `process ${pid}${host === undefined ? "" : ` on ${host}`}`;
    throw new VitrineError(
      `--out ${quoted(out)}: ${who} is training in it; wait for its end, stop it, or choose another folder (if there is no such process any more, delete ${lock})`,
    );
  };
  try {
    return await withLock(lock, { waiting }, work);
  } catch (error) {
    throw writingFailed(lock, error);
  } finally {
    if (found === undefined) await rmdir(out).catch(() => {}); // not empty: the run has begun
  }
}

/** Throws VitrineError where a new run would cost somebody a run or a model. */
export async function checkNewFolder(out: string, force: boolean): Promise<void> {
  if (force) return;
  const state = await readCheckpoint(nodeFolder(out));
  if (state !== undefined)
    throw new VitrineError(
      `--out ${quoted(out)} holds a run after step ${state.step} of ${state.options.steps}; go on with vitrine train --resume --out ${out}, choose another folder, or write over it with --force`,
    );
  for (const file of ["config.json", "model.safetensors"]) {
    if ((await stat(join(out, file)).catch(() => undefined)) !== undefined)
      throw new VitrineError(`--out ${quoted(out)} holds a model already (${file}); choose another folder, or write over it with --force`);
  }
}

/** The plan and the checkpoint to go on from; no checkpoint where the run ended before its first. Throws VitrineError when there is no run. */
export async function openSavedRun(out: string): Promise<{ plan: TrainPlan; state: TrainState | undefined }> {
  const path = join(out, planFile);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? `there is no ${planFile} in it` : (error as Error).message;
    throw new VitrineError(`--resume: ${quoted(out)} holds no run of vitrine train, ${why}; name the --out of a run, or leave --resume out`, {
      cause: error,
    });
  });
  for (const folder of [out, join(out, bestFolder)]) await removeLeftovers(folder);
  return { plan: parsePlan(path, text), state: await readCheckpoint(nodeFolder(out)) };
}

/** Written by us, so its frame is checked and what is in it believed: wrong numbers are refused where they are used. */
function parsePlan(name: string, text: string): TrainPlan {
  const { version, plan } = parseJsonObject(name, text);
  if (version !== planVersion) throw new FormatError(`${name}: its version is ${JSON.stringify(version)}, this program reads ${planVersion}`);
  const whole = isJsonObject(plan) && Array.isArray(plan.files) && [plan.model, plan.options, plan.sample, plan.validation].every(isJsonObject);
  if (!whole) throw new FormatError(`${name}: not the plan of a run; begin anew in another --out`);
  return plan as unknown as TrainPlan;
}

export async function writePlan(out: string, plan: TrainPlan): Promise<void> {
  const text = `${JSON.stringify({ version: planVersion, plan }, null, 2)}\n`;
  await nodeFolderWriter(out).write(planFile, [new TextEncoder().encode(text)]);
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
