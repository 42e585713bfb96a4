import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { diskTrouble, lockPath, partPath } from "./hub-cache.ts";
import { pull, type PullOptions } from "./hub.ts";
import { COMMIT, type FakeHub, gitHash, noise, REPO, scratchFolder, sendAndCut, sendFile, sha256, startHub, tinyModel } from "./hub.testing.ts";

const weights = noise(300_000);
const WEIGHTS = "model.safetensors";
const etag = sha256(weights);
const files = tinyModel(weights);
let cacheDir: string;
let hub: FakeHub;

beforeEach(async () => {
  cacheDir = await scratchFolder();
  hub = await startHub(files);
});
afterEach(async () => {
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});

const options = (more: PullOptions = {}): PullOptions => ({
  endpoint: hub.url,
  cacheDir,
  env: { HOME: "/nonexistent" },
  pause: 0.001,
  silence: 5,
  ...more,
});
const fail = async (more: PullOptions = {}): Promise<VitrineError> => {
  const error: unknown = await pull(REPO, options(more)).then(
    () => new Error("the pull did not fail"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VitrineError);
  return error as VitrineError;
};
const blobs = (): string => join(cacheDir, "models--acme--tiny/blobs");
const part = (): string => partPath(cacheDir, REPO, etag);
const partSize = async (): Promise<number | undefined> => (await stat(part()).catch(() => undefined))?.size;
/** By hash: comparing the bytes themselves takes vitest half a second. */
const pulledWeights = async (folder: string): Promise<string> => sha256(await readFile(join(folder, WEIGHTS)));
const ranges = (): (string | undefined)[] => hub.log.filter((asked) => asked.path.endsWith(WEIGHTS)).map((asked) => asked.range);
/** The snapshot holds no weights and no blob has the weights' name. */
const expectNothingFinal = async (): Promise<void> => {
  expect(await readdir(blobs())).not.toContain(etag);
  expect(await readdir(join(cacheDir, "models--acme--tiny/snapshots", COMMIT))).not.toContain(WEIGHTS);
};
/** Leaves `bytes` as an earlier pull would. */
const begun = async (bytes: Buffer = weights.subarray(0, 50_000)): Promise<void> => {
  await mkdir(blobs(), { recursive: true });
  await writeFile(part(), bytes);
};
const onWeights =
  (take: (...given: Parameters<FakeHub["takeOver"]>) => unknown): FakeHub["takeOver"] =>
  async (request, response, path, nth) =>
    path.endsWith(WEIGHTS) && (await take(request, response, path, nth)) !== false;

describe("a connection that is cut", () => {
  it("is taken up again where it ended, many times", async () => {
    hub.takeOver = onWeights((request, response, _path, nth) => (nth <= 8 ? sendAndCut(request, response, weights, 30_000) : false));
    const notes: string[] = [];
    const received: number[] = [];
    const { folder } = await pull(REPO, options({ onNote: (text) => notes.push(text), onProgress: (event) => received.push(event.received) }));
    expect(await pulledWeights(folder)).toBe(etag);
    expect(ranges().length).toBe(9);
    expect(ranges()[0]).toBeUndefined();
    const starts = ranges()
      .slice(1)
      .map((range) => Number(/^bytes=(\d+)-$/.exec(range!)![1]));
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(starts.at(-1)).toBeGreaterThan(100_000);
    expect(received).toEqual([...received].sort((a, b) => a - b));
    expect(notes.length).toBe(8);
    expect(notes[0]).toMatch(/connection was lost|connection ended/);
    expect(await readdir(blobs())).not.toContain(`${etag}.vitrine.incomplete`);
  });

  it("is given up after five tries that bring nothing; the next pull goes on from what came", async () => {
    hub.takeOver = onWeights((request, response, _path, nth) => (nth === 1 ? sendAndCut(request, response, weights, 100_000) : response.destroy()));
    const error = await fail();
    expect(error.blame).toBe("work");
    expect(error.message).toMatch(/gave up after \d tries/);
    const kept = (await partSize())!;
    expect(kept).toBeGreaterThan(0);
    await expectNothingFinal();

    hub.takeOver = () => false;
    hub.log.length = 0;
    const { folder } = await pull(REPO, options());
    expect(ranges()).toEqual([`bytes=${kept}-`]);
    expect(await pulledWeights(folder)).toBe(etag);
  });

  it("ends early without a length promised: the rest is asked for", async () => {
    hub.takeOver = onWeights((_request, response, _path, nth) => (nth === 1 ? response.writeHead(200).end(weights.subarray(0, 1234)) : false));
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
    expect(ranges()).toEqual([undefined, "bytes=1234-"]);
  });

  it("goes silent: counts as cut", async () => {
    hub.takeOver = onWeights((_request, response, _path, nth) => {
      if (nth > 1) return false;
      response.writeHead(200, { "content-length": weights.length }).write(weights.subarray(0, 5000));
      return true;
    });
    const notes: string[] = [];
    const { folder } = await pull(REPO, options({ silence: 0.2, onNote: (text) => notes.push(text) }));
    expect(await pulledWeights(folder)).toBe(etag);
    expect(notes).toEqual([`${WEIGHTS}: nothing came for 0.2 s; trying again`]);
  });

  it("is merely slow: nothing is asked twice", async () => {
    hub.takeOver = onWeights(async (_request, response) => {
      response.writeHead(200, { "content-length": weights.length });
      for (let at = 0; at < weights.length; at += 30_000) {
        response.write(weights.subarray(at, at + 30_000));
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      response.end();
    });
    expect(await pulledWeights((await pull(REPO, options({ silence: 0.4 }))).folder)).toBe(etag); // 600 ms in all
    expect(ranges().length).toBe(1);
  });
});

describe("a server that cannot resume", () => {
  it("ignores Range: the file begins anew", async () => {
    await begun();
    hub.takeOver = onWeights((_request, response) => response.writeHead(200, { "content-length": weights.length }).end(weights));
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
    expect(ranges()).toEqual(["bytes=50000-"]);
  });

  it("sends another piece than the one asked for: it is asked for all", async () => {
    await begun();
    hub.takeOver = onWeights((request, response) => {
      if (!request.headers.range) return false;
      response.writeHead(206, { "content-range": `bytes 0-9/${weights.length}`, "content-length": 10 }).end(weights.subarray(0, 10));
      return true;
    });
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
    expect(ranges()).toEqual(["bytes=50000-", undefined]);
  });

  it("answers 416: it is asked for all", async () => {
    await begun();
    hub.takeOver = onWeights((request, response) => (request.headers.range ? response.writeHead(416).end() : false));
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
  });

  it("finds a part file longer than the file: it begins anew", async () => {
    await begun(noise(400_000, 5));
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
    expect(ranges()).toEqual([undefined]);
  });

  it("finds a part file that is whole: nothing is asked for, the checksum decides", async () => {
    await begun(weights);
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
    expect(ranges()).toEqual([]);
    expect(await partSize()).toBeUndefined();
  });

  it("finds a part file of other bytes: the checksum notices, they are deleted, the next pull is clean", async () => {
    await begun(noise(50_000, 9));
    expect((await fail()).message).toMatch(/what came has the sha256 [0-9a-f]{64}, expected/);
    expect(await partSize()).toBeUndefined();
    expect(await pulledWeights((await pull(REPO, options())).folder)).toBe(etag);
  });
});

describe("a server that lies", () => {
  it("sends other bytes: sha256", async () => {
    const other = noise(weights.length, 3);
    hub.takeOver = onWeights((_request, response) => response.writeHead(200, { "content-length": other.length }).end(other));
    const error = await fail();
    expect(error.message).toContain(`${WEIGHTS}: what came has the sha256 ${sha256(other)}, expected ${etag}; it was deleted`);
    expect(error.blame).toBe("work");
    expect(await partSize()).toBeUndefined();
    await expectNothingFinal();
  });

  it("sends another small file: git hash", async () => {
    const config = files.get("config.json")!;
    const other = Buffer.from(config.toString().replace("2", "3"));
    hub.takeOver = (_request, response, path) => path.endsWith("/config.json") && (response.end(other), true);
    expect((await fail()).message).toContain(`the git hash ${gitHash(other)}, expected ${gitHash(config)}`);
    expect(await readdir(blobs())).toEqual([]);
  });

  it.each([299_999, 300_001])("announces %i of 300000 bytes", async (length) => {
    hub.takeOver = onWeights((_request, response) => response.writeHead(200, { "content-length": length }).write("x"));
    expect((await fail()).message).toContain(`the listing says 300000 bytes, the server now says ${length}`);
    await expectNothingFinal();
  });

  it("sends more than it announced", async () => {
    hub.takeOver = onWeights((_request, response) => response.writeHead(200).end(Buffer.concat([weights, Buffer.from("!")])));
    expect((await fail()).message).toContain("sends more than the 300000 bytes it announced");
    expect(await partSize()).toBeUndefined();
    await expectNothingFinal();
  });

  it("gives another total with the piece", async () => {
    await mkdir(blobs(), { recursive: true });
    await writeFile(part(), weights.subarray(0, 1000));
    hub.takeOver = onWeights((_request, response) => response.writeHead(206, { "content-range": "bytes 1000-1999/2000" }).end(noise(1000)));
    expect((await fail()).message).toContain("the server now says 2000");
  });

  it("sends pieces although nobody asked for one", async () => {
    hub.takeOver = onWeights((_request, response) => response.writeHead(206, { "content-range": `bytes 5-9/${weights.length}` }).end("12345"));
    expect((await fail()).message).toContain("pieces (HTTP 206) that nobody asked for");
  });
});

describe("a server under load", () => {
  it("says 429 with Retry-After: the pause is kept and told", async () => {
    hub.takeOver = onWeights((_request, response, _path, nth) => (nth === 1 ? response.writeHead(429, { "retry-after": "1" }).end() : false));
    const notes: string[] = [];
    const start = performance.now();
    await pull(REPO, options({ onNote: (text) => notes.push(text) }));
    expect(performance.now() - start).toBeGreaterThan(950);
    expect(notes).toEqual([`${WEIGHTS}: the hub limits how often it may be asked (HTTP 429); trying again in 1 s`]);
  });

  it("asks for a pause nobody should sit through", async () => {
    hub.takeOver = (_request, response) => (response.writeHead(429, { ratelimit: '"api";r=0;t=3000' }).end(), true);
    expect((await fail()).message).toContain("asks to wait 50 minutes");
  });

  it("fails with 500 and 503 for a while", async () => {
    hub.takeOver = onWeights((_request, response, _path, nth) => (nth <= 3 ? response.writeHead(nth === 1 ? 500 : 503).end() : false));
    expect((await pull(REPO, options())).files.length).toBe(3);
  });

  it("fails for ever: gives up", async () => {
    hub.takeOver = (_request, response) => (response.writeHead(502).end(), true);
    expect((await fail()).message).toBe(`pull ${REPO}: the list of files: the server failed (HTTP 502); gave up after 3 tries`);
  });
});

describe("Ctrl-C", () => {
  it("keeps what came and says so; the next pull goes on", async () => {
    const stop = new AbortController();
    hub.takeOver = onWeights((_request, response, _path, nth) => {
      if (nth > 1) return false;
      response.writeHead(200, { "content-length": weights.length }).write(weights.subarray(0, 70_000));
      return true;
    });
    const error = await fail({
      signal: stop.signal,
      onProgress: (event) => {
        if (event.file === WEIGHTS) setTimeout(() => stop.abort(), 100);
      },
    });
    expect(error.message).toMatch(/stopped; 70000 of 300000 bytes of model\.safetensors are kept, the same command goes on from there/);
    expect(await partSize()).toBe(70_000);
    expect(await readdir(join(cacheDir, ".locks/models--acme--tiny"))).toEqual([]);
    await pull(REPO, options());
    expect(ranges()).toEqual([undefined, "bytes=70000-"]);
  });

  it("works before the first request, during a pause and while waiting for another pull", async () => {
    expect((await fail({ signal: AbortSignal.abort() })).message).toContain("stopped");
    expect(hub.log).toEqual([]);

    hub.takeOver = (_request, response) => (response.writeHead(429, { "retry-after": "60" }).end(), true);
    const start = performance.now();
    expect((await fail({ signal: AbortSignal.timeout(100) })).message).toContain("stopped");

    hub.takeOver = () => false;
    const lock = lockPath(cacheDir, REPO, etag);
    await mkdir(join(lock, ".."), { recursive: true });
    await writeFile(lock, JSON.stringify({ host: hostname(), pid: process.ppid }));
    expect((await fail({ signal: AbortSignal.timeout(300) })).message).toContain("stopped");
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe("two pulls at once", () => {
  it("of one model share the work, and both end whole", async () => {
    hub.takeOver = onWeights(async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return false;
    });
    const notes: string[] = [];
    const both = await Promise.all([1, 2, 3].map(() => pull(REPO, options({ onNote: (text) => notes.push(text) }))));
    for (const { folder } of both) expect(await pulledWeights(folder)).toBe(etag);
    expect(ranges().length).toBe(1);
    expect(notes.some((note) => note.includes("another pull is fetching it"))).toBe(true);
  });

  it("past a lock that does not hold still write right bytes", async () => {
    // Both hold the part file open; the lock is torn away from the first one.
    hub.takeOver = onWeights(async (request, response, _path, nth) => {
      if (nth > 2) return false;
      const from = Number(/\d+/.exec(request.headers.range ?? "0")![0]);
      response.writeHead(from > 0 ? 206 : 200, { ...(from > 0 && { "content-range": `bytes ${from}-299999/300000` }) });
      for (let at = from; at < weights.length; at += 20_000) {
        response.write(weights.subarray(at, at + 20_000));
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
      response.end();
    });
    const first = pull(REPO, options());
    await vi.waitFor(async () => expect(await partSize()).toBeGreaterThan(20_000), { interval: 5 });
    await rm(lockPath(cacheDir, REPO, etag));
    const second = pull(REPO, options());
    for (const { folder } of await Promise.all([first, second])) expect(await pulledWeights(folder)).toBe(etag);
    expect(ranges().length).toBe(2);
  });

  it("do not wait for one whose process died", async () => {
    const lock = lockPath(cacheDir, REPO, etag);
    await mkdir(join(lock, ".."), { recursive: true });
    await writeFile(lock, JSON.stringify({ host: hostname(), pid: 2 ** 22 + 1 })); // above Linux's highest process number
    await utimes(lock, new Date(0), new Date(0));
    const start = performance.now();
    await pull(REPO, options());
    expect(performance.now() - start).toBeLessThan(5000);
    expect(await readdir(join(lock, ".."))).toEqual([]);
  });
});

describe("a disk that refuses", () => {
  it.skipIf(process.platform !== "linux")("is full (/dev/full): says so, names the file, leaves no final name", async () => {
    await mkdir(blobs(), { recursive: true });
    await symlink("/dev/full", part());
    const error = await fail();
    expect(error.message).toMatch(/^cannot write .*\.vitrine\.incomplete: the disk is full; free some space and run the same command again/);
    expect(error.blame).toBe("work");
    await expectNothingFinal();
  });

  it("has a file where the cache should be", async () => {
    await writeFile(join(cacheDir, "file"), "");
    const error = await fail({ cacheDir: join(cacheDir, "file") });
    expect(error.message).toMatch(/cannot write .*file.*: a file stands where a folder is needed; set HF_HOME/);
    expect(error.blame).toBe("work");
  });

  it.skipIf(process.getuid?.() !== 0)("belongs to another user (skipped unless root, who can become somebody else)", async () => {
    process.seteuid!(65534);
    try {
      const error = await fail();
      expect(error.message).toMatch(/cannot write .*: no permission to write here; set HF_HOME \(or HF_HUB_CACHE\)/);
      expect(error.blame).toBe("work");
    } finally {
      process.seteuid!(0);
    }
    expect(await readdir(cacheDir)).toEqual([]);
  });

  it("has too little room: says so before the first byte", async () => {
    hub.listing = (truth) => ({
      ...truth,
      siblings: truth.siblings.map((sibling) => (sibling.lfs ? { ...sibling, lfs: { sha256: etag, size: 2 ** 52 } } : sibling)),
    });
    expect((await fail()).message).toMatch(/are still to come, but the disk of .* has [\d.]+ MB free/);
    expect(ranges()).toEqual([]);
  });

  it("fails in every way with a cure and the path", () => {
    for (const code of ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "EMFILE", "EIO"]) {
      const error = diskTrouble("/cache/x", Object.assign(new Error(code), { code, syscall: "write" }));
      expect((error as Error).message).toMatch(/^cannot write \/cache\/x: .{10,}/);
      expect((error as VitrineError).blame).toBe("work");
    }
    const bug = new TypeError("x is not a function");
    expect(diskTrouble("/cache/x", bug)).toBe(bug);
  });
});

it("an empty file needs no request", async () => {
  await hub.close();
  const withEmpty = tinyModel(weights);
  withEmpty.set("merges.txt", Buffer.alloc(0));
  hub = await startHub(withEmpty);
  const { folder } = await pull(REPO, options());
  expect((await readFile(join(folder, "merges.txt"))).length).toBe(0);
  expect(hub.log.some((asked) => asked.path.endsWith("merges.txt"))).toBe(false);
});

it("a compressed answer is unpacked and counted unpacked", async () => {
  const { gzipSync } = await import("node:zlib");
  const tokenizer = files.get("tokenizer.json")!;
  const packed = gzipSync(tokenizer);
  hub.takeOver = (_request, response, path) =>
    path.endsWith("tokenizer.json") && (response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length }).end(packed), true);
  const { folder } = await pull(REPO, options());
  expect(await readFile(join(folder, "tokenizer.json"))).toEqual(tokenizer);
});

it("a resumed piece is served by the very bytes of the file", async () => {
  // Guards the fake hub itself: its pieces must be those a real server would send.
  hub.takeOver = onWeights((request, response) => sendFile(request, response, WEIGHTS, weights));
  const answer = await fetch(`${hub.url}/${REPO}/resolve/${COMMIT}/${WEIGHTS}`, { headers: { range: "bytes=100-199" } });
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(weights.subarray(100, 200));
});
