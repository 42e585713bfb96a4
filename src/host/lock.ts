/**
 * One process at a time: a lock is a file that names its holder and is touched every second, and a holder that died holds nothing.
 * Node has no flock, which would know that by itself. What is done under a lock is its caller's business.
 */
import { randomUUID } from "node:crypto";
import { lstat, open, readFile, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./make-folder.ts";

const HEARTBEAT_MS = 1000;
/** A process that is not here may still live, in a container with this machine's name: then its heart beats. */
const GONE_AFTER_MS = 2500;
/** Writing a name takes no time: a lock without one is older only where its writer died over it. */
const NAMED_WITHIN_MS = 10_000;
/** So long one that is waited for may be silent. */
const DEAD_AFTER_MS = 10_000;
/** So long anybody may: clocks of two machines differ by less, steps of training take less, and numbers of processes are used again. */
const SILENT_FOR_GOOD_MS = 60 * 60_000;

/** Who holds a lock, as far as its file says. */
export interface Holder {
  readonly host?: string;
  readonly pid?: number;
  readonly id?: string;
}

export interface LockOptions {
  /** Told once when somebody else holds the lock. May throw instead of waiting. */
  readonly waiting: (holder: Holder) => void;
  readonly signal?: AbortSignal;
}

/** Held by this process: another with its number may have died. */
const held = new Set<string>();

/**
 * Runs `work` while nobody else does so under the same lock, a file whose folder is made when it is missing. A holder that died is
 * replaced: its process is gone and its heart stands still; or it stands still for an hour, or for 10 s while it is watched.
 * Throws the system's errors about the file, and what `work` throws.
 */
export async function withLock<T>(path: string, { waiting, signal }: LockOptions, work: () => Promise<T>): Promise<T> {
  const id = randomUUID();
  const name = JSON.stringify({ host: hostname(), pid: process.pid, id });
  await makeFolder(dirname(path));
  held.add(id);
  try {
    await acquire(path, name, { waiting, signal });
    const isOurs = async (): Promise<boolean> => (await textOf(path)) === name;
    const beat = async (): Promise<void> => void ((await isOurs()) && (await utimes(path, new Date(), new Date()).catch(() => {})));
    const beating = setInterval(() => void beat(), HEARTBEAT_MS);
    beating.unref();
    try {
      return await work();
    } finally {
      clearInterval(beating);
      if (await isOurs()) await unlink(path).catch(() => {});
    }
  } finally {
    held.delete(id);
  }
}

async function acquire(path: string, name: string, { waiting, signal }: LockOptions): Promise<void> {
  let told = false;
  let heartbeat: number | undefined;
  let seen = 0;
  while (!(await createExclusively(path, name))) {
    signal?.throwIfAborted();
    const beat = await lstat(path).then(
      (found) => found.mtimeMs,
      () => undefined,
    );
    if (beat !== undefined) {
      const beats = heartbeat !== undefined && beat !== heartbeat;
      if (beat !== heartbeat) [heartbeat, seen] = [beat, performance.now()];
      const text = await textOf(path);
      const holder = holderIn(text);
      const state = performance.now() - seen > DEAD_AFTER_MS ? "dead" : stateOf(holder, Date.now() - beat);
      if (state === "dead") {
        if ((await textOf(path)) === text) await unlink(path).catch(() => {}); // else somebody else has just replaced it
        continue;
      }
      if (!told && (state === "alive" || beats)) {
        waiting(holder);
        told = true;
      }
    }
    await sleep(100, undefined, { signal });
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

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}

/** Nothing is known of one whose name is being written. */
function holderIn(text: string | undefined): Holder {
  try {
    const { host, pid, id } = JSON.parse(text ?? "") as Record<string, unknown>;
    return {
      host: typeof host === "string" ? host : undefined,
      pid: typeof pid === "number" ? pid : undefined,
      id: typeof id === "string" ? id : undefined,
    };
  } catch {
    return {};
  }
}

/** "gone": its process is not here, and its heartbeat will tell. `silent` are the milliseconds since the last one. */
function stateOf({ host, pid, id }: Holder, silent: number): "alive" | "gone" | "dead" {
  if (silent > SILENT_FOR_GOOD_MS) return "dead";
  if (pid === undefined || host === undefined) return silent > NAMED_WITHIN_MS ? "dead" : "alive";
  if (host !== hostname() || isHere(pid, id)) return "alive";
  return silent > GONE_AFTER_MS ? "dead" : "gone";
}

function isHere(pid: number, id: string | undefined): boolean {
  if (pid === process.pid) return id !== undefined && held.has(id); // a container gives its process the same number every time
  try {
    process.kill(pid, 0); // signal 0 only asks whether the process is there
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"; // else another user's
  }
}
