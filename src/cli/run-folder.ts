/**
 * The folder that a run of training or of fine-tuning writes to: whose it is, what in it may not be lost, and what goes when another
 * run begins there. What a plan holds is training-folder.ts's and finetune-folder.ts's.
 */
import { realpath, rm, rmdir, stat } from "node:fs/promises";
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

/**
 * Runs `work` while no other process writes a run or a model to the folder; folders that were made for it and stayed empty go again.
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
      `--out ${quoted(out)}: ${who} is writing to it; wait for its end, stop it, or choose another folder (if there is no such process any more, delete ${lock})`,
    );
  };
  let begun = false;
  try {
    return await withLock(lock, { waiting }, () => {
      begun = true;
      return work();
    });
  } catch (error) {
    throw begun ? error : writingFailed(lock, error);
  } finally {
    for (const folder of made) await rmdir(folder).catch(() => {}); // not empty: the run has begun
  }
}

export interface NewFolderOptions {
  /** Folders that are read, of which nothing may be written over. */
  readonly reads?: readonly string[];
  /** Where the tokenizer is taken from; it may lie in the folder already. */
  readonly tokenizer?: string;
  /** What the folder holds may go. */
  readonly force?: boolean;
}

/** Throws VitrineError where something new in the folder would cost somebody a run, a model or a tokenizer. */
export async function checkNewFolder(out: string, { reads = [], tokenizer, force = false }: NewFolderOptions): Promise<void> {
  const own = await Promise.all([out, join(out, bestFolder)].map(realPath));
  for (const path of reads)
    if (own.includes(await realPath(path)))
      throw new VitrineError(`--out ${quoted(out)} is where ${quoted(path)} lies, which is read; give another folder`);
  if (force) return;
  const refuse = (what: string): never => {
    throw new VitrineError(`--out ${quoted(out)} holds ${what}, choose another folder, or write over it with --force`);
  };
  const state = await readCheckpoint(nodeFolder(out));
  const isFinetuning = await isThere(join(out, finetunePlanFile));
  const command = isFinetuning ? "finetune" : "train";
  if (state !== undefined) refuse(`a run after step ${state.step} of ${state.options.steps}; go on with vitrine ${command} --resume --out ${out}`);
  for (const file of ["config.json", "model.safetensors", adapterConfigFile].flatMap((name) => [name, join(bestFolder, name)]))
    if (await isThere(join(out, file))) refuse(`a model already (${file})`);
  // That of a run which ended before its first checkpoint is no loss.
  const isRun = isFinetuning || (await isThere(join(out, trainPlanFile)));
  if (!isRun && (await isThere(join(out, "tokenizer.json"))) && (tokenizer === undefined || (await realPath(tokenizer)) !== own[0]))
    refuse("a tokenizer already (tokenizer.json)");
}

/** Links followed, where there is something. */
function realPath(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Takes away what an older run or model left and a new one would not write over: it would be opened instead of the new one, or beside it. */
export async function clearFolder(out: string): Promise<void> {
  const model = ["config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", adapterConfigFile, adapterWeightsFile];
  const tokenizer = ["vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json", "chat_template.jinja"];
  const run = [checkpointFile, trainPlanFile, finetunePlanFile, reportFile];
  const both = [...model, ...tokenizer].flatMap((name) => [name, join(bestFolder, name)]);
  for (const file of [...run, ...both]) await rm(join(out, file), { force: true });
}
