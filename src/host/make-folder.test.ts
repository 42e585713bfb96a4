import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makeFolder } from "./make-folder.ts";

const here = mkdtempSync(join(tmpdir(), "vitrine-make-folder-"));
afterAll(() => rmSync(here, { recursive: true }));

describe("makeFolder", () => {
  it("makes a folder and those above it, again and at the same time", async () => {
    const deep = join(here, "a/b/c");
    await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(join(here, "a/b/d"))]);
    await makeFolder(deep);
    expect(statSync(deep).isDirectory()).toBe(true);
    expect(statSync(join(here, "a/b/d")).isDirectory()).toBe(true);
  });

  it.skipIf(!existsSync("/proc/self"))("gives up where nothing can be made (needs /proc)", async () => {
    await expect(makeFolder("/proc/nowhere/deep/down")).rejects.toThrow(/ENOENT|EACCES/);
  });
});
