/**
 * Vitrine as a library, in a page or a worker: the same names as index.ts, with models from an address or from chosen files.
 * What needs a machine's files (hub cache, embedded names) is missing here.
 */
import { loadEngine, loadTokenizerOnly } from "./engine/load.ts";
import type { LocalEngine } from "./engine/local.ts";
import type { MatrixFormat } from "./device/device.ts";
import { folderOf, openDevice } from "./host/browser.ts";
import type { ModelFiles, OpenDeviceOptions } from "./host/browser.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

// Load

export interface LoadModelOptions extends OpenDeviceOptions {
  /** What to call the model. Default: the last part of its address. */
  readonly name?: string;
  /** Weights loaded so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** One line for people about something odd but harmless, in the files or in a prompt. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
  /** How matrices keep their numbers. Default "f32"; "f16", "int8" and "int4" take a half, a quarter and an eighth of the memory. */
  readonly weights?: MatrixFormat;
}

/**
 * Opens a model from the address of a Hugging Face folder, or from its files as a visitor chose or dropped them.
 * Best called in a worker, so that the page stays free; threads need a cross-origin isolated page (headers COOP and COEP).
 * Call `dispose()` when done. Throws VitrineError, whose message names the cure.
 *
 * ```ts
 * const model = await loadModel("https://example.org/models/stories260K/");
 * for await (const step of model.generate("Once upon a time", { seed: 1 })) page.append(step.text);
 * ```
 */
export async function loadModel(files: ModelFiles, options: LoadModelOptions = {}): Promise<LocalEngine> {
  const { folder, name } = folderOf(files);
  const device = await openDevice(options);
  try {
    return await loadEngine(folder, device, { ...options, name: options.name ?? name, onDispose: () => device.dispose() });
  } catch (error) {
    device.dispose();
    throw error;
  }
}

/** Only the tokenizer of such a folder, be there a model in it or not. */
export async function loadTokenizer(files: ModelFiles): Promise<Tokenizer> {
  return loadTokenizerOnly(folderOf(files).folder);
}

export { openDevice } from "./host/browser.ts";
export type { ModelFiles, OpenDeviceOptions } from "./host/browser.ts";
export { blobFolder, urlFolder } from "./host/browser-files.ts";

export * from "./exports.ts";
