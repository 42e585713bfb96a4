/**
 * The folder that a run of training or of fine-tuning writes to: whose it is, what in it may not be lost, and what goes when another
 * run begins there. What a plan holds is training-folder.ts's and finetune-folder.ts's.
 */
import { rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { quoted, VitrineError } from "../base/errors.ts";
import { adapterConfigFile, adapterWeightsFile } from "../formats/peft.ts";
import { withLock } from "../host/lock.ts";
import type { Holder } from "../host/lock.ts";
import { nodeFolder, writingFailed } from "../host/node-files.ts";
import { checkpointFile, readCheckpoint } from "../training/checkpoint.ts";

/** Below the run's folder. */
export const bestFolder = "best";
export const trainPlanFile = "run.json";
export const finetunePlanFile = "finetune.json";
export const reportFile = "report.json";
const lockFile = "run.lock";

/** Longer than any step takes: between two a run gives a sign of life. */
const silenceMs = 60 * 60_000;

/**
 * Runs `work` while no other process trains in the folder; folders that were made for it and stayed empty go again.
 * Throws VitrineError where another process does, or the folder cannot be one.
 */
export async function inRunFolder<T>(out: string, work: () => Promise<T>): Promise<T> {
  const made: string[] = [];
  for (let at = resolve(out); (await stat(at).catch(() => undefined)) === undefined && dirname(at) !== at; at = dirname(at)) made.push(at);
  if (made.length === 0 && !(await stat(out)).isDirectory())
    throw new VitrineError(`--out ${quoted(out)} is a file, expected a folder; choose another name`);
  const lock = join(out, lockFile);
  const waiting = ({ pid, host }: Holder): never => {
    const who = pid === undefined ? "another process" : `process ${pid}${host === undefined ? "" : ` on ${host}`}`;
    throw new VitrineError(
      `--out ${quoted(out)}: ${who} is training in it; wait for its end, stop it, or choose another folder (if there is no such process any more, delete ${lock})`,
    );
  };
  let begun = false;
  try {
    return await withLock(lock, { waiting, silenceMs }, () => {
      begun = true;
      return work();
    });
  } catch (error) {
    throw begun ? error : writingFailed(lock, error);
  } finally {
    for (const folder of made) await rmdir(folder).catch(() => {}); // not empty: the run has begun
  }
}

/** Throws VitrineError where the folder holds a run or a model, or is no folder. */
export async function checkFree(out: string): Promise<void> {
  const state = await readCheckpoint(nodeFolder(out));
  if (state !== undefined) {
    const command = (await isThere(join(out, finetunePlanFile))) ? "finetune" : "train";
    throw new VitrineError(
      `--out ${quoted(out)} holds a run after step ${state.step} of ${state.options.steps}; go on with vitrine ${command} --resume --out ${out}, choose another folder, or write over it with --force`,
    );
  }
  for (const file of ["config.json", "model.safetensors", adapterConfigFile].flatMap((name) => [name, join(bestFolder, name)]))
    if (await isThere(join(out, file)))
      throw new VitrineError(`--out ${quoted(out)} holds a model already (${file}); choose another folder, or write over it with --force`);
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Takes away what an older run left, since a folder with two models or two plans would be opened as the wrong one. */
export async function clearFolder(out: string): Promise<void> {
  const model = ["config.json", "generation_config.json", "model.safetensors", adapterConfigFile, adapterWeightsFile];
  const run = [checkpointFile, trainPlanFile, finetunePlanFile, reportFile];
  for (const file of [...run, ...model, ...model.map((name) => join(bestFolder, name))]) await rm(join(out, file), { force: true });
}
