/** `vitrine studio`: the page, the headers that threads need, models in ranges, and nothing outside the folders. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSite } from "../../src/server/site.ts";
import type { Site } from "../../src/server/site.ts";
import { vitrine } from "./fake.testing.ts";
import { studioSchema } from "./json-schema.testing.ts";

let folder: string;
let site: Site;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vitrine-site-"));
  await mkdir(join(folder, "site/models"), { recursive: true });
  await mkdir(join(folder, "models/small"), { recursive: true });
  await writeFile(join(folder, "site/index.html"), "<title>page</title>");
  await writeFile(join(folder, "site/models/index.json"), "[]");
  await writeFile(join(folder, "models/small/model.safetensors"), "0123456789");
  await writeFile(join(folder, "secret.txt"), "secret");
  site = await openSite({ folder: join(folder, "site"), beside: { "/models": join(folder, "models") }, host: "127.0.0.1", port: 0 });
});
afterAll(async () => {
  await site.close();
  await rm(folder, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(site.address + path, { headers });

describe("a site", () => {
  test("gives the page, cross-origin isolated", async () => {
    const answer = await get("");
    expect(answer.headers.get("content-type")).toMatch(/text\/html/);
    expect(answer.headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(answer.headers.get("cross-origin-embedder-policy")).toBe("require-corp");
    expect(await answer.text()).toContain("page");
  });

  test("serves the folders beside it, in ranges, and what only the page has", async () => {
    const part = await get("models/small/model.safetensors", { range: "bytes=2-4" });
    expect(part.status).toBe(206);
    expect(await part.text()).toBe("234");
    expect(await (await get("models/index.json")).text()).toBe("[]");
  });

  test.each(["../secret.txt", "%2e%2e/secret.txt", "models/../../secret.txt", "models/%2e%2e%2f%2e%2e%2fsecret.txt", "..%5csecret.txt"])(
    "never leaves its folders: %s",
    async (path) => {
      const answer = await get(path);
      expect(answer.status).toBe(404);
      expect(await answer.text()).not.toContain("secret");
    },
  );

  test("says which port is taken and how to get another", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    await expect(openSite({ folder, host: "127.0.0.1", port })).rejects.toThrow(`port ${port} is taken; give another with --port`);
    await new Promise((resolve) => taken.close(resolve));
  });
});

const built = existsSync(fileURLToPath(new URL("../../dist/studio/index.html", import.meta.url)));

describe("vitrine studio", () => {
  test.skipIf(!built)("prints the address with its text, serves it, and ends with Ctrl-C", async () => {
    let interrupt = (): void => undefined;
    let written: (text: string) => void;
    const line = new Promise<string>((resolve) => (written = resolve));
    const stdout = new Writable({ decodeStrings: false, write: (text: string, _, done) => (written(text), done()) });
    const onInterrupt = (listener: () => void): (() => void) => {
      interrupt = listener;
      return () => undefined;
    };
    const running = vitrine(["studio", "The king", "--model", "letters", "--port", "0", "--json"], { stdout, onInterrupt });
    const { address: seen } = studioSchema.parse(JSON.parse(await line));
    expect((await fetch(seen)).status).toBe(200);
    interrupt();
    const { code } = await running;
    expect(seen).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#write\?m=letters&p=The\+king$/);
    expect(code).toBe(0);
  });

  test("refuses a port that cannot be", async () => {
    const { code, stderr } = await vitrine(["studio", "--port", "99999"]);
    expect(code).toBe(2);
    expect(stderr).toContain('--port is "99999"; expected a whole number from 0 to 65535');
  });
});
