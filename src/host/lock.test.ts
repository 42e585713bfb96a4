import { lutimes, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withLock } from "./lock.ts";
import type { Holder } from "./lock.ts";

let root: string;
let path: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "vitrine-lock-"));
  path = join(root, "new/folder/run.lock");
});
afterEach(() => rm(root, { recursive: true }));

const refuse = (holder: Holder): never => {
  throw new Error(`held by ${holder.pid} on ${holder.host}`);
};

describe("a lock", () => {
  it("names its holder while the work goes on, and goes with it, also when it fails", async () => {
    const seen = await withLock(path, { waiting: refuse }, async () => JSON.parse(await readFile(path, "utf8")) as Holder);
    expect(seen).toMatchObject({ host: hostname(), pid: process.pid });
    await expect(withLock(path, { waiting: refuse }, () => Promise.reject(new Error("the work failed")))).rejects.toThrow("the work failed");
    expect(await readdir(join(root, "new/folder"))).toEqual([]);
  });

  it("lets one in after the other, each told once that it waits", async () => {
    const order: string[] = [];
    let waited = 0;
    const turn = (name: string): Promise<void> =>
      withLock(path, { waiting: () => waited++ }, async () => {
        order.push(`${name} in`);
        await new Promise((resolve) => setTimeout(resolve, 30));
        order.push(`${name} out`);
      });
    await Promise.all([turn("a"), turn("b"), turn("c")]);
    expect(order.map((step) => step.slice(2))).toEqual(["in", "out", "in", "out", "in", "out"]);
    expect(waited).toBe(2);
  });

  it("tells who holds it to one that will not wait, and stays his", async () => {
    await withLock(path, { waiting: refuse }, async () => {
      await expect(withLock(path, { waiting: refuse }, () => Promise.resolve())).rejects.toThrow(`held by ${process.pid} on ${hostname()}`);
      expect(await readFile(path, "utf8")).toContain(`${process.pid}`);
    });
  });

  const here = hostname();
  const gone = 2 ** 22 + 1; // above Linux's highest process number
  it.each<[string, object | string, number, boolean]>([
    ["a process that is gone", { host: here, pid: gone }, 5, true],
    ["a process that has just gone", { host: here, pid: gone }, 0, true], // once its heart has missed a beat
    ["a living process", { host: here, pid: process.ppid }, 600, false],
    ["a living process that has the number of one silent for hours", { host: here, pid: process.ppid }, 7200, true],
    ["one that had this process's number", { host: here, pid: process.pid, id: "another" }, 5, true],
    ["another machine", { host: "elsewhere", pid: gone }, 600, false],
    ["another machine, silent for hours", { host: "elsewhere", pid: gone }, 7200, true],
    ["nobody yet", "", 0, false],
    ["nobody, for longer than a name takes", '{"pid":', 15, true],
    ["something else", "null", 15, true],
  ])("of %s", async (_, holder, secondsOld, dead) => {
    await withLock(path, { waiting: refuse }, () => Promise.resolve());
    await writeFile(path, typeof holder === "string" ? holder : JSON.stringify(holder));
    const at = new Date(Date.now() - secondsOld * 1000);
    await utimes(path, at, at);
    const taken = withLock(path, { waiting: refuse }, () => Promise.resolve("in"));
    if (dead) expect(await taken).toBe("in");
    else await expect(taken).rejects.toThrow("held by");
  });

  it("of a process that cannot be seen from here is its own while its heart beats", async () => {
    await withLock(path, { waiting: refuse }, () => Promise.resolve());
    await writeFile(path, JSON.stringify({ host: here, pid: gone }));
    const beating = setInterval(() => void utimes(path, new Date(), new Date()), 200);
    await expect(withLock(path, { waiting: refuse }, () => Promise.resolve("in"))).rejects.toThrow("held by");
    clearInterval(beating);
  });

  it("that became another's is left to him", async () => {
    await withLock(path, { waiting: refuse }, () => writeFile(path, "another's"));
    expect(await readFile(path, "utf8")).toBe("another's");
  });

  it.skipIf(process.platform === "win32")("that is a link to nowhere is taken once it is old", async () => {
    await mkdir(join(root, "new/folder"), { recursive: true });
    await symlink(join(root, "nowhere"), path);
    await expect(withLock(path, { waiting: refuse }, () => Promise.resolve())).rejects.toThrow("held by");
    await lutimes(path, new Date(0), new Date(0));
    expect(await withLock(path, { waiting: refuse }, () => Promise.resolve("in"))).toBe("in");
  });

  it("is waited for until it is told to stop", async () => {
    await withLock(path, { waiting: refuse }, async () => {
      await expect(withLock(path, { waiting: () => {}, signal: AbortSignal.timeout(50) }, () => Promise.resolve())).rejects.toThrow();
    });
  });
});
