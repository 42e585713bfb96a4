/**
 * The folder of a fine-tuning run: what may be written where, its plan (finetune.json), and what lies in it for `generate --model DIR`:
 * a whole model, or a LoRA adapter. Checkpoints are training/checkpoint.ts's, the log training-log.ts's.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Folder } from "../base/bytes.ts";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { isJsonObject, parseJsonObject } from "../base/json.ts";
import { saveAdapters } from "../engine/adapters.ts";
import { generationConfigFrom, saveFinetuned } from "../engine/finetuned.ts";
import { nodeFolder, nodeFolderWriter, removeLeftovers } from "../host/node-files.ts";
import type { Adapters } from "../model/adapters.ts";
import type { LanguageModel } from "../model/model.ts";
import { readCheckpoint } from "../training/checkpoint.ts";
import type { CheckpointPlace } from "../training/checkpoint.ts";
import type { TrainState } from "../training/training.ts";
import type { FinetunePlan } from "./finetune-plan.ts";
import { bestFolder, clearFolder, finetunePlanFile, reportFile } from "./run-folder.ts";

const planVersion = 1;

export interface SavedFinetuning {
  readonly plan: FinetunePlan;
  /** Model and texts, as checkpoints name them; undefined in a run that an older version began. */
  readonly data: string | undefined;
  /** Of the checkpoint; undefined where the run ended before its first. */
  readonly state: TrainState | undefined;
}

/** What there is to go on from. Throws VitrineError when there is no run. */
export async function openSavedRun(out: string): Promise<SavedFinetuning> {
  const path = join(out, finetunePlanFile);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? `there is no ${finetunePlanFile} in it` : (error as Error).message;
    throw new VitrineError(`--resume: ${quoted(out)} holds no run of vitrine finetune, ${why}; name the --out of a run, or leave --resume out`, {
      cause: error,
    });
  });
  for (const folder of [out, join(out, bestFolder)]) await removeLeftovers(folder);
  const state = await readCheckpoint(nodeFolder(out));
  const { plan, data } = parsePlan(path, text);
  return { plan, data: state?.data ?? data, state };
}

/** Written by us, so its frame is checked and what is in it believed: wrong numbers are refused where they are used. */
function parsePlan(name: string, text: string): Pick<SavedFinetuning, "plan" | "data"> {
  const { version, plan, data } = parseJsonObject(name, text);
  if (version !== planVersion) throw new FormatError(`${name}: its version is ${JSON.stringify(version)}, this program reads ${planVersion}`);
  const whole =
    isJsonObject(plan) &&
    Array.isArray(plan.files) &&
    plan.files.every((file) => typeof file === "string") &&
    typeof plan.model === "string" &&
    [plan.options, plan.report, plan.validation].every(isJsonObject) &&
    (plan.lora === null || isJsonObject(plan.lora));
  if (!whole) throw new FormatError(`${name}: not the plan of a run; begin anew in another --out`);
  return { plan: plan as unknown as FinetunePlan, data: typeof data === "string" ? data : undefined };
}

export async function writePlan(out: string, plan: FinetunePlan, data: string): Promise<void> {
  const text = `${JSON.stringify({ version: planVersion, data, plan }, null, 2)}\n`;
  await nodeFolderWriter(out).write(finetunePlanFile, [new TextEncoder().encode(text)]);
}

/** Makes the folder ready for a new run, with the tokenizer's files. With `force` an older one lay there: what it left goes. */
export async function beginFolder(out: string, tokenizerFiles: Readonly<Record<string, string>>, force: boolean): Promise<void> {
  if (force) await clearFolder(out);
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

export async function writeReport(out: string, report: object): Promise<void> {
  await writeTexts(out, { [reportFile]: `${JSON.stringify(report, null, 2)}\n` });
}
