/** Threads count what one thread counts. They run this source, bundled for the test: dist/ may be older or missing. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomFrom } from "../base/random.ts";
import type { Cutting } from "../tokenizer/train-pieces.ts";
import { countPieces, trainBpe } from "../tokenizer/train.ts";
import type { CountedPieces } from "../tokenizer/train.ts";
import { textSources } from "./text-sources.ts";
import { countOnThreads } from "./piece-threads.ts";

let folder: string;
let module: URL;
let paths: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vitrine-pieces-"));
  const file = join(folder, "piece-threads.js");
  const build = await rolldown({
    input: fileURLToPath(new URL("piece-threads.ts", import.meta.url)),
    platform: "node",
    transform: { target: "node20" },
  });
  await build.write({ file, format: "esm", codeSplitting: false });
  await build.close();
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  module = pathToFileURL(file);
  paths = [];
  const random = randomFrom(7);
  const parts = ["word ", "other word\n", "naïve ", "東京。\n", "<|endoftext|>\n", "don't ", "\n\n", "12 ", "\xff\xfe", "a.b ", "\u3000"];
  for (const [i, length] of [40_000, 9, 25_000].entries()) {
    const text: Buffer[] = [];
    for (let size = 0; size < length; size++) {
      const part = parts[Math.floor(random.next() * parts.length)];
      text.push(Buffer.from(part, part === "\xff\xfe" ? "latin1" : "utf8"));
    }
    paths.push(join(folder, `${i}.txt`));
    await writeFile(paths[i], Buffer.concat(text));
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const cutting: Cutting = { pattern: "gpt2", special: ["<|endoftext|>"], lines: false };

const asMap = ({ table, ...totals }: CountedPieces): unknown => {
  const { keys, ends, counts } = table.data();
  return {
    ...totals,
    pieces: new Map([...counts].map((count, i) => [Buffer.from(keys.subarray(i === 0 ? 0 : ends[i - 1], ends[i])).toString("latin1"), count])),
  };
};

describe("counting on threads", () => {
  it.each([
    [2, 1 << 14],
    [3, 50_000],
    [2, 1 << 20],
  ])("with %i threads and parts of %i bytes gives what one thread gives", async (threads, part) => {
    const files = await textSources(paths);
    let read = 0;
    const counted = await countOnThreads(paths, { threads, part, module })(files, cutting, { onBytes: (bytes) => (read += bytes) });
    expect(asMap(counted)).toEqual(asMap(await countPieces(files, cutting, {})));
    expect(read).toBe(files.reduce((sum, { size }) => sum + size, 0));
    expect(counted.invalidBytes).toBeGreaterThan(1000);
  });

  it("gives the same vocabulary", async () => {
    const files = await textSources(paths);
    const one = await trainBpe(files, { vocabulary: 300 });
    expect(await trainBpe(files, { vocabulary: 300, count: countOnThreads(paths, { threads: 2, part: 20_000, module }) })).toEqual(one);
  });

  it("passes on what goes wrong in a thread", async () => {
    const files = await textSources(paths);
    const gone = countOnThreads([paths[0], paths[1], join(folder, "gone.txt")], { threads: 2, part: 50_000, module });
    await expect(gone(files, cutting, {})).rejects.toThrow(/gone\.txt: there is no such file any more/);
    await expect(gone(files, cutting, {})).rejects.toMatchObject({ name: "VitrineError" });
  });

  it("ends its threads when stopped", async () => {
    const stop = new AbortController();
    const counting = countOnThreads(paths, { threads: 2, part: 1 << 14, module })(await textSources(paths), cutting, {
      signal: stop.signal,
      onBytes: () => stop.abort(),
    });
    await expect(counting).rejects.toThrow(/was stopped/);
    await expect(
      countOnThreads(paths, { threads: 2, part: 1 << 14, module })(await textSources(paths), cutting, { signal: stop.signal }),
    ).rejects.toThrow(/was stopped/);
  });

  it("starts none where text or threads are few", async () => {
    const files = await textSources(paths);
    const nowhere = new URL("missing.js", module); // a thread would fail
    const expected = asMap(await countPieces(files, cutting, {}));
    expect(asMap(await countOnThreads(paths, { threads: 1, part: 1000, module: nowhere })(files, cutting, {}))).toEqual(expected);
    expect(asMap(await countOnThreads(paths, { threads: 4, module: nowhere })(files, cutting, {}))).toEqual(expected);
    await expect(countOnThreads(paths, { threads: 4, part: 1000, module: nowhere })(files, cutting, {})).rejects.toThrow(/missing\.js/);
  });
});

describe("files that are opened briefly", () => {
  it("read like open ones, and name what is not there", async () => {
    const [first] = await textSources(paths);
    expect(first).toMatchObject({ name: paths[0] });
    const all = await first.read(0, first.size);
    expect(await first.read(5, 25)).toEqual(all.subarray(5, 25));
    const room = new Uint8Array(64);
    expect((await first.read(0, 10, room)).buffer).toBe(room.buffer);
    await expect(textSources([paths[0], join(folder, "none.txt")])).rejects.toThrow(/none\.txt: no regular file; name a text file/);
  });
});
