/**
 * Vitrine as a library, in Node: opening models, files, devices and the hub. What every host offers is named in exports.ts;
 * index.browser.ts is the same door for pages.
 */
import { loadEngine, loadTokenizerOnly } from "./engine/load.ts";
import type { LocalEngine } from "./engine/local.ts";
import type { MatrixFormat } from "./device/device.ts";
import { openDevice } from "./host/node.ts";
import type { OpenDeviceOptions } from "./host/node.ts";
import { resolveModel } from "./host/node-models.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

// Load

export interface LoadModelOptions extends OpenDeviceOptions {
  /** Weights loaded so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** One line for people about something odd but harmless, in the files or in a prompt. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
  /** How matrices keep their numbers. Default "f32"; "f16", "int8" and "int4" take a half, a quarter and an eighth of the memory. */
  readonly weights?: MatrixFormat;
}

/**
 * Opens a model: a Hugging Face folder's path, a model that came with the package, or a pulled hub id (ORG/NAME[@REV]).
 * Without a name: the embedded model. Call `dispose()` when done; it also ends the device's threads.
 * Throws VitrineError, whose message names the cure, when there is no such model or its files are not right.
 *
 * ```ts
 * const model = await loadModel("path/to/gpt2");
 * for await (const step of model.generate("Once upon a time", { temperature: 0.8, seed: 1 })) {
 *   console.log(step.text, step.probability, step.distribution.top(5));
 * }
 * model.dispose();
 * ```
 */
export async function loadModel(name?: string, options: LoadModelOptions = {}): Promise<LocalEngine> {
  const found = await resolveModel(name);
  const device = await openDevice(options);
  try {
    return await loadEngine(found.folder, device, { ...options, name: found.name, onDispose: () => device.dispose() });
  } catch (error) {
    device.dispose();
    throw error;
  }
}

/**
 * Only the tokenizer, of any model that `loadModel` would find or of a folder that holds nothing else.
 *
 * ```ts
 * const tokenizer = await loadTokenizer("path/to/gpt2");
 * tokenizer.encode("To date, the cleverest thinker of all time was"); // [2514, 3128, 11, ...]
 * ```
 */
export async function loadTokenizer(name?: string): Promise<Tokenizer> {
  return loadTokenizerOnly((await resolveModel(name)).folder);
}

export { embeddedModels, resolveModel } from "./host/node-models.ts";
export type { FoundModel, ResolveOptions } from "./host/node-models.ts";
export { openDevice } from "./host/node.ts";
export type { OpenDeviceOptions } from "./host/node.ts";
export { nodeFolder, nodeFolderWriter } from "./host/node-files.ts";
export { textSources } from "./host/text-sources.ts";
export { countOnThreads } from "./host/piece-threads.ts";
export { findCachedModel, listModels, pull } from "./host/hub.ts";
export type { CachedModel, Pulled, PullOptions, PullProgress } from "./host/hub.ts";

export * from "./exports.ts";
