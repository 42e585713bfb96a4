/**
 * What a run measured, kept beside the model: log.jsonl with every event a line, and log.csv with the same figures for spreadsheets.
 * Lines are only ever added; a run that goes on from a checkpoint first drops what came after it, since those steps are done again.
 */
import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { nodeFolderWriter } from "../host/node-files.ts";
import type { TrainEvent } from "../training/training.ts";
import type { SampleLine } from "./json.ts";

export const logFile = "log.jsonl";
export const csvFile = "log.csv";

const csvHead = "step,loss,validation_loss,training_loss,learning_rate,gradient_norm,tokens,seconds";

export interface TrainingLog {
  /** What was logged up to the step that the run goes on from. */
  readonly earlier: readonly TrainEvent[];
  /** Adds a line. The first time that the disk refuses, `onNote` is told and the log ends: the checkpoints matter more. */
  write(event: TrainEvent | SampleLine): void;
}

/** Opens the log of the run in `folder`, which exists, going on after `step` (0: anew). */
export async function openLog(folder: string, step: number, onNote: (note: string) => void): Promise<TrainingLog> {
  const earlier = step === 0 ? [] : eventsUpTo(await textOf(join(folder, logFile)), step);
  const writer = nodeFolderWriter(folder);
  await writer.write(logFile, bytesOf(earlier.map((event) => JSON.stringify(event))));
  await writer.write(csvFile, bytesOf([csvHead, ...earlier.flatMap(csvLine)]));
  let broken = false;
  const append = (file: string, lines: readonly string[]): void => {
    if (lines.length > 0) appendFileSync(join(folder, file), `${lines.join("\n")}\n`);
  };
  return {
    earlier,
    write: (event) => {
      if (broken) return;
      try {
        append(logFile, [JSON.stringify(event)]);
        append(csvFile, csvLine(event));
      } catch (error) {
        broken = true;
        onNote(`the log ends here, ${(error as Error).message}; training goes on, and checkpoints are tried as before`);
      }
    },
  };
}

async function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

/** A last line that was cut off by a crash is left out. */
function eventsUpTo(text: string, step: number): TrainEvent[] {
  const events: TrainEvent[] = [];
  for (const line of text.split("\n")) {
    try {
      const event = JSON.parse(line) as TrainEvent;
      if (typeof event.step === "number" && event.step <= step && event.type !== "end") events.push(event);
    } catch {
      continue;
    }
  }
  return events;
}

/** A row for a step, one for a look at the validation text, none for anything else. */
function csvLine(event: TrainEvent | SampleLine): string[] {
  if (event.type === "step") return [[event.step, event.loss, "", "", event.learningRate, event.gradientNorm, event.tokens, event.seconds].join(",")];
  return event.type === "evaluation" ? [[event.step, "", event.validationLoss, event.trainLoss, "", "", "", ""].join(",")] : [];
}

function bytesOf(lines: readonly string[]): Uint8Array[] {
  return lines.map((line) => new TextEncoder().encode(`${line}\n`));
}
