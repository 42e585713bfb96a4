/**
 * One process at a time: a lock is a file that names its holder, and a holder that died holds nothing. Node has no flock, which would
 * know that by itself. What is done under a lock is its caller's business: hub.ts pulls a file, cli/training-folder.ts trains.
 */
import { randomUUID } from "node:crypto";
import { open, readFile, stat, unlink, utimes } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./make-folder.ts";

const HEARTBEAT_MS = 1000;
/** Writing a name takes no time: a lock without one is older only where its writer died over it. */
const NAMED_WITHIN_MS = 10_000;

/** Who holds a lock, as far as its file says. */
export interface Holder {
  readonly host?: string;
  readonly pid?: number;
  readonly id?: string;
}

export interface LockOptions {
  /** Told once when somebody else holds the lock. May throw instead of waiting. */
  readonly waiting: (holder: Holder) => void;
  /** So long a heartbeat may stand still, of a holder whose process cannot be asked or is waited for. Default: 10 s. */
  readonly silenceMs?: number;
  readonly signal?: AbortSignal;
}

/** Held by this process: another with its number may have died. */
const held = new Set<string>();

/**
 * Runs `work` while nobody else does so under the same lock, a file whose folder is made when it is missing. A holder that died is
 * replaced: its process is gone or the machine was started since, or, where that cannot be known, its heartbeat stands still.
 * Two that replace one in the same instant can both go on. Throws the system's errors about the file, and what `work` throws.
 */
export async function withLock<T>(path: string, { waiting, silenceMs = 10_000, signal }: LockOptions, work: () => Promise<T>): Promise<T> {
  const id = randomUUID();
  const name = JSON.stringify({ host: hostname(), pid: process.pid, id });
  await makeFolder(dirname(path));
  held.add(id);
  let told = false;
  let heartbeat: number | undefined;
  let seen = 0;
  try {
    while (!(await createExclusively(path, name))) {
      signal?.throwIfAborted();
      const beat = await stat(path).then(
        (found) => found.mtimeMs,
        () => undefined,
      );
      if (beat === undefined) continue; // just released
      if (beat !== heartbeat) [heartbeat, seen] = [beat, performance.now()];
      const holder = await holderOf(path);
      if (performance.now() - seen > silenceMs || isDead(holder, beat, silenceMs)) {
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
  } finally {
    held.delete(id);
  }
}

async function createExclusively(path: string, content: string): Promise<boolean> {
  const file = await open(path, "wx").catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined;
    throw error;
  });
  if (file === undefined) return false;
  try {
    await file.writeFile(content).finally(() => file.close());
    return true;
  } catch (error) {
    await unlink(path).catch(() => {}); // a full disk: a lock without a name would hold everybody up
    throw error;
  }
}

async function holderOf(path: string): Promise<Holder> {
  try {
    const { host, pid, id } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    return {
      host: typeof host === "string" ? host : undefined,
      pid: typeof pid === "number" ? pid : undefined,
      id: typeof id === "string" ? id : undefined,
    };
  } catch {
    return {}; // its name is being written
  }
}

/** `beat` is its last sign of life, in milliseconds since 1970. */
function isDead({ host, pid, id }: Holder, beat: number, silenceMs: number): boolean {
  const silent = Date.now() - beat;
  if (pid === undefined || host === undefined) return silent > NAMED_WITHIN_MS;
  if (host !== hostname()) return silent > silenceMs;
  if (silent > uptime() * 1000) return true; // of before the machine was started
  if (pid === process.pid) return id === undefined || !held.has(id); // a container gives its process the same number every time
  try {
    process.kill(pid, 0); // signal 0 only asks whether the process is there
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH"; // else another user's: alive
  }
}
