/**
 * The hub cache on disk, in the layout Python's huggingface_hub shares (huggingface.co/docs/hub/local-cache):
 *
 *     models--ORG--NAME/blobs/ETAG                      the bytes, named by hash
 *     models--ORG--NAME/snapshots/COMMIT/FILE           relative symlinks into blobs (or the bytes, where symlinks fail)
 *     models--ORG--NAME/refs/main                       the commit, without a newline
 *
 * Beside them, ours alone: `blobs/ETAG.vitrine.incomplete` for a download under way, guarded by `.locks/models--ORG--NAME/ETAG.vitrine.lock`.
 * Python's own `.lock` files are flock'ed, which Node cannot do, hence names of our own. Reading the cache is hub-models.ts.
 */
import { randomUUID } from "node:crypto";
import { copyFile, readFile, readlink, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { VitrineError } from "../base/errors.ts";
import { isCommit } from "./hub-id.ts";
import { makeFolder } from "./make-folder.ts";

/** A repository's folder in the cache. */
export function repoFolder(cacheDir: string, repo: string): string {
  return join(cacheDir, `models--${repo.replace("/", "--")}`);
}

/** The folder that shows the files of one commit. */
export function snapshotFolder(cacheDir: string, repo: string, commit: string): string {
  return join(repoFolder(cacheDir, repo), "snapshots", commit);
}

/** Where the bytes with this hash lie. */
export function blobPath(cacheDir: string, repo: string, etag: string): string {
  return join(repoFolder(cacheDir, repo), "blobs", etag);
}

/** Where a download under way lies. */
export function partPath(cacheDir: string, repo: string, etag: string): string {
  return `${blobPath(cacheDir, repo, etag)}.vitrine.incomplete`;
}

/** The lock that guards a download under way. */
export function lockPath(cacheDir: string, repo: string, etag: string): string {
  return join(cacheDir, ".locks", `models--${repo.replace("/", "--")}`, `${etag}.vitrine.lock`);
}

/** Bytes of a file, through symlinks; undefined when nothing (or a folder, or a broken link) is there. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch {
    return undefined;
  }
}

/** The commit a branch or tag stood at when it was last pulled; a full commit stands for itself. */
export async function readRef(cacheDir: string, repo: string, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  try {
    const commit = (await readFile(join(repoFolder(cacheDir, repo), "refs", revision), "utf8")).trim();
    return isCommit(commit) ? commit : undefined;
  } catch {
    return undefined;
  }
}

/** Notes where `revision` stands, whole or not at all. Nothing to note for a commit. */
export async function writeRef(cacheDir: string, repo: string, revision: string, commit: string): Promise<void> {
  if (isCommit(revision) || (await readRef(cacheDir, repo, revision)) === commit) return;
  const path = join(repoFolder(cacheDir, repo), "refs", revision);
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  await onDisk(path, async () => {
    await makeFolder(dirname(path));
    await writeFile(temporary, commit);
    await rename(temporary, path);
  });
}

/** Shows a blob under its file name in a snapshot. Where symlinks fail a `fresh` blob moves there, as Python does it, another is copied. */
export async function linkFile(blob: string, pointer: string, fresh: boolean): Promise<void> {
  const target = relative(dirname(pointer), blob);
  await onDisk(pointer, async () => {
    await makeFolder(dirname(pointer));
    try {
      await makeSymlink(target, pointer);
      return;
    } catch (error) {
      if (!["EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "UNKNOWN"].includes(codeOf(error))) throw error;
    }
    if (fresh) return rename(blob, pointer);
    const temporary = `${pointer}.${randomUUID().slice(0, 8)}.incomplete`;
    await copyFile(blob, temporary);
    await rename(temporary, pointer);
  });
}

async function makeSymlink(target: string, pointer: string): Promise<void> {
  try {
    await symlink(target, pointer);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    // Another pull was quicker, or this is a broken link or a file of the wrong size, which hub.ts has looked at.
    if ((await readlink(pointer).catch(() => undefined)) === target) return;
    await rm(pointer, { force: true });
    await symlink(target, pointer);
  }
}

/** Free bytes on the disk of `folder`, which need not exist yet; undefined where the system does not say. */
export async function freeSpace(folder: string): Promise<number | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { blocks, bavail, bsize } = await statfs(at);
      return blocks > 0 ? bavail * bsize : undefined;
    } catch {
      if (dirname(at) === at) return undefined;
    }
  }
}

/** Runs work on the file system; what it refuses becomes a VitrineError (blame "work") that names `path` and the cure. */
export async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskTrouble(path, error);
  }
}

/** A refusal of the file system as a VitrineError that names `path` and the cure; any other error as it came. */
export function diskTrouble(path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === "") return error;
  const problem: Record<string, string> = {
    ENOSPC: "the disk is full; free some space and run the same command again, it goes on where it stopped",
    EDQUOT: "your quota of the disk is used up; free some space and run the same command again, it goes on where it stopped",
    EACCES: "no permission to write here; set HF_HOME (or HF_HUB_CACHE) to a folder of yours",
    EPERM: "no permission to write here; set HF_HOME (or HF_HUB_CACHE) to a folder of yours",
    EROFS: "this disk can only be read; set HF_HOME (or HF_HUB_CACHE) to a folder of yours",
    ENOENT: "this folder cannot be made; set HF_HOME (or HF_HUB_CACHE) to a folder of yours",
    ENOTDIR: "a file stands where a folder is needed; set HF_HOME (or HF_HUB_CACHE) to a folder",
    EEXIST: "a file stands where a folder is needed; set HF_HOME (or HF_HUB_CACHE) to a folder",
    EISDIR: "a folder stands where a file is needed; move it away",
    ENAMETOOLONG: "the path is too long for this system; set HF_HOME to a shorter one",
    EMFILE: "too many files are open; raise the limit (ulimit -n)",
  };
  return new VitrineError(`cannot write ${path}: ${problem[code] ?? `the system refuses (${code})`}`, { blame: "work", cause: error });
}

/** The system's name of a failure, "" for errors of another kind. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && !(error instanceof VitrineError) ? (error as NodeJS.ErrnoException) : undefined;
  return code?.syscall !== undefined && typeof code.code === "string" ? code.code : "";
}
