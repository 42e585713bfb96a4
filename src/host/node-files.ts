/**
 * Folders and files of the machine, for Node: positional reads of just the bytes asked for, and writes that appear whole or not at all.
 * browser-files.ts is its sister in a page; where caches lie and how models are downloaded is host/'s other files' business.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ByteSource, checkRange, type Folder, type FolderWriter, isFileName } from "../base/bytes.ts";
import { type Blame, FormatError, internal, quoted, VitrineError } from "../base/errors.ts";
import { makeFolder } from "./make-folder.ts";

/** The folder at `path`. Nothing is touched until it is listed or a file is opened; then a missing folder is a VitrineError. */
export function nodeFolder(path: string): Folder {
  return {
    name: path,
    list: async () => {
      try {
        const entries = await readdir(path, { withFileTypes: true });
        const files: string[] = [];
        for (const entry of entries) {
          // Links count by what they point at: a hub cache is made of them.
          if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(join(path, entry.name))))) files.push(entry.name);
        }
        return files;
      } catch (cause) {
        throw readingFailed(path, cause);
      }
    },
    open: async (file) => {
      if (!isFileName(file)) throw new VitrineError(`${path}: ${quoted(file)} is not the name of a file in this folder`);
      return openFile(join(path, file));
    },
  };
}

/**
 * Opens one file for reading; undefined when there is none, or no regular file, under this path.
 * The handle stays open until `close`.
 */
export async function openFile(path: string): Promise<ByteSource | undefined> {
  try {
    if (!(await isFile(path))) return undefined; // asked first: opening a pipe would wait for a writer
    const handle = await open(path, "r");
    try {
      return fileSource(path, handle, (await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (cause) {
    throw readingFailed(path, cause);
  }
}

function fileSource(path: string, handle: FileHandle, size: number): ByteSource {
  let closed = false;
  return {
    name: path,
    size,
    read: async (start, end, into) => {
      checkRange(path, size, start, end);
      if (closed) throw internal(`${path}: read after close`);
      const bytes = into === undefined ? new Uint8Array(end - start) : into.subarray(0, end - start);
      for (let at = 0; at < bytes.length;) {
        const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at).catch((cause: unknown) => {
          throw readingFailed(path, cause);
        });
        if (bytesRead === 0)
          throw new FormatError(`${path}: became shorter while it was read (${start + at} of ${size} bytes are there); fetch it again`);
        at += bytesRead;
      }
      return bytes;
    },
    close: async () => {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return false; // a link to nowhere too
    throw error;
  }
}

/**
 * Writes files into the folder at `path`, which is made when it is missing. Each file is written under a temporary name beside its place,
 * synced, renamed, and the folder synced: after a crash the old file or the new one is there. When writing fails the temporary file
 * is removed and the old file stands. Throws VitrineError with blame "work" for a full or read-only disk and missing permission;
 * what the chunks throw is passed on.
 */
export function nodeFolderWriter(path: string): FolderWriter {
  return {
    name: path,
    write: async (file, chunks) => {
      if (!isFileName(file)) throw new VitrineError(`${path}: ${quoted(file)} is not a file name; give one without folders`);
      const target = join(path, file);
      const temporary = join(path, `.${file.slice(0, 180)}.${randomUUID()}.tmp`);
      const doing = async <T>(work: Promise<T>): Promise<T> => {
        try {
          return await work;
        } catch (cause) {
          throw writingFailed(target, cause);
        }
      };
      await doing(makeFolder(path));
      const handle = await doing(open(temporary, "wx"));
      try {
        try {
          for await (const chunk of chunks) await doing(writeAll(handle, chunk));
          await doing(handle.sync());
        } finally {
          await doing(handle.close()); // network disks may only now say that they are full
        }
        await doing(rename(temporary, target));
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {}); // the first error is the one to tell
        throw error;
      }
      await syncFolder(path);
    },
  };
}

const temporaryName = /^\..+\.[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\.tmp$/;
const abandonedAfter = 10 * 60_000;

/** Removes what a crash in the middle of a write left in the folder: temporary files that nobody has written to for ten minutes. */
export async function removeLeftovers(path: string): Promise<void> {
  for (const file of await readdir(path).catch(() => [])) {
    if (!temporaryName.test(file)) continue;
    const found = await stat(join(path, file)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > abandonedAfter) await rm(join(path, file), { force: true }).catch(() => {}); // only room is lost
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at, chunk.length - at)).bytesWritten;
}

/** Makes a rename survive a power cut. Some systems cannot sync a folder; there the rename is as safe as it gets. */
async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // Windows, some network file systems
  }
}

const readingProblems: Readonly<Record<string, { blame: Blame; problem: string }>> = {
  ENOENT: { blame: "request", problem: "no such folder; check the path" },
  ENOTDIR: { blame: "request", problem: "a file, expected a folder; give the folder it lies in" },
  EACCES: { blame: "request", problem: "no permission to read; change it with chmod or choose another place" },
  EPERM: { blame: "request", problem: "no permission to read; change it with chmod or choose another place" },
  ELOOP: { blame: "request", problem: "links that go round in a circle; correct them" },
  EMFILE: { blame: "work", problem: "too many files are open; close some programs or raise ulimit -n" },
  EIO: { blame: "work", problem: "the disk cannot be read here (input/output error); check the disk or fetch the file again" },
};

const writingProblems: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space or choose another place",
  EDQUOT: "the disk is full for this user (quota); free some space or choose another place",
  EFBIG: "the file is too large for this disk; choose another place",
  EACCES: "no permission to write there; change it with chmod or choose another place",
  EPERM: "no permission to write there; change it with chmod or choose another place",
  EROFS: "the disk is read-only; choose another place",
  EISDIR: "a folder of this name is in the way; move it or choose another place",
  ENOTDIR: "a file is in the way of a folder of this path; move it or choose another place",
  EEXIST: "a file is in the way of a folder of this path; move it or choose another place",
  ENOENT: "its folder is gone or cannot hold files; make it again or choose another place",
  ENAMETOOLONG: "the name is too long for this disk; choose a shorter one",
  EIO: "the disk reports an input/output error; check the disk or choose another place",
};

/** A VitrineError for what the system reports; anything else as it came. */
function readingFailed(path: string, cause: unknown): unknown {
  const code = systemCode(cause);
  if (code === undefined) return cause;
  const { blame, problem } = readingProblems[code] ?? { blame: "work", problem: `cannot be read, the system says ${code}; choose another place` };
  return new VitrineError(`${path}: ${problem}`, { blame, cause });
}

/** A VitrineError for what the system said when `path` was to be written; anything else as it came. */
export function writingFailed(path: string, cause: unknown): unknown {
  const code = systemCode(cause);
  if (code === undefined) return cause;
  const problem = writingProblems[code] ?? `the system says ${code}; choose another place`;
  return new VitrineError(`${path}: not written, ${problem}`, { blame: "work", cause });
}

/** ENOSPC and its like. Node's own ERR_... codes are left out: those would be bugs of ours. */
function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
