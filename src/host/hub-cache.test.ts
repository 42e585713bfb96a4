/** The cache on a system without symlinks, as Windows without developer mode: there files move or are copied into the snapshot. */
import { lstat, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { findCachedModel, pull, type PullOptions } from "./hub.ts";
import { linkFile, readRef, writeRef } from "./hub-cache.ts";
import { COMMIT, type FakeHub, REPO, scratchFolder, sha256, startHub, tinyModel } from "./hub.testing.ts";

vi.mock("node:fs/promises", async (original) => ({
  ...(await original<typeof import("node:fs/promises")>()),
  symlink: async () => {
    throw Object.assign(new Error("EPERM: operation not permitted, symlink"), { code: "EPERM", syscall: "symlink" });
  },
}));

let cacheDir: string;
let hub: FakeHub;
const files = tinyModel();
beforeEach(async () => {
  cacheDir = await scratchFolder();
  hub = await startHub(files);
});
afterEach(async () => {
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});
const options = (): PullOptions => ({ endpoint: hub.url, cacheDir, env: { HOME: "/nonexistent" }, pause: 0.001 });

describe("without symlinks", () => {
  it("a pull moves files into the snapshot, finds them again, and is found offline", async () => {
    const { folder } = await pull(REPO, options());
    for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
      expect((await lstat(join(folder, name))).isFile()).toBe(true);
      expect(sha256(await readFile(join(folder, name)))).toBe(sha256(files.get(name)!));
    }
    expect(await readdir(join(cacheDir, "models--acme--tiny/blobs"))).toEqual([]);
    expect((await pull(REPO, options())).files.every((file) => file.from === "cache")).toBe(true);
    expect(await findCachedModel(REPO, { cacheDir })).toBe(folder);
  });

  it("a blob that something else may use is copied, not moved", async () => {
    const blob = join(cacheDir, "blobs/b");
    await mkdir(join(cacheDir, "blobs"));
    await writeFile(blob, "bytes");
    await linkFile(blob, join(cacheDir, "snapshots/c/sub/file"), false);
    expect(await readFile(join(cacheDir, "snapshots/c/sub/file"), "utf8")).toBe("bytes");
    expect(await readFile(blob, "utf8")).toBe("bytes");
    expect(await readdir(join(cacheDir, "snapshots/c/sub"))).toEqual(["file"]);
  });
});

describe("refs", () => {
  it("are read back, replaced whole, and not written for a commit", async () => {
    await writeRef(cacheDir, REPO, "main", "a".repeat(40));
    await writeRef(cacheDir, REPO, "main", COMMIT);
    expect(await readRef(cacheDir, REPO, "main")).toBe(COMMIT);
    await writeRef(cacheDir, REPO, COMMIT, COMMIT);
    expect(await readdir(join(cacheDir, "models--acme--tiny/refs"))).toEqual(["main"]);
    expect(await readRef(cacheDir, REPO, "other")).toBeUndefined();
    await writeFile(join(cacheDir, "models--acme--tiny/refs/main"), "../../../etc");
    expect(await readRef(cacheDir, REPO, "main")).toBeUndefined();
  });
});
