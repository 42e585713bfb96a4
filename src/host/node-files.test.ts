import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import * as files from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ByteSource, type Folder } from "../base/bytes.ts";
import { FormatError, VitrineError } from "../base/errors.ts";
import { openModelFolder, requireConfig } from "../formats/hf-folder.ts";
import { writeModelFolder } from "../formats/save-folder.ts";
import { nodeFolder, nodeFolderWriter, openFile, removeLeftovers } from "./node-files.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof files>();
  return { ...real, open: vi.fn(real.open), rename: vi.fn(real.rename), mkdir: vi.fn(real.mkdir) };
});

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "vitrine-files-"));
});
afterEach(() => {
  vi.clearAllMocks();
  rmSync(place, { recursive: true, force: true });
});

async function opened(folder: Folder, file: string): Promise<ByteSource> {
  return (await folder.open(file)) ?? expect.fail(`${file} is not there`);
}

/** The VitrineError that `work` fails with. */
async function failure(work: Promise<unknown>): Promise<VitrineError> {
  const error: unknown = await work.then(
    () => expect.fail("it worked"),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(VitrineError);
  return error as VitrineError;
}

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: from the test`), { code });
}

describe("nodeFolder", () => {
  it("lists files and links to files, not folders or links to nowhere", async () => {
    writeFileSync(join(place, "a.json"), "{}");
    mkdirSync(join(place, "sub"));
    symlinkSync("a.json", join(place, "link"));
    symlinkSync("sub", join(place, "folder-link"));
    symlinkSync("gone", join(place, "dangling"));
    expect((await nodeFolder(place).list()).toSorted()).toEqual(["a.json", "link"]);
    expect(await nodeFolder(place).open("sub")).toBeUndefined();
    expect(await nodeFolder(place).open("dangling")).toBeUndefined();
    expect(await nodeFolder(place).open("missing")).toBeUndefined();
    const source = await opened(nodeFolder(place), "link");
    expect(source.size).toBe(2);
    await source.close();
  });

  it("reads ranges at their place, and only while open", async () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
    writeFileSync(join(place, "x"), bytes);
    const source = await opened(nodeFolder(place), "x");
    expect(source.name).toBe(join(place, "x"));
    expect(await source.read(70_000, 70_003)).toEqual(bytes.slice(70_000, 70_003));
    expect(await source.read(0, 100_000)).toEqual(bytes);
    expect(await source.read(5, 5)).toEqual(new Uint8Array(0));
    await expect(source.read(0, 100_001)).rejects.toThrow(/^internal/);
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toThrow(/^internal: .*read after close/);
  });

  it("notices a file that shrinks under it", async () => {
    writeFileSync(join(place, "x"), "0123456789");
    const source = await opened(nodeFolder(place), "x");
    writeFileSync(join(place, "x"), "01234");
    await expect(source.read(0, 10)).rejects.toThrow(FormatError);
    await source.close();
  });

  it("refuses names that lead out of the folder", async () => {
    for (const name of ["../x", "/etc/passwd", "..", "a/b", ""]) await expect(nodeFolder(place).open(name)).rejects.toThrow(VitrineError);
  });

  it("says when the folder is missing, or is a file", async () => {
    expect((await failure(nodeFolder(join(place, "gone")).list())).message).toBe(`${join(place, "gone")}: no such folder; check the path`);
    writeFileSync(join(place, "x"), "");
    expect((await failure(nodeFolder(join(place, "x")).list())).message).toContain("a file, expected a folder");
  });

  it("does not wait for a writer on a named pipe", async () => {
    try {
      execFileSync("mkfifo", [join(place, "pipe")]);
    } catch {
      return; // no such thing here
    }
    expect(await openFile(join(place, "pipe"))).toBeUndefined();
    expect(await nodeFolder(place).list()).toEqual([]);
  });

  it("says when a file may not be read", async () => {
    writeFileSync(join(place, "x"), "");
    vi.mocked(files.open).mockRejectedValueOnce(errno("EACCES"));
    const error = await failure(nodeFolder(place).open("x"));
    expect(error.message).toContain("no permission to read");
    expect(error.blame).toBe("request");
  });
});

describe("nodeFolderWriter", () => {
  it("makes the folder, writes the chunks, leaves nothing else", async () => {
    const path = join(place, "deep", "er");
    await nodeFolderWriter(path).write("x", [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
    expect([...readFileSync(join(path, "x"))]).toEqual([1, 2, 3]);
    expect(readdirSync(path)).toEqual(["x"]);
  });

  it("leaves the old file intact, and no temporary one, when the chunks fail half-way", async () => {
    writeFileSync(join(place, "x"), "old");
    const seen: string[][] = [];
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(100_000);
      seen.push(readdirSync(place));
      expect(readFileSync(join(place, "x"), "utf8")).toBe("old");
      throw new Error("no more");
    };
    await expect(nodeFolderWriter(place).write("x", chunks())).rejects.toThrow(/^no more$/);
    expect(seen[0]).toHaveLength(2); // the temporary file was really there
    expect(readdirSync(place)).toEqual(["x"]);
    expect(readFileSync(join(place, "x"), "utf8")).toBe("old");
  });

  it("replaces the old file in one step: a reader that has it open keeps it whole", async () => {
    writeFileSync(join(place, "x"), "old file");
    const source = await opened(nodeFolder(place), "x");
    await nodeFolderWriter(place).write("x", [new TextEncoder().encode("new")]);
    expect(new TextDecoder().decode(await source.read(0, 8))).toBe("old file");
    await source.close();
    expect(readFileSync(join(place, "x"), "utf8")).toBe("new");
  });

  it("survives two writers of one file: one of the two is there, whole", async () => {
    await Promise.all(
      [1, 2, 3].map((byte) =>
        nodeFolderWriter(place).write(
          "x",
          Array.from({ length: 20 }, () => new Uint8Array(5000).fill(byte)),
        ),
      ),
    );
    const bytes = readFileSync(join(place, "x"));
    expect(bytes.length).toBe(100_000);
    expect(new Set(bytes).size).toBe(1);
    expect(readdirSync(place)).toEqual(["x"]);
  });

  it("syncs the file before the rename, and the folder after", async () => {
    const real = await vi.importActual<typeof files>("node:fs/promises");
    const log: string[] = [];
    vi.mocked(files.open).mockImplementation(async (path, flags) => {
      const handle = await real.open(path, flags);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => (log.push(path === place ? "sync folder" : "sync file"), sync());
      return handle;
    });
    vi.mocked(files.rename).mockImplementation(async (from, to) => (log.push("rename"), real.rename(from, to)));
    await nodeFolderWriter(place).write("x", [Uint8Array.of(1)]);
    expect(log).toEqual(["sync file", "rename", "sync folder"]);
    vi.mocked(files.open).mockImplementation(real.open);
    vi.mocked(files.rename).mockImplementation(real.rename);
  });

  it.each([
    ["ENOSPC", "the disk is full; free some space"],
    ["EDQUOT", "the disk is full"],
    ["EACCES", "no permission to write there"],
    ["EROFS", "the disk is read-only"],
    ["EIO", "the disk reports an input/output error"],
    ["ESTALE", "the system says ESTALE"],
  ])("%s half-way: clear words, the work's fault, the old file intact", async (code, message) => {
    writeFileSync(join(place, "x"), "old");
    const real = await vi.importActual<typeof files>("node:fs/promises");
    vi.mocked(files.open).mockImplementationOnce(async (path, flags) => {
      const handle = await real.open(path, flags);
      let writes = 0;
      const write = handle.write.bind(handle) as (bytes: Uint8Array) => Promise<{ bytesWritten: number; buffer: Uint8Array }>;
      handle.write = (async (bytes: Uint8Array) => (++writes === 2 ? Promise.reject(errno(code)) : write(bytes))) as typeof handle.write;
      return handle;
    });
    const error = await failure(nodeFolderWriter(place).write("x", [Uint8Array.of(1), Uint8Array.of(2)]));
    expect(error.message).toContain(`${join(place, "x")}: not written, ${message}`);
    expect(error.blame).toBe("work");
    expect(readdirSync(place)).toEqual(["x"]);
    expect(readFileSync(join(place, "x"), "utf8")).toBe("old");
  });

  it.each(["EACCES", "EROFS"])("%s when the folder is made: clear words too", async (code) => {
    vi.mocked(files.mkdir).mockRejectedValueOnce(errno(code));
    expect((await failure(nodeFolderWriter(place).write("x", []))).blame).toBe("work");
  });

  it("says when a folder or a file is in the way", async () => {
    mkdirSync(join(place, "x"));
    expect((await failure(nodeFolderWriter(place).write("x", [Uint8Array.of(1)]))).message).toContain("a folder of this name is in the way");
    expect(readdirSync(place)).toEqual(["x"]);
    writeFileSync(join(place, "file"), "");
    expect((await failure(nodeFolderWriter(join(place, "file")).write("x", []))).message).toContain("a file is in the way");
    expect((await failure(nodeFolderWriter(join(place, "file", "sub")).write("x", []))).message).toContain("a file is in the way");
  });

  it("refuses names that lead out of the folder", async () => {
    for (const name of ["../x", "/tmp/x", "a/b", ".."])
      expect((await failure(nodeFolderWriter(place).write(name, []))).message).toContain("is not a file name");
  });

  it.skipIf(process.getuid?.() === 0 || process.platform === "win32")(
    "a real folder without permission (skipped for root, who may write anywhere)",
    async () => {
      chmodSync(place, 0o555);
      expect((await failure(nodeFolderWriter(place).write("x", []))).message).toContain("no permission to write there");
      chmodSync(place, 0o755);
    },
  );
});

describe("a model folder on disk", () => {
  it("is read back as it was written", async () => {
    const path = join(place, "model");
    const values = Float32Array.from({ length: 3_000_000 }, (_, i) => i / 7);
    await writeModelFolder(nodeFolderWriter(path), {
      config: { model_type: "gpt2" },
      weights: [{ name: "w", dtype: "F32", shape: [3, 1_000_000], values }],
      tokenizerFiles: { "merges.txt": "a b\n" },
    });
    const model = await openModelFolder(nodeFolder(path));
    expect(requireConfig(model)).toEqual({ model_type: "gpt2" });
    const source = await model.openWeights();
    const read = await source.read("w");
    expect(Buffer.from(read.buffer).equals(Buffer.from(values.buffer))).toBe(true);
    await source.close();
    expect(readdirSync(path).toSorted()).toEqual(["config.json", "merges.txt", "model.safetensors"]);
  });
});

describe.skipIf(!existsSync("../shared/data"))("real folders (skipped where ../shared/data is absent)", () => {
  it.each([
    ["stories260K", "llama", 47], // embedding, 5 x 9, last norm; the head is tied
    ["golden/gpt2-tiny", "gpt2", 28], // two embeddings, 2 x 12, last norm's two
    ["golden/nano-sort", "gpt2", 41], // the same with 3 blocks, and a head
  ])("%s opens with its config and weights", async (path, type, tensors) => {
    const model = await openModelFolder(nodeFolder(`../shared/data/${path}`));
    expect(requireConfig(model)["model_type"]).toBe(type);
    const source = await model.openWeights();
    expect(source.tensors.size).toBe(tensors);
    expect([...source.tensors.values()].every(({ dtype }) => dtype === "F32")).toBe(true);
    await source.close();
  });

  it("gpt2-tokenizer opens as a tokenizer alone", async () => {
    const model = await openModelFolder(nodeFolder("../shared/data/gpt2-tokenizer"));
    expect(model.config).toBeUndefined();
    expect((await model.readText("merges.txt"))?.startsWith("#version: 0.2\n")).toBe(true);
    await expect(model.openWeights()).rejects.toThrow("it holds merges.txt, vocab.json; fetch model.safetensors into it");
  });
});

it("what a crash left goes, what is being written and everything else stays", async () => {
  const id = "0b8f8e2a-0c1d-4e3f-8a9b-1c2d3e4f5a6b";
  const [old, fresh, other] = [`.model.safetensors.${id}.tmp`, `.checkpoint.safetensors.${id}.tmp`, "notes.tmp"];
  for (const file of [old, fresh, other]) writeFileSync(join(place, file), "x");
  for (const file of [old, other]) utimesSync(join(place, file), new Date(0), new Date(0));
  await removeLeftovers(place);
  expect(readdirSync(place).toSorted()).toEqual([fresh, other].toSorted());
  await removeLeftovers(join(place, "not there"));
});
