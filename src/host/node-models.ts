/**
 * Which model a name means, on a machine with files: a path, a model that came with the package, or one pulled from a hub.
 * Opening what is found is engine/load.ts; downloading is hub.ts.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Folder } from "../base/bytes.ts";
import { nearest, quoted, VitrineError } from "../base/errors.ts";
import { nodeFolder } from "./node-files.ts";

export interface FoundModel {
  /** What to call it: the folder's name, the embedded name or the hub id. */
  readonly name: string;
  readonly path: string;
  readonly folder: Folder;
}

export interface ResolveOptions {
  /** Where the package lies. Default: two folders above this file, in src/ and dist/ alike. */
  readonly root?: string;
  /** Default: the working directory. */
  readonly cwd?: string;
  /** Of the hub. Default: as `pull`. */
  readonly cacheDir?: string;
}

const packageRoot = fileURLToPath(new URL("../..", import.meta.url));

/** The embedded model that is meant when none is named, whatever others there are. */
const defaultModel = "storyteller";

/** Models that came with the package: the default, then the others by name. */
export async function embeddedModels(root: string = packageRoot): Promise<FoundModel[]> {
  const folder = join(root, "models");
  const rank = (name: string): number => (name === defaultModel ? 0 : 1);
  const names = (await readdir(folder).catch(() => [])).toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const found: FoundModel[] = [];
  for (const name of names) {
    const path = join(folder, name);
    if ((await kindOf(join(path, "config.json"))) === "file") found.push({ name, path, folder: nodeFolder(path) });
  }
  return found;
}

/** Models that lie beside a clone of the repository: the small story model. */
export async function nearbyModels(root: string = packageRoot): Promise<FoundModel[]> {
  const path = resolve(root, "../shared/data/stories260K");
  return (await kindOf(join(path, "config.json"))) === "file" ? [{ name: "stories260K", path, folder: nodeFolder(path) }] : [];
}

/**
 * The model that `name` means: the path of a folder or of a .gguf file, then an embedded name, the name of the model
 * beside the clone, then a pulled hub id (ORG/NAME[@REV]).
 * Without a name: the default embedded model or, where it is missing, the first one; else the one beside the clone.
 * Throws VitrineError when there is none, with the nearest name there is.
 */
export async function resolveModel(name?: string, options: ResolveOptions = {}): Promise<FoundModel> {
  const { root = packageRoot, cwd = process.cwd() } = options;
  const here = [...(await embeddedModels(root)), ...(await nearbyModels(root))];
  if (name === undefined) return here[0] ?? refuse(noModel);
  if (name === "") return refuse('model "": an empty name; give a folder, a .gguf file or a name that `vitrine models` lists');

  const path = resolve(cwd, name);
  const kind = await kindOf(path);
  if (kind === "folder") {
    await checkNotOutside(name, path);
    return { name: basename(path), path, folder: nodeFolder(path) };
  }
  if (kind === "file" && /\.gguf$/i.test(path)) return { name: basename(path).slice(0, -5), path, folder: singleFile(path) };
  if (kind === "file")
    throw new VitrineError(`model ${quoted(name)} is a file; give a .gguf file, or the folder it lies in, ${quoted(dirname(name))}`);

  const named = here.find((model) => model.name === name);
  if (named !== undefined) return named;

  const pulled = looksLikePath(name) ? undefined : await pulledModel(name, options.cacheDir);
  if (pulled !== undefined) return { name, path: pulled, folder: nodeFolder(pulled) };
  throw await unknown(name, path, here, options.cacheDir);
}

const noModel =
  "no model to use: name one with --model DIR (a folder with config.json, model.safetensors and tokenizer files), or fetch one with vitrine pull ORG/NAME";

function refuse(message: string): never {
  throw new VitrineError(message);
}

/** Throws VitrineError for a folder that holds models instead of being one. */
async function checkNotOutside(name: string, path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  if (entries.some((entry) => /^(config|tokenizer|vocab)\.json$|\.(gguf|safetensors)$/i.test(entry.name))) return;
  const inside: string[] = [];
  for (const entry of entries) if ((await kindOf(join(path, entry.name, "config.json"))) === "file") inside.push(join(name, entry.name));
  if (inside.length === 0) return;
  const some = inside.toSorted((a, b) => (a < b ? -1 : 1)).slice(0, 5).map(quoted).join(", "); // prettier-ignore
  const more = inside.length > 5 ? ` and ${inside.length - 5} more` : "";
  throw new VitrineError(`model ${quoted(name)} holds no model files itself, but folders that do: ${some}${more}; name one of them`);
}

async function kindOf(path: string): Promise<"folder" | "file" | "nothing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "nothing";
  }
}

function looksLikePath(name: string): boolean {
  return /^[./~\\]|^[A-Za-z]:[\\/]|\\/.test(name);
}

/** The folder of a hub id in the cache; undefined when it is not there, or the name is no hub id at all. */
async function pulledModel(name: string, cacheDir: string | undefined): Promise<string | undefined> {
  const { findCachedModel, parseModelId } = await import("./hub.ts"); // only now: starting with a path need not load it
  try {
    parseModelId(name);
  } catch {
    return undefined;
  }
  return findCachedModel(name, { cacheDir });
}

/** A file counts as a folder that holds only this file. */
function singleFile(path: string): Folder {
  const [folder, only] = [nodeFolder(dirname(path)), basename(path)];
  return { name: path, list: async () => [only], open: async (file) => (file === only ? folder.open(file) : undefined) };
}

async function unknown(name: string, path: string, here: readonly FoundModel[], cacheDir: string | undefined): Promise<VitrineError> {
  const beside = (await readdir(dirname(path), { withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  if (looksLikePath(name)) {
    const near = nearest(basename(path), beside);
    return new VitrineError(
      `model ${quoted(name)}: no such folder${near === undefined ? "; check the path" : `; did you mean ${quoted(join(dirname(name), near))}?`}`,
    );
  }
  const { listModels } = await import("./hub.ts");
  const pulled = (await listModels({ cacheDir }).catch(() => [])).filter((model) => model.loadable).map((model) => model.id);
  const near = nearest(name, [...here.map((model) => model.name), ...pulled]) ?? nearest(basename(path), beside);
  const meant = near === undefined ? "" : ` Did you mean ${quoted(near)}?`;
  const fetched = /^[\w.-]+\/[\w.-]+(@.+)?$/.test(name) ? `fetch it with vitrine pull ${name}, or ` : "";
  return new VitrineError(
    `no model is called ${quoted(name)}: there is no such folder, and \`vitrine models\` lists what is here; ${fetched}name a folder with --model DIR.${meant}`,
  );
}
