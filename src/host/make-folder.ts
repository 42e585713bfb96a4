/** Making a folder and those above it. Node's own recursive mkdir never returns where a parent exists and still takes nothing (/proc, some network disks). */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/** Throws the system's error; a folder that is there already is fine. */
export async function makeFolder(path: string): Promise<void> {
  const made = await tryMake(path);
  if (made !== "no parent") return;
  await makeFolder(dirname(path));
  await mkdir(path).catch(ignoreExisting);
}

async function tryMake(path: string): Promise<"made" | "no parent"> {
  try {
    await mkdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" && dirname(path) !== path) return "no parent";
    // A file in the folder's place is told by whoever writes below it.
    ignoreExisting(error);
  }
  return "made";
}

function ignoreExisting(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
}
