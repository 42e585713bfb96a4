/**
 * Vitrine as a library, in Node. Everything public is named here, in the order of a reader's questions;
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
export { findCachedModel, listModels, pull } from "./host/hub.ts";
export type { CachedModel, Pulled, PullOptions, PullProgress } from "./host/hub.ts";

export { loadEngine, loadTokenizerOnly } from "./engine/load.ts";
export type { LoadEngineOptions } from "./engine/load.ts";
export { saveModel } from "./engine/save.ts";
export type { SaveOptions } from "./engine/save.ts";
export type { Engine, ModelInfo } from "./engine/engine.ts";
export type { LocalEngine } from "./engine/local.ts";
export type { ByteSource, Folder, FolderWriter } from "./base/bytes.ts";
export type { FloatType } from "./base/dtype.ts";
export type { Device, MatrixFormat } from "./device/device.ts";
export { FormatError, ShapeError, VitrineError } from "./base/errors.ts";

// Tokenize

export { characterTokenizer, characterTokenizerJson } from "./tokenizer/characters.ts";
export type { EncodeOptions, MergeStep, StreamDecoder, Token, Tokenizer } from "./tokenizer/tokenizer.ts";

// Predict, sample, generate, score

export { distributionOf, retemper } from "./generation/distribution.ts";
export type { Candidate, CompleteDistribution, Distribution } from "./generation/distribution.ts";
export { divergence } from "./generation/divergence.ts";
export { checkSampling, sampler } from "./generation/sampling.ts";
export type { Sampler, SamplingOptions } from "./generation/sampling.ts";
export type { EndReason, GenerateEnd, GenerateOptions, ScoredStep, Step } from "./generation/step.ts";
export { randomFrom } from "./base/random.ts";
export type { Random } from "./base/random.ts";

// Look inside

export { tapNames, taps } from "./model/taps.ts";
export type { TapListener, Taps } from "./model/taps.ts";
export { Tensor, tensor } from "./tensor/tensor.ts";
export { tensorScope } from "./tensor/scope.ts";
export { tally } from "./model/tally.ts";
export type { Tally, TallyRow } from "./model/tally.ts";
export { presetConfig, presetNames } from "./model/presets.ts";
export type { Dimensions } from "./model/presets.ts";
export type { ModelConfig, RotaryConfig } from "./model/config.ts";
export type { ForwardOptions, LanguageModel } from "./model/model.ts";
export type { KeyValueCache } from "./model/kv-cache.ts";
