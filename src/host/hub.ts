/**
 * `vitrine pull ORG/NAME[@REV]`: a model folder from a Hugging-Face-style hub into the cache that Python's huggingface_hub shares.
 * One conversation is hub-http.ts, the listing hub-listing.ts, one file hub-download.ts, the cache hub-cache.ts and hub-models.ts.
 *
 * Why our own client and not `@huggingface/hub`: version 2.17.5 was read and run against a local server. It writes the same layout,
 * but (1) after a cut it begins at byte 0: its `.incomplete` file is truncated, no Range is sent, no try is repeated; (2) it checks
 * neither checksum nor length: wrong bytes, and 1,000 of 300,000 bytes, were both stored under the blob's final name; (3) two
 * pulls share one `.incomplete` file without a lock; (4) it reports no progress and takes no AbortSignal; (5) it reads neither
 * HF_ENDPOINT nor HF_TOKEN; (6) it prints to stdout, which is the answer's; (7) a snapshot is all files or nothing. Files in Xet
 * storage come over plain HTTP here, which the hub serves for every client.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { VitrineError } from "../base/errors.ts";
import { blobPath, freeSpace, linkFile, lockPath, onDisk, partPath, repoFolder, sizeOf, snapshotFolder, writeRef } from "./hub-cache.ts";
import { download } from "./hub-download.ts";
import type { HubClient } from "./hub-http.ts";
import { formatModelId, type ModelId, parseModelId } from "./hub-id.ts";
import { chooseFiles, describeFile, listFiles, type Listing, type RemoteFile, shardsOf, WEIGHTS_INDEX } from "./hub-listing.ts";
import { findCachedModel } from "./hub-models.ts";
import { checkEndpoint, cleanToken, type Environment, hubSettings } from "./hub-settings.ts";
import { withLock } from "./lock.ts";

export { parseModelId, type ModelId } from "./hub-id.ts";
export { findCachedModel, listModels, type CachedModel } from "./hub-models.ts";
export { hubCacheDir } from "./hub-settings.ts";

export interface PullOptions {
  /** Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string;
  /** Default: HF_TOKEN, else the file of Python's login. false asks without a name. */
  readonly token?: string | false;
  /** Default: HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  /** For example one that goes through a proxy. Must honour `redirect: "manual"` as Node's does. */
  readonly fetch?: typeof fetch;
  /** At most ten times a second, and at the begin and end of each file. */
  readonly onProgress?: (progress: PullProgress) => void;
  /** One line for people: a lost connection, a pause the hub asked for, another pull that is waited for. */
  readonly onNote?: (text: string) => void;
  /** Stops the pull; what has come is kept and the next pull goes on from there. */
  readonly signal?: AbortSignal;
  /** Exactly these files instead of those Vitrine needs. */
  readonly files?: readonly string[];
  /** Seconds without a byte after which a connection counts as lost. Default 30. */
  readonly silence?: number;
  /** Seconds before a lost connection is tried again; doubles up to 16 times that. Default 0.5. */
  readonly pause?: number;
  /** Default: process.env. */
  readonly env?: Environment;
}

export interface PullProgress {
  /** The file under way. */
  readonly file: string;
  /** Bytes of all files that are here, those of earlier pulls included. */
  readonly received: number;
  readonly total: number;
  readonly fileReceived: number;
  readonly fileTotal: number;
  /** Over the last five seconds, from the network alone. */
  readonly bytesPerSecond: number;
  /** Undefined while nothing flows. */
  readonly secondsLeft: number | undefined;
  readonly filesDone: number;
  readonly filesTotal: number;
}

export interface PulledFile {
  readonly path: string;
  readonly bytes: number;
  /** How the bytes were checked when they came. "size" where the hub gives no hash. */
  readonly checked: "sha256" | "git" | "size";
  readonly from: "network" | "cache";
}

export interface Pulled {
  readonly id: string;
  /** The snapshot: a model folder. */
  readonly folder: string;
  readonly commit: string;
  readonly bytes: number;
  readonly files: readonly PulledFile[];
}

/**
 * Downloads what Vitrine needs of a model, or only what is missing. Safe beside other pulls of the same model and after any cut.
 * `refs/` points to the new commit only when all of it is there. Throws VitrineError: blame "request" for an id, a model or a
 * permission that is not right, "work" for network and disk.
 */
export async function pull(id: string | ModelId, options: PullOptions = {}): Promise<Pulled> {
  const model = typeof id === "string" ? parseModelId(id) : parseModelId(`${id.repo}@${id.revision}`);
  const settings = await hubSettings(options.env);
  const cacheDir = options.cacheDir ?? settings.cacheDir;
  const client: HubClient = {
    task: `pull ${formatModelId(model)}`,
    ...model,
    endpoint: options.endpoint === undefined ? settings.endpoint : checkEndpoint(options.endpoint),
    token: options.token === undefined ? settings.token : cleanToken(options.token || undefined),
    fetch: options.fetch ?? fetch,
    signal: options.signal,
    note: options.onNote ?? (() => {}),
    silenceMs: (options.silence ?? 30) * 1000,
    pauseMs: (options.pause ?? 0.5) * 1000,
  };
  try {
    options.signal?.throwIfAborted();
    if (settings.offline) throw new VitrineError(`${client.task}: HF_HUB_OFFLINE is set; unset it to download`);
    return await pullModel(client, model, cacheDir, options);
  } catch (error) {
    if (options.signal?.aborted && !(error instanceof VitrineError)) {
      throw new VitrineError(`${client.task}: stopped; the same command goes on from here`, { blame: "work", cause: error });
    }
    if (!(error instanceof VitrineError) || error.blame !== "work") throw error;
    const cached = await findCachedModel(model, { cacheDir }).catch(() => undefined);
    if (!cached) throw error;
    throw new VitrineError(`${error.message}\nThe copy of an earlier pull is whole and can be used: --model ${formatModelId(model)}`, {
      blame: "work",
      cause: error.cause,
    });
  }
}

async function pullModel(client: HubClient, model: ModelId, cacheDir: string, options: PullOptions): Promise<Pulled> {
  const listing = await listFiles(client);
  const folder = snapshotFolder(cacheDir, model.repo, listing.commit);
  const place = new Place(client, listing, cacheDir);
  const chosen = await place.describe(chooseFiles(client, listing, options.files));
  if (!options.files && listing.files.has(WEIGHTS_INDEX) && chosen.at(-1)!.path === WEIGHTS_INDEX) {
    // Which shards there are stands in the index alone: it comes first, so that the totals are right from the first event on.
    const index = join(folder, WEIGHTS_INDEX);
    await place.bring(chosen.at(-1)!, () => {});
    const shards = shardsOf(`${client.task}: ${WEIGHTS_INDEX}`, await onDisk(index, () => readFile(index, "utf8")), (file) =>
      listing.files.has(file),
    );
    chosen.push(...(await place.describe(shards)));
  }
  await place.checkSpace(chosen);
  const meter = new Meter(chosen, options.onProgress ?? (() => {}));
  for (const file of chosen) {
    meter.begin(file);
    await place.bring(file, (total, fresh) => meter.arrived(total, fresh));
    meter.end();
  }
  await writeRef(cacheDir, model.repo, model.revision, listing.commit);
  const files = chosen.map((file): PulledFile => ({
    path: file.path,
    bytes: file.size,
    checked: file.checksum?.kind ?? "size",
    from: place.origin(file),
  }));
  return { id: formatModelId(model), folder, commit: listing.commit, bytes: chosen.reduce((sum, file) => sum + file.size, 0), files };
}

/** Brings the files of one commit to their place in the cache. */
class Place {
  readonly #client: HubClient;
  readonly #listing: Listing;
  readonly #cacheDir: string;
  readonly #fetched = new Set<string>();

  constructor(client: HubClient, listing: Listing, cacheDir: string) {
    this.#client = client;
    this.#listing = listing;
    this.#cacheDir = cacheDir;
  }

  async describe(paths: readonly string[]): Promise<RemoteFile[]> {
    const files: RemoteFile[] = [];
    for (const path of paths) files.push(this.#listing.files.get(path) ?? (await describeFile(this.#client, this.#listing.commit, path)));
    return files;
  }

  origin(file: RemoteFile): "network" | "cache" {
    return this.#fetched.has(file.path) ? "network" : "cache";
  }

  /** Throws VitrineError before the first byte when what is missing cannot fit. */
  async checkSpace(files: readonly RemoteFile[]): Promise<void> {
    let missing = 0;
    for (const file of files) {
      if (await this.#isHere(file)) continue;
      missing += file.size - Math.min(file.size, (await sizeOf(partPath(this.#cacheDir, this.#client.repo, file.etag))) ?? 0);
    }
    const free = await freeSpace(this.#cacheDir);
    if (free !== undefined && missing > free) {
      const [needs, has] = [missing, free].map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
      throw new VitrineError(
        `${this.#client.task}: ${needs} are still to come, but the disk of ${this.#cacheDir} has ${has} free; make room, or set HF_HOME to another disk`,
        { blame: "work" },
      );
    }
  }

  async bring(file: RemoteFile, arrived: (total: number, fresh: number) => void): Promise<void> {
    const { repo, signal } = this.#client;
    const pointer = this.#pointer(file);
    const blob = blobPath(this.#cacheDir, repo, file.etag);
    if ((await sizeOf(pointer)) !== file.size) {
      const waiting = (): void => this.#client.note(`${file.path}: another pull is fetching it, waiting in ${repoFolder(this.#cacheDir, repo)}`);
      // The lock saves double downloads; correctness does not hang on it: two writers would write the same bytes, see download().
      const lock = lockPath(this.#cacheDir, repo, file.etag);
      const fetchOnce = async (): Promise<void> => {
        if ((await sizeOf(pointer)) === file.size) return;
        const fresh = (await sizeOf(blob)) !== file.size;
        if (fresh) {
          const part = partPath(this.#cacheDir, repo, file.etag);
          await download(this.#client, { file, commit: this.#listing.commit, part, destination: blob }, arrived);
          this.#fetched.add(file.path);
        }
        await linkFile(blob, pointer, fresh);
      };
      await onDisk(lock, () => withLock(lock, { waiting, signal }, fetchOnce));
    }
    arrived(file.size, 0);
  }

  async #isHere(file: RemoteFile): Promise<boolean> {
    return (await sizeOf(this.#pointer(file))) === file.size || (await sizeOf(blobPath(this.#cacheDir, this.#client.repo, file.etag))) === file.size;
  }

  #pointer(file: RemoteFile): string {
    return join(snapshotFolder(this.#cacheDir, this.#client.repo, this.#listing.commit), file.path);
  }
}

/** Turns arriving bytes into progress events. */
class Meter {
  readonly #files: readonly RemoteFile[];
  readonly #total: number;
  readonly #report: (progress: PullProgress) => void;
  #file: RemoteFile | undefined;
  #filesDone = 0;
  #before = 0; // bytes of the files that are done
  #here = 0; // bytes of the one under way
  #reported = 0; // when, in ms
  #fresh = 0; // bytes that came from the network
  /** How many of them had come when, oldest first. */
  #samples: { at: number; fresh: number }[] = [{ at: performance.now(), fresh: 0 }];

  constructor(files: readonly RemoteFile[], report: (progress: PullProgress) => void) {
    this.#files = files;
    this.#total = files.reduce((sum, file) => sum + file.size, 0);
    this.#report = report;
  }

  begin(file: RemoteFile): void {
    this.#file = file;
    this.#here = 0;
  }

  arrived(total: number, fresh: number): void {
    const now = performance.now();
    this.#here = total;
    this.#fresh += fresh;
    if (now - this.#samples.at(-1)!.at >= 100) this.#samples.push({ at: now, fresh: this.#fresh });
    while (this.#samples.length > 2 && now - this.#samples[0].at > 5000) this.#samples.shift();
    if (fresh === 0 || now - this.#reported >= 100) this.#emit(now);
  }

  end(): void {
    this.#filesDone++;
    this.#before += this.#file!.size;
    this.#here = 0;
    this.#emit(performance.now());
  }

  #emit(now: number): void {
    this.#reported = now;
    const bytesPerSecond = ((this.#fresh - this.#samples[0].fresh) / Math.max(now - this.#samples[0].at, 1)) * 1000;
    const received = this.#before + this.#here;
    const done = this.#files[this.#filesDone - 1] === this.#file;
    this.#report({
      file: this.#file!.path,
      received,
      total: this.#total,
      fileReceived: done ? this.#file!.size : this.#here,
      fileTotal: this.#file!.size,
      bytesPerSecond,
      secondsLeft: received === this.#total ? 0 : bytesPerSecond > 0 ? (this.#total - received) / bytesPerSecond : undefined,
      filesDone: this.#filesDone,
      filesTotal: this.#files.length,
    });
  }
}
