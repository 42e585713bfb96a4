/**
 * What lies in the hub cache, read without network: for `vitrine models` and for `--model ORG/NAME`.
 * Snapshots that Python's huggingface_hub wrote count like ours; writing is hub-cache.ts.
 */
import type { Dirent } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { VitrineError } from "../base/errors.ts";
import { describe, type JsonObject, parseJsonObject } from "../base/json.ts";
import { codeOf, readRef, repoFolder, sizeOf, snapshotFolder } from "./hub-cache.ts";
import { isCommit, type ModelId, parseModelId } from "./hub-id.ts";
import { shardsOf, WEIGHTS_INDEX } from "./hub-listing.ts";
import { hubCacheDir } from "./hub-settings.ts";

export interface CachedModel {
  /** "ORG/NAME". */
  readonly id: string;
  /** The branches and tags that stand at this commit ("main" first), or the commit where none does. */
  readonly revision: string;
  readonly commit: string;
  readonly folder: string;
  /** Of all files of this snapshot. */
  readonly bytes: number;
  /** config.json's model_type. */
  readonly modelType?: string;
  readonly loadable: boolean;
  /** Why it is not loadable; "" when it is. */
  readonly why: string;
}

export interface ListOptions {
  /** Default: as `pull`. */
  readonly cacheDir?: string;
  /** The engine's word on a config.json: undefined when it can run such a model, else the reason. */
  readonly check?: (config: JsonObject) => string | undefined;
}

/** Every model snapshot of the cache, by id and commit; damaged and unfinished ones too, with the reason. Throws VitrineError when the cache is no folder. */
export async function listModels(options: ListOptions = {}): Promise<CachedModel[]> {
  const cacheDir = options.cacheDir ?? hubCacheDir();
  const models: CachedModel[] = [];
  for (const entry of await entries(cacheDir, true)) {
    const repo = entry.isDirectory() ? repoOf(entry.name) : undefined;
    if (repo === undefined) continue;
    const refs = await refsOf(join(repoFolder(cacheDir, repo), "refs"));
    for (const { name: commit } of (await entries(join(repoFolder(cacheDir, repo), "snapshots"))).filter((found) => isCommit(found.name))) {
      const folder = snapshotFolder(cacheDir, repo, commit);
      const { modelType, why } = await examine(folder, options.check);
      const bytes = await bytesIn(folder);
      const names = refs.filter((ref) => ref.commit === commit).map((ref) => ref.name);
      models.push({
        id: repo,
        revision: names.join(", ") || commit,
        commit,
        folder,
        bytes,
        ...(modelType !== undefined && { modelType }),
        loadable: why === "",
        why,
      });
    }
  }
  return models.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : a.commit < b.commit ? -1 : 1));
}

/**
 * The folder of a pulled model with its config and all its weights, or of one in GGUF files, or undefined. Without a revision: where
 * "main" stood when it was pulled. A commit may be shortened to 7 digits where only one begins so.
 */
export async function findCachedModel(id: string | ModelId, options: { readonly cacheDir?: string } = {}): Promise<string | undefined> {
  const { repo, revision } = parseModelId(typeof id === "string" ? id : `${id.repo}@${id.revision}`);
  const cacheDir = options.cacheDir ?? hubCacheDir();
  let commit = await readRef(cacheDir, repo, revision);
  if (commit === undefined && /^[0-9a-f]{7,39}$/.test(revision)) {
    const matches = (await entries(join(repoFolder(cacheDir, repo), "snapshots"))).filter(
      (found) => isCommit(found.name) && found.name.startsWith(revision),
    );
    if (matches.length === 1) commit = matches[0].name;
  }
  if (commit === undefined) return undefined;
  const folder = snapshotFolder(cacheDir, repo, commit);
  const hasConfig = (await sizeOf(join(folder, "config.json"))) !== undefined;
  const whole = hasConfig ? (await weightsProblem(folder)) === undefined : (await ggufFiles(folder)).length > 0;
  return whole ? folder : undefined;
}

/** "models--ORG--NAME" back to "ORG/NAME"; undefined for other folders. */
function repoOf(folder: string): string | undefined {
  if (!folder.startsWith("models--")) return undefined;
  const repo = folder.slice("models--".length).replace("--", "/");
  try {
    return parseModelId(repo).repo;
  } catch {
    return undefined; // not a name that a hub gives
  }
}

/** `top`: the folder must be readable where it exists. */
async function entries(folder: string, top = false): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const code = codeOf(error);
    if (!top || code === "ENOENT") return [];
    const problem = code === "ENOTDIR" ? "a file stands where a folder is needed" : `the system refuses (${code})`;
    throw new VitrineError(`cannot read the cache ${folder}: ${problem}; check HF_HOME and HF_HUB_CACHE`, { blame: "work", cause: error });
  }
}

/** All refs below `refs/`, "main" first. A name may have slashes (`refs/pr/1`). */
async function refsOf(folder: string, prefix = ""): Promise<{ name: string; commit: string }[]> {
  const refs: { name: string; commit: string }[] = [];
  for (const entry of await entries(join(folder, prefix))) {
    const name = `${prefix}${entry.name}`;
    if (entry.isDirectory()) refs.push(...(await refsOf(folder, `${name}/`)));
    else refs.push({ name, commit: (await readFile(join(folder, name), "utf8").catch(() => "")).trim() });
  }
  return refs.sort((a, b) => Number(b.name === "main") - Number(a.name === "main") || (a.name < b.name ? -1 : 1));
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await entries(folder)) {
    const path = join(folder, entry.name);
    bytes += entry.isDirectory() ? await bytesIn(path) : ((await sizeOf(path)) ?? 0);
  }
  return bytes;
}

/** What a snapshot says it is, and why it cannot be run; "" when it can. */
interface Finding {
  readonly modelType: string | undefined;
  readonly why: string;
}

async function examine(folder: string, check: ListOptions["check"]): Promise<Finding> {
  let config: JsonObject;
  try {
    const path = join(folder, "config.json");
    if ((await sizeOf(path)) === undefined) {
      if (await isLinked(path)) return { modelType: undefined, why: "config.json is a broken link; pull it again" };
      const ggufs = await ggufFiles(folder);
      if (ggufs.length === 1) return await examineGguf(folder, ggufs[0], check);
      return { modelType: undefined, why: ggufs.length === 0 ? "no config.json" : `${ggufs.length} GGUF files; ${ggufCure(folder, ggufs)}` };
    }
    config = parseJsonObject("config.json", await readFile(path, "utf8"));
  } catch (error) {
    return { modelType: undefined, why: error instanceof Error ? error.message : describe(error) };
  }
  const modelType = typeof config.model_type === "string" ? config.model_type : undefined;
  const why = (await weightsProblem(folder)) ?? (await tokenizerProblem(folder)) ?? check?.(config) ?? "";
  return { modelType, why };
}

/** Names of the GGUF files that are really there, sorted. */
async function ggufFiles(folder: string): Promise<string[]> {
  const names = (await entries(folder)).map((entry) => entry.name).filter((name) => /\.gguf$/i.test(name));
  const sizes = await Promise.all(names.map((name) => sizeOf(join(folder, name))));
  return names.filter((_, n) => sizes[n] !== undefined).sort();
}

/** A model in one file: its header and vocabulary are read, its numbers are not. */
async function examineGguf(folder: string, file: string, check: ListOptions["check"]): Promise<Finding> {
  const [{ openGgufFolder }, { nodeFolder }] = await Promise.all([import("../formats/gguf-folder.ts"), import("./node-files.ts")]);
  const model = await openGgufFolder(nodeFolder(folder), file);
  const config = model.config ?? {};
  const modelType = typeof config.model_type === "string" ? config.model_type : undefined;
  if ((await model.readText("tokenizer.json")) === undefined) return { modelType, why: `${file} holds no vocabulary` };
  await (await model.openWeights()).close(); // refuses tensors that have no place in such a model
  return { modelType, why: check?.(config) ?? "" };
}

function ggufCure(folder: string, files: readonly string[]): string {
  return `run ${files.length === 1 ? "it" : "one"} with --model ${join(folder, files[0])}`;
}

async function weightsProblem(folder: string): Promise<string | undefined> {
  if ((await sizeOf(join(folder, "model.safetensors"))) !== undefined) return undefined;
  if (await isLinked(join(folder, "model.safetensors"))) return "model.safetensors is a broken link; pull it again";
  const index = join(folder, WEIGHTS_INDEX);
  if ((await sizeOf(index)) === undefined) {
    const ggufs = await ggufFiles(folder);
    if (ggufs.length > 0)
      return `no model.safetensors, but ${ggufs.length === 1 ? ggufs[0] : `${ggufs.length} GGUF files`}; ${ggufCure(folder, ggufs)}`;
    const others = (await entries(folder)).map((entry) => entry.name).filter((name) => /\.(bin|h5|msgpack|pt|onnx|safetensors)$/.test(name));
    return others.length > 0 ? `no model.safetensors, only ${others.slice(0, 3).join(", ")}` : "no model.safetensors; pull it to fetch the rest";
  }
  try {
    const shards = shardsOf(WEIGHTS_INDEX, await readFile(index, "utf8"), () => true);
    for (const shard of shards) {
      if ((await sizeOf(join(folder, shard))) === undefined) return `${shard} is missing; pull it to fetch the rest`;
    }
    return shards.length === 0 ? `${WEIGHTS_INDEX} names no files` : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : describe(error);
  }
}

async function tokenizerProblem(folder: string): Promise<string | undefined> {
  const has = async (file: string): Promise<boolean> => (await sizeOf(join(folder, file))) !== undefined;
  const found = (await has("tokenizer.json")) || ((await has("vocab.json")) && (await has("merges.txt")));
  return found ? undefined : "no tokenizer.json, nor vocab.json and merges.txt; pull it to fetch the rest";
}

/** True for a link whether or not it leads anywhere. */
async function isLinked(path: string): Promise<boolean> {
  return readlink(path).then(
    () => true,
    () => false,
  );
}
