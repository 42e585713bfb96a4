/**
 * The models of this machine: names looked up by host/, files opened by engine/load.ts, downloads by host/hub.ts.
 * What commands need of it is models.ts.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Folder } from "../base/bytes.ts";
import { nearest, quoted, VitrineError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { elements } from "../base/shape.ts";
import type { LocalEngine } from "../engine/local.ts";
import { requireConfig } from "../formats/hf-folder.ts";
import { openModel } from "../formats/open-model.ts";
import { isAdapterFolder, readAdapterConfig } from "../formats/peft.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { embeddedModels, nearbyModels, resolveModel } from "../host/node-models.ts";
import type { FoundModel } from "../host/node-models.ts";
import { readConfig } from "../model/config-file.ts";
import type { ModelConfig } from "../model/config.ts";
import { familyOf } from "../model/families.ts";
import { presetConfig, presetNames } from "../model/presets.ts";
import { tally } from "../model/tally.ts";
import type { ListedModel, Models } from "./models.ts";

export const hostModels: Models = {
  open: async ({ model, device: deviceName, threads, weights, onProgress, onNote, onDeviceNote, signal }) => {
    const [{ loadEngine }, { openDevice }] = await Promise.all([import("../engine/load.ts"), import("../host/node.ts")]);
    const found = await resolveModel(model);
    const adapter = isAdapterFolder(await found.folder.list()) ? found.folder : undefined;
    const { folder } = adapter ? await baseOf(adapter) : found;
    const device = await openDevice({ device: deviceName, threads, onNote: onDeviceNote });
    try {
      const onDispose = (): void => device.dispose();
      const engine = await loadEngine(folder, device, { name: found.name, weights, onProgress, onNote, signal, onDispose });
      return adapter ? await withAdapters(engine, adapter) : engine;
    } catch (error) {
      device.dispose();
      throw error;
    }
  },

  openTokenizer: async (model) => {
    const { loadTokenizerOnly } = await import("../engine/load.ts");
    const { name, folder } = await resolveModel(model);
    return { name, tokenizer: await loadTokenizerOnly(folder) };
  },

  tally: async (model, rule, changes) => {
    const isChanged = Object.keys(changes).length > 0;
    if (model === undefined && isChanged)
      return { tally: tally(presetConfig("gpt2", changes), rule, "gpt2 with other dimensions"), stored: undefined };
    if (model !== undefined && presetNames.includes(model)) {
      return { tally: tally(presetConfig(model, changes), rule, isChanged ? `${model} with other dimensions` : model), stored: undefined };
    }
    if (isChanged)
      throw new VitrineError(
        `other dimensions were asked for, but ${quoted(model!)} is no preset; leave the model out, or name one of ${presetNames.join(", ")}`,
      );
    const { name, folder } = await resolveModel(model).catch((error: unknown) => Promise.reject(withPreset(error, model)));
    const files = await openModel(folder);
    const config = readConfig(requireConfig(files), `${folder.name}/config.json`);
    return { tally: tally(config, rule, name), stored: await storedIn(await files.openWeights(), config) };
  },

  list: async (env) => {
    const { listModels, hubCacheDir } = await import("../host/hub.ts");
    const embedded = await Promise.all((await embeddedModels()).map((found) => listed(found, "embedded")));
    const cached = (await listModels({ cacheDir: hubCacheDir(env), check: runnable })).map(
      ({ id, revision, folder, bytes, modelType, loadable, why }): ListedModel => ({
        name: revision.split(", ").includes("main") ? id : `${id}@${revision.split(", ")[0]}`,
        source: "cache",
        folder,
        bytes,
        architecture: modelType,
        loadable,
        why,
      }),
    );
    const nearby = await Promise.all((await nearbyModels()).map((found) => listed(found, "nearby")));
    return [...embedded, ...nearby, ...cached];
  },

  fetch: async (id, { onProgress, onNote, signal, env }) => {
    const { pull } = await import("../host/hub.ts");
    const pulled = await pull(id, { onProgress, onNote, signal, env });
    const fetched = pulled.files.filter((file) => file.from === "network").length;
    return { id: pulled.id, folder: pulled.folder, commit: pulled.commit, bytes: pulled.bytes, files: { fetched, total: pulled.files.length } };
  },
};

/** The model that an adapter was made for. */
async function baseOf(adapter: Folder): Promise<FoundModel> {
  const { base } = await readAdapterConfig(adapter);
  const cure = `name the model yourself: vitrine merge MODEL ${adapter.name} --out DIR`;
  if (base === undefined) throw new VitrineError(`${adapter.name}: an adapter that does not say which model it changes; ${cure}`);
  return resolveModel(base).catch((error: unknown) => {
    throw new VitrineError(`${adapter.name}: an adapter of ${quoted(base)}, which is not here (${(error as Error).message}); ${cure}`, {
      cause: error,
    });
  });
}

/** The engine with a LoRA adapter beside its weights. */
async function withAdapters(engine: LocalEngine, folder: Folder): Promise<LocalEngine> {
  const { loadAdapters } = await import("../engine/adapters.ts");
  const adapters = await loadAdapters(engine.model, folder);
  return { ...engine, dispose: () => (adapters.detach(), engine.dispose()) };
}

/** A misspelt preset looks like an unknown model: name the preset it may have meant. */
function withPreset(error: unknown, model: string | undefined): unknown {
  const meant = model === undefined ? undefined : nearest(model, presetNames);
  if (!(error instanceof VitrineError) || meant === undefined) return error;
  return new VitrineError(`no preset and no model is called ${quoted(model!)}; did you mean ${meant}? Presets are ${presetNames.join(", ")}`);
}

/** How many numbers the checkpoint's files hold, saved attention masks and a second copy of a tied head left out. */
async function storedIn(weights: TensorSource, config: ModelConfig): Promise<number> {
  try {
    const family = familyOf(config);
    const names = new Set(family.parameters(config).map(({ name }) => name));
    const counted = [...weights.tensors.values()].filter(
      ({ name }) => names.has(name) || names.has(family.prefix + name) || !family.ignored.test(name),
    );
    return counted.reduce((sum, { shape }) => sum + elements(shape), 0);
  } finally {
    await weights.close();
  }
}

async function listed({ name, path, folder }: FoundModel, source: ListedModel["source"]): Promise<ListedModel> {
  const { architecture, why } = await examine(folder);
  return { name, source, folder: path, bytes: await bytesIn(path), architecture, loadable: why === undefined, why: why ?? "" };
}

/** What a folder says it is, and why it cannot be run if it cannot. */
async function examine(folder: Folder): Promise<{ architecture: string | undefined; why: string | undefined }> {
  try {
    const files = await openModel(folder);
    const config = requireConfig(files);
    const modelType = typeof config.model_type === "string" ? config.model_type : undefined;
    const why = runnable(config);
    if (why === undefined) await (await files.openWeights()).close();
    return { architecture: modelType, why };
  } catch (error) {
    return { architecture: undefined, why: (error as Error).message };
  }
}

/** undefined, or why a model with this config.json cannot be run. */
function runnable(config: JsonObject): string | undefined {
  try {
    readConfig(config);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function bytesIn(folder: string): Promise<number> {
  const files = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
