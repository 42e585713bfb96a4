/**
 * Never lose a run: one file, `checkpoint.safetensors`, that holds all a run needs to go on bit for bit: what is learned, the
 * optimiser's memories, where the random numbers stand, and what was asked for. It is the only truth a resume reads, and a writer
 * puts it in place whole or not at all: whatever happens, the old one is there or the new one. Model folders for people are made
 * from it afterwards (trainer.ts) and can always be made again.
 *
 * Inside: for every learnable NAME the tensors `weights.NAME`, `m.NAME` and `v.NAME`, as F32; last `checksum`, the fingerprint of
 * all numbers before it in eight pieces of 16 bits; the state as JSON in the metadata.
 */
import type { Folder, FolderWriter } from "../base/bytes.ts";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { sameShape, showShape } from "../base/shape.ts";
import type { Device } from "../device/device.ts";
import type { Weights } from "../device/training-kernels.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { writeSafetensors } from "../formats/write-safetensors.ts";
import type { TensorToWrite } from "../formats/write-safetensors.ts";
import { fingerprint } from "./fingerprint.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { readWeights, shapeOf, writeWeights } from "./optimiser.ts";
import type { AdamW, Trained } from "./optimiser.ts";
import { damage, parseState } from "./state.ts";
import type { TrainState } from "./training.ts";

export const checkpointFile = "checkpoint.safetensors";
const VERSION = "1";
const STATE = "vitrine.training.state";

/** Where a run keeps itself. */
export interface CheckpointPlace {
  readonly folder: Folder;
  readonly writer: FolderWriter;
  /** Writes the model as it is now as a folder that `generate` opens. `notes` are for the metadata of its weights. */
  readonly saveLast: (notes: Readonly<Record<string, string>>) => Promise<void>;
  /** The same into another folder, for the best so far. */
  readonly saveBest?: (notes: Readonly<Record<string, string>>) => Promise<void>;
}

/**
 * Writes the checkpoint in place of the one before.
 * Throws VitrineError when a number is NaN or Infinity, and the writer's errors; the one before is then still there.
 */
export async function writeCheckpoint(writer: FolderWriter, device: Device, optimiser: AdamW, state: TrainState): Promise<void> {
  const sum = fingerprint();
  const tensors = slots(optimiser.trained).map(({ name, weights }): TensorToWrite => {
    return { name, dtype: "F32", shape: shapeOf(weights), values: { [Symbol.asyncIterator]: () => finite(device, name, weights, sum) } };
  });
  // Asked for last, when the sum is complete.
  const checksum = { *[Symbol.iterator]() { yield sumValues(sum); } }; // prettier-ignore
  tensors.push({ name: "checksum", dtype: "F32", shape: [8], values: checksum });
  await writer.write(checkpointFile, writeSafetensors(tensors, { format: "vitrine checkpoint", version: VERSION, [STATE]: JSON.stringify(state) }));
}

async function* finite(device: Device, name: string, weights: Weights, sum: Fingerprint): AsyncGenerator<Float32Array> {
  const values = await readWeights(device, weights);
  for (const value of values)
    if (!Number.isFinite(value))
      throw new VitrineError(`checkpoint: ${name} holds ${value}; it is not saved, the checkpoint before stays`, { blame: "work" });
  sum.update(bytesOf(values));
  yield values;
}

/** The state in a folder's checkpoint; undefined when there is none. Reads the header alone. Throws FormatError when it is damaged. */
export async function readCheckpoint(folder: Folder): Promise<TrainState | undefined> {
  const opened = await openCheckpoint(folder);
  if (opened === undefined) return undefined;
  await opened.source.close();
  return opened.state;
}

/**
 * Puts what the checkpoint holds into the model's weights and the optimiser, and gives its state.
 * Throws FormatError when it is damaged or of a model with other learnables; weights may then have changed.
 */
export async function restoreCheckpoint(folder: Folder, device: Device, optimiser: AdamW): Promise<TrainState> {
  const opened = await openCheckpoint(folder);
  if (opened === undefined)
    throw new VitrineError(`${folder.name}: holds no ${checkpointFile}, so there is no run to resume; start one without resuming`);
  const { source, state } = opened;
  try {
    const all = slots(optimiser.trained);
    checkTensors(source, all.map(({ name, weights }) => ({ name, shape: shapeOf(weights) }))); // prettier-ignore
    const sum = fingerprint();
    for (const { name, weights } of all) {
      const values = await source.read(name);
      sum.update(bytesOf(values));
      for (const value of values) if (!Number.isFinite(value)) throw damaged(source, `${name} holds ${value}`);
      writeWeights(device, weights, values);
    }
    const [expected, found] = [sumValues(sum), await source.read("checksum")];
    if (!expected.every((value, i) => value === found[i])) throw damaged(source, "its numbers do not match their checksum");
    optimiser.steps = state.step;
    return state;
  } finally {
    await source.close();
  }
}

/** Everything a checkpoint holds of the device, in the file's order. */
function slots(trained: readonly Trained[]): { name: string; weights: Weights }[] {
  return trained.flatMap(({ name, weights, m, v }) => [
    { name: `weights.${name}`, weights },
    { name: `m.${name}`, weights: m },
    { name: `v.${name}`, weights: v },
  ]);
}

async function openCheckpoint(folder: Folder): Promise<{ source: TensorSource; state: TrainState } | undefined> {
  const file = await folder.open(checkpointFile);
  if (file === undefined) return undefined;
  const source = await openSafetensors(file).catch((error: unknown) => {
    if (!(error instanceof FormatError)) throw error;
    // The format's own cure, to fetch the file again, is for files that were fetched.
    throw new FormatError(`${error.message.replace(/[;:,] (correct the file or )?fetch it again.*$/, "")}; ${damage}`, { cause: error });
  });
  try {
    const { version, [STATE]: state } = source.metadata;
    if (state === undefined) throw new FormatError(`${source.name}: not a checkpoint of Vitrine's training; name another folder`);
    if (version !== VERSION)
      throw new FormatError(`${source.name}: a checkpoint of version ${quoted(version ?? "none")}, this program reads ${VERSION}`);
    return { source, state: parseState(`${source.name} (state)`, state) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function checkTensors(source: TensorSource, expected: readonly { name: string; shape: readonly number[] }[]): void {
  const all = [...expected, { name: "checksum", shape: [8] }];
  for (const { name, shape } of all) {
    const found = source.tensors.get(name);
    if (found === undefined) throw other(source, `tensor ${quoted(name)} ${showShape(shape)} is not in it`);
    if (!sameShape(found.shape, shape)) throw other(source, `tensor ${quoted(name)} is ${showShape(found.shape)} in it and ${showShape(shape)} here`);
    if (found.dtype !== "F32") throw damaged(source, `tensor ${quoted(name)} is ${found.dtype}, expected F32`);
  }
  if (source.tensors.size === all.length) return;
  const names = new Set(all.map(({ name }) => name));
  const extra = [...source.tensors.keys()].find((name) => !names.has(name)) ?? "";
  throw other(source, `it holds ${quoted(extra)}, which is not learned here`);
}

function other(source: TensorSource, problem: string): FormatError {
  return new FormatError(`${source.name}: a checkpoint of another model: ${problem}; resume with the options the run was started with`);
}

function damaged(source: TensorSource, problem: string): FormatError {
  return new FormatError(`${source.name}: ${problem}; ${damage}`);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** 128 bits as numbers that fp32 holds exactly. */
function sumValues(sum: Fingerprint): Float32Array {
  return Float32Array.from(sum.digest().match(/..../g) as string[], (digits) => parseInt(digits, 16));
}
