/**
 * Text files as sources, open only while they are read, so that thousands can be named at once. For streams of text, which read in large blocks;
 * what reads here and there keeps its file open (node-files.ts).
 */
import type { ByteSource } from "../base/bytes.ts";
import { VitrineError } from "../base/errors.ts";
import { openFile } from "./node-files.ts";

/** Sources in the order of `paths`, as long as they are now. Throws VitrineError for what is no readable file. */
export async function textSources(paths: readonly string[]): Promise<ByteSource[]> {
  const sources: ByteSource[] = [];
  for (const path of paths) sources.push(await withFile(path, async ({ size }) => textSource(path, size)));
  return sources;
}

function textSource(path: string, size: number): ByteSource {
  return {
    name: path,
    size,
    read: (start, end, into) => withFile(path, (file) => file.read(start, end, into)),
    close: async () => {},
  };
}

async function withFile<T>(path: string, use: (file: ByteSource) => Promise<T>): Promise<T> {
  const file = await openFile(path);
  if (file === undefined) throw new VitrineError(`${path}: no regular file; name a text file`);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
