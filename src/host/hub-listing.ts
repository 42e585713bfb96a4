/**
 * What a hub says a repository holds, and which of its files Vitrine needs.
 *
 * Protocol (docs of the Hub API; huggingface_hub 2.0.0): `GET /api/models/ORG/NAME/revision/REV?blobs=true` gives the commit and,
 * for every file, its size and git blob hash, or its size and sha256 where it lies in LFS. Hubs that leave these out are asked
 * file by file: `HEAD /ORG/NAME/resolve/COMMIT/FILE` answers with X-Linked-Size, X-Linked-Etag, or Content-Length and ETag.
 */
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { describe, isJsonObject, parseJsonObject } from "../base/json.ts";
import { ask, type HubClient, persist } from "./hub-http.ts";
import { checkFilePath, isCommit } from "./hub-id.ts";

export interface Checksum {
  /** "git" is the SHA-1 of `blob SIZE\0` and the bytes. */
  readonly kind: "sha256" | "git";
  readonly hex: string;
}

export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** The name of its blob in the cache. */
  readonly etag: string;
  /** Undefined where the ETag is no hash: then only the size can be checked. */
  readonly checksum: Checksum | undefined;
}

export interface Listing {
  readonly commit: string;
  /** By path; undefined where the hub did not tell enough. */
  readonly files: ReadonlyMap<string, RemoteFile | undefined>;
}

const LISTING_LIMIT = 64 * 1024 * 1024; // bytes; a listing of 100,000 files is 20 MB

/** Asks for the files of one revision. Throws VitrineError, also for an answer that is not a listing or lists a dangerous name. */
export async function listFiles(client: HubClient): Promise<Listing> {
  const name = `${client.task}: the list of files`;
  const url = `${client.endpoint}/api/models/${client.repo}/revision/${encodeURIComponent(client.revision)}?blobs=true`;
  const text = await persist(client, async () => (await ask(client, { method: "GET", url, what: "the list of files" })).text(LISTING_LIMIT), 3);
  if (/^\s*</.test(text)) {
    throw new VitrineError(`${name}: ${client.endpoint} answers with a web page, not with JSON; is HF_ENDPOINT the address of a hub?`, {
      blame: "work",
    });
  }
  const listing = parseJsonObject(name, text);
  const { sha, siblings } = listing;
  if (typeof sha !== "string" || !isCommit(sha))
    throw new FormatError(`${name}: "sha" is ${describe(sha)}, expected a commit of 40 hex digits; is HF_ENDPOINT a hub?`);
  if (isCommit(client.revision) && sha !== client.revision)
    throw new FormatError(`${name}: is of commit ${sha}, not of the one asked for, ${client.revision}`);
  if (!Array.isArray(siblings))
    throw new FormatError(`${name}: "siblings" is ${describe(siblings)}, expected an array of files; is HF_ENDPOINT a hub?`);

  const files = new Map<string, RemoteFile | undefined>();
  for (const sibling of siblings) {
    const path: unknown = isJsonObject(sibling) ? sibling.rfilename : undefined;
    if (!isJsonObject(sibling) || typeof path !== "string") throw new FormatError(`${name}: an entry without "rfilename"; is HF_ENDPOINT a hub?`);
    checkFilePath(path, name);
    const lfs = isJsonObject(sibling.lfs) ? sibling.lfs : undefined;
    files.set(path, remoteFile(path, lfs?.size ?? sibling.size, lfs ? (lfs.sha256 ?? lfs.oid) : sibling.blobId));
  }
  return { commit: sha, files };
}

/** Asks about one file. Throws VitrineError when there is none or the hub does not say enough to check the download. */
export async function describeFile(client: HubClient, commit: string, path: string): Promise<RemoteFile> {
  const answer = await persist(client, () => ask(client, { method: "HEAD", url: fileUrl(client, commit, path), what: path }));
  await answer.close();
  const redirected = answer.status >= 300;
  const size = answer.hubHeader("x-linked-size") ?? (redirected ? null : answer.headers.get("content-length"));
  const etag = (answer.hubHeader("x-linked-etag") ?? answer.hubHeader("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  const file = remoteFile(path, size !== null && /^\d+$/.test(size) ? Number(size) : undefined, etag);
  if (file) return file;
  throw new FormatError(
    `${client.task}: ${path}: the hub names size ${quoted(size ?? "none")} and ETag ${quoted(etag)}; expected a number and a hash, to check what arrives`,
  );
}

/** Where a file of a commit is downloaded from. */
export function fileUrl(client: HubClient, commit: string, path: string): string {
  return `${client.endpoint}/${client.repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Undefined unless the size is a size and the ETag can name a file. */
function remoteFile(path: string, size: unknown, etag: unknown): RemoteFile | undefined {
  if (!Number.isSafeInteger(size) || (size as number) < 0) return undefined;
  if (typeof etag !== "string" || !/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(etag)) return undefined;
  const kind = /^[0-9a-f]{64}$/.test(etag) ? "sha256" : /^[0-9a-f]{40}$/.test(etag) ? "git" : undefined;
  return { path, size: size as number, etag, checksum: kind && { kind, hex: etag } };
}

/** All but the weights, of which some exist in every model folder. */
const COMPANIONS =
  /^(config\.json|generation_config\.json|tokenizer[^/]*\.json|vocab\.json|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template\.jinja)$/;
const WEIGHTS = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";

/**
 * The files to fetch, small ones first; the shards behind an index are not known yet. `wanted` replaces the choice.
 * Throws VitrineError for a repository that Vitrine cannot open, naming what it holds instead.
 */
export function chooseFiles(client: HubClient, listing: Listing, wanted: readonly string[] | undefined): string[] {
  const names = [...listing.files.keys()];
  if (wanted) {
    const missing = wanted.filter((file) => !listing.files.has(file));
    if (missing.length === 0) return [...wanted];
    throw new VitrineError(`${client.task}: has no file ${missing.map(quoted).join(", ")}; it holds ${some(names)}`);
  }
  if (!listing.files.has("config.json"))
    throw new VitrineError(`${client.task}: no config.json, so this is not a model folder; it holds ${some(names)}`);
  const weights = [WEIGHTS, WEIGHTS_INDEX].find((file) => listing.files.has(file));
  if (!weights) {
    throw new VitrineError(
      `${client.task}: no ${WEIGHTS} (or its sharded index), the one format of weights that is read; it holds ${some(names)}. Is there a converted copy?`,
    );
  }
  return [...names.filter((file) => COMPANIONS.test(file)).sort(), weights];
}

/** The shards that a `model.safetensors.index.json` names. Throws FormatError when it is malformed or names files that are not there. */
export function shardsOf(indexName: string, text: string, exists: (file: string) => boolean): string[] {
  const map = parseJsonObject(indexName, text).weight_map;
  if (!isJsonObject(map)) throw new FormatError(`${indexName}: "weight_map" is ${describe(map)}, expected an object of tensor names and files`);
  const shards = new Set<string>();
  for (const shard of Object.values(map)) {
    if (typeof shard !== "string") throw new FormatError(`${indexName}: "weight_map" holds ${describe(shard)}, expected file names`);
    checkFilePath(shard, indexName);
    if (!exists(shard)) throw new FormatError(`${indexName}: names the file ${quoted(shard)}, which is not there; is the model complete?`);
    shards.add(shard);
  }
  return [...shards].sort();
}

function some(names: readonly string[]): string {
  if (names.length === 0) return "no files at all";
  return names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "");
}
