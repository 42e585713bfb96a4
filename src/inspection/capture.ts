/**
 * Activations of one pass over one text, read back as plain numbers. The other files of this room listen through `listen`,
 * which lets them read only what they need while the activation is there.
 */
import { ShapeError, VitrineError } from "../base/errors.ts";
import { showShape } from "../base/shape.ts";
import type { LanguageModel } from "../model/model.ts";
import { taps } from "../model/taps.ts";
import { tensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Activation } from "./inspection.ts";

/**
 * The activations called `names` (`*` stands for any layer) of one pass over `ids`, in the order of the pass.
 * Shapes are those of model/taps.ts without the batch dimension: (T, C), (T, H, D), (H, T, T), (T, N), logits (T, V).
 * Everything asked for is held at once: (T, V) logits of long texts are large. Throws VitrineError for a name that no activation has.
 */
export async function capture(model: LanguageModel, ids: readonly number[], names: readonly string[]): Promise<Map<string, Activation>> {
  return listen(model, ids, names, async ({ name, shape }, tensor) => ({ name, shape: shape.slice(1), data: await tensor.read() }));
}

/** An activation while the pass stands at it: its shape has the batch dimension, 1. */
interface Heard {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * One pass over `ids`; what `read` makes of each activation, by name and in the order of the pass.
 * `read` must ask for its numbers before it first waits: the tensor is gone afterwards.
 */
export async function listen<Result>(
  model: LanguageModel,
  ids: readonly number[],
  names: readonly string[],
  read: (activation: Heard, tensor: Tensor) => Promise<Result>,
): Promise<Map<string, Result>> {
  const reading = new Map<string, Promise<Result>>();
  const listener = (tensor: Tensor, name: string): void => void reading.set(name, read({ name, shape: tensor.shape }, tensor));
  const heard = taps(model.config, new Map(names.map((name) => [name, listener])));
  try {
    using _ = tensorScope();
    model.forward([ids], { taps: heard, logits: heard.listener("logits") ? "all" : "last" });
  } catch (error) {
    await Promise.allSettled(reading.values());
    throw error;
  }
  const results = await Promise.all(reading.values());
  return new Map([...reading.keys()].map((name, at) => [name, results[at]]));
}

/** Row `position` of an activation (1, T, ...), whatever lies in it. */
export async function readRow({ device, buffer, shape }: Tensor, position: number): Promise<Float32Array> {
  const width = shape.slice(2).reduce((product, size) => product * size, 1);
  if (shape[0] !== 1 || !(position >= 0 && position < shape[1])) throw new ShapeError(`readRow: row ${position} of ${showShape(shape)}`);
  return (await device.read(buffer, position * width, width)) as Float32Array;
}

/** A position of the text, the last one by default; negative ones count from the end. Throws VitrineError for one outside. */
export function positionIn(ids: readonly number[], position: number = -1): number {
  const at = position < 0 ? ids.length + position : position;
  if (Number.isInteger(at) && at >= 0 && at < ids.length) return at;
  throw new VitrineError(`position ${position} of ${ids.length} tokens; they count from 0 (or from -1, the last one, backwards)`);
}

/** Throws VitrineError for a layer, or a head, that the model does not have. */
export function checkPlace({ config }: LanguageModel, layer: number, head?: number): void {
  if (!Number.isInteger(layer) || layer < 0 || layer >= config.layers)
    throw new VitrineError(`layer ${layer}: this model has ${config.layers}, counted from 0 to ${config.layers - 1}`);
  if (head !== undefined && (!Number.isInteger(head) || head < 0 || head >= config.heads))
    throw new VitrineError(`head ${head}: each layer has ${config.heads}, counted from 0 to ${config.heads - 1}`);
}

/** Throws VitrineError for a token that is not in the vocabulary. */
export function checkToken({ config }: LanguageModel, id: number): void {
  if (!Number.isInteger(id) || id < 0 || id >= config.vocabularySize)
    throw new VitrineError(`token id ${id} is outside the vocabulary of ${config.vocabularySize} (0 to ${config.vocabularySize - 1})`);
}
