/**
 * The texts a command is to read: files as they were named, and of folders every .txt inside, however deep, links followed.
 * What is in them is training/tokens.ts's business.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { nearest, quoted, VitrineError } from "../base/errors.ts";

/** Whole paths, in the order given and those of a folder by name; each once. Throws VitrineError for what is not there or holds no text. */
export async function textFiles(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const kind = await stat(path).catch((error: unknown) => missing(path, error));
    if (!kind.isDirectory()) {
      found.push(resolve(path));
      continue;
    }
    const inside = await textsIn(resolve(path), new Set());
    if (inside.length === 0) throw new VitrineError(`${quoted(path)} is a folder without .txt files; name the files themselves, or another folder`);
    found.push(...inside);
  }
  return [...new Set(found)];
}

/** `seen` are the folders read so far, as they are without links: each is read once, also where links lead to it by many ways. */
async function textsIn(folder: string, seen: Set<string>): Promise<string[]> {
  const here = await realpath(folder).catch((error: unknown) => missing(folder, error));
  if (seen.has(here)) return [];
  seen.add(here);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => missing(folder, error));
  const found: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".")) continue;
    const kind = await stat(path).catch(() => undefined); // of what a link points at
    if (kind?.isDirectory()) found.push(...(await textsIn(path, seen)));
    else if (/\.txt$/i.test(entry.name) && kind?.isFile()) found.push(path);
  }
  return found;
}

async function missing(path: string, error: unknown): Promise<never> {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EACCES") throw new VitrineError(`${quoted(path)}: no permission to read it; change it with chmod or name another`, { cause: error });
  if (code !== "ENOENT" && code !== "ENOTDIR")
    throw new VitrineError(`${quoted(path)}: ${(error as Error).message}; check the path`, { cause: error });
  const meant = nearest(basename(path), await readdir(dirname(path)).catch(() => []));
  const cure = meant === undefined ? "check the path" : `did you mean ${quoted(join(dirname(path), meant))}?`;
  throw new VitrineError(`${quoted(path)}: there is no such file or folder; ${cure}`, { cause: error });
}
