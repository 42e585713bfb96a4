/**
 * One process at a time: a lock is a file that names its holder, and a holder that died holds nothing. Node has no flock, which would
 * know that by itself. What is done under a lock is its caller's business: hub.ts pulls a file, cli/training-folder.ts trains.
 */
import { randomUUID } from "node:crypto";
import { open, readFile, stat, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./make-folder.ts";

const HEARTBEAT_MS = 1000;
const DEAD_AFTER_MS = 10_000;

/** Who holds a lock, as far as its file says. */
export interface Holder {
  readonly host?: string;
  readonly pid?: number;
}

export interface WaitOptions {
  /** Told once when somebody else holds the lock. May throw instead of waiting. */
  readonly waiting: (holder: Holder) => void;
  readonly signal?: AbortSignal;
}

/**
 * Runs `work` while nobody else does so under the same lock, a file whose folder is made when it is missing. A holder that died (its
 * process is gone, or its heartbeat stands still while it is watched for 10 s) is replaced; two that replace one in the same
 * instant can both go on. Throws the system's errors about the file, and what `work` throws.
 */
export async function withLock<T>(path: string, { waiting, signal }: WaitOptions, work: () => Promise<T>): Promise<T> {
  const name = JSON.stringify({ host: hostname(), pid: process.pid, id: randomUUID() });
  await makeFolder(dirname(path));
  let told = false;
  let heartbeat: number | undefined;
  let seen = 0;
  while (!(await createExclusively(path, name))) {
    signal?.throwIfAborted();
    const beat = await stat(path).then(
      (found) => found.mtimeMs,
      () => undefined,
    );
    if (beat === undefined) continue; // just released
    if (beat !== heartbeat) [heartbeat, seen] = [beat, performance.now()];
    const holder = await holderOf(path);
    if (performance.now() - seen > DEAD_AFTER_MS || isDead(holder)) {
      await unlink(path).catch(() => {});
      continue;
    }
    if (!told) waiting(holder);
    told = true;
    await sleep(100, undefined, { signal });
  }
  const beating = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), HEARTBEAT_MS);
  beating.unref();
  try {
    return await work();
  } finally {
    clearInterval(beating);
    if ((await readFile(path, "utf8").catch(() => undefined)) === name) await unlink(path).catch(() => {});
  }
}

async function createExclusively(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(content).finally(() => file.close());
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Nothing is known of one that is writing its name just now. */
async function holderOf(path: string): Promise<Holder> {
  try {
    const { host, pid } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    return { host: typeof host === "string" ? host : undefined, pid: typeof pid === "number" ? pid : undefined };
  } catch {
    return {};
  }
}

function isDead({ host, pid }: Holder): boolean {
  if (host !== hostname() || pid === undefined) return false;
  try {
    process.kill(pid, 0); // signal 0 only asks whether the process is there
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH"; // else another user's: alive
  }
}
