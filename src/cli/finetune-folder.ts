/**
 * The folder of a fine-tuning run: what may be written where, its plan (finetune.json), and what lies in it for `generate --model DIR`:
 * a whole model, or a LoRA adapter. Checkpoints are training/checkpoint.ts's, the log training-log.ts's.
 */
import { readFile, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Folder } from "../base/bytes.ts";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { isJsonObject, parseJsonObject } from "../base/json.ts";
import { saveAdapters } from "../engine/adapters.ts";
import { generationConfigFrom, saveFinetuned } from "../engine/finetuned.ts";
import { adapterConfigFile, adapterWeightsFile } from "../formats/peft.ts";
import { nodeFolder, nodeFolderWriter, removeLeftovers } from "../host/node-files.ts";
import type { Adapters } from "../model/adapters.ts";
import type { LanguageModel } from "../model/model.ts";
import { checkpointFile, readCheckpoint } from "../training/checkpoint.ts";
import type { CheckpointPlace } from "../training/checkpoint.ts";
import type { TrainState } from "../training/training.ts";
import type { FinetunePlan } from "./finetune-plan.ts";
import { bestFolder } from "./training-folder.ts";

const planFile = "finetune.json";
const planVersion = 1;

/** Throws VitrineError where a new run would cost somebody a run or a model, or has no place. `model` is the folder that is learned from. */
export async function checkNewFolder(out: string, model: string, force: boolean): Promise<void> {
  if (resolve(out) === resolve(model)) throw new VitrineError(`--out ${quoted(out)} is the model itself; give another folder`);
  const found = await stat(out).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory()) throw new VitrineError(`--out ${quoted(out)} is a file, expected a folder; choose another name`);
  if (force) return;
  const state = await readCheckpoint(nodeFolder(out));
  if (state !== undefined)
    throw new VitrineError(
      `--out ${quoted(out)} holds a run after step ${state.step} of ${state.options.steps}; go on with vitrine finetune --resume --out ${out}, choose another folder, or write over it with --force`,
    );
  for (const file of ["config.json", "model.safetensors", adapterConfigFile]) {
    if ((await stat(join(out, file)).catch(() => undefined)) !== undefined)
      throw new VitrineError(`--out ${quoted(out)} holds a model already (${file}); choose another folder, or write over it with --force`);
  }
}

/** The plan and the checkpoint to go on from; no checkpoint where the run ended before its first. Throws VitrineError when there is no run. */
export async function openSavedRun(out: string): Promise<{ plan: FinetunePlan; state: TrainState | undefined }> {
  const path = join(out, planFile);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? `there is no ${planFile} in it` : (error as Error).message;
    throw new VitrineError(`--resume: ${quoted(out)} holds no run of vitrine finetune, ${why}; name the --out of a run, or leave --resume out`, {
      cause: error,
    });
  });
  for (const folder of [out, join(out, bestFolder)]) await removeLeftovers(folder);
  return { plan: parsePlan(path, text), state: await readCheckpoint(nodeFolder(out)) };
}

/** Written by us, so its frame is checked and what is in it believed: wrong numbers are refused where they are used. */
function parsePlan(name: string, text: string): FinetunePlan {
  const { version, plan } = parseJsonObject(name, text);
  if (version !== planVersion) throw new FormatError(`${name}: its version is ${JSON.stringify(version)}, this program reads ${planVersion}`);
  const whole =
    isJsonObject(plan) &&
    Array.isArray(plan.files) &&
    typeof plan.model === "string" &&
    [plan.options, plan.report, plan.validation].every(isJsonObject) &&
    (plan.lora === null || isJsonObject(plan.lora));
  if (!whole) throw new FormatError(`${name}: not the plan of a run; begin anew in another --out`);
  return plan as unknown as FinetunePlan;
}

export async function writePlan(out: string, plan: FinetunePlan): Promise<void> {
  const text = `${JSON.stringify({ version: planVersion, plan }, null, 2)}\n`;
  await nodeFolderWriter(out).write(planFile, [new TextEncoder().encode(text)]);
}

/**
 * Makes the folder ready for a new run: what an older one left and the new one would not write over is taken away, since a folder with
 * two models would open as the wrong one; then the tokenizer's files are put there.
 */
export async function beginFolder(out: string, tokenizerFiles: Readonly<Record<string, string>>): Promise<void> {
  const models = ["config.json", "generation_config.json", "model.safetensors", adapterConfigFile, adapterWeightsFile];
  for (const file of [checkpointFile, reportFile, ...models, ...models.map((model) => join(bestFolder, model))])
    await rm(join(out, file), { force: true });
  await writeTexts(out, tokenizerFiles);
}

async function writeTexts(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  const writer = nodeFolderWriter(folder);
  for (const [file, content] of Object.entries(files)) await writer.write(file, [new TextEncoder().encode(content)]);
}

export interface Finetuned {
  readonly model: LanguageModel;
  readonly adapters: Adapters | undefined;
  /** The folder and the name or path of what is fine-tuned. */
  readonly base: { readonly folder: Folder; readonly path: string };
  readonly tokenizerFiles: Readonly<Record<string, string>>;
  /** Tokens that end an answer. */
  readonly turnEnds: readonly number[];
}

/** Where the run saves itself: checkpoint and latest model or adapter in the folder, the best one below. */
export async function placeOf(out: string, { model, adapters, base, tokenizerFiles, turnEnds }: Finetuned): Promise<CheckpointPlace> {
  const generationConfig = await generationConfigFrom(base.folder, model, turnEnds);
  const save = (to: string, notes: Readonly<Record<string, string>>): Promise<void> => {
    const writer = nodeFolderWriter(to);
    return adapters
      ? saveAdapters(adapters, model, writer, { base: base.path, notes })
      : saveFinetuned(model, writer, { notes, generationConfig, tokenizerFiles });
  };
  return {
    folder: nodeFolder(out),
    writer: nodeFolderWriter(out),
    saveLast: (notes) => save(out, notes),
    saveBest: async (notes) => {
      const best = join(out, bestFolder);
      if (adapters) await writeTexts(best, tokenizerFiles);
      await save(best, notes);
    },
  };
}

export const reportFile = "report.json";

export async function writeReport(out: string, report: object): Promise<void> {
  await writeTexts(out, { [reportFile]: `${JSON.stringify(report, null, 2)}\n` });
}
