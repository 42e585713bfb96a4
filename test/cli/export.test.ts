/** `vitrine export` on real files: what it writes, where, and what it says to mistakes. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryTinyModel } from "../tiny-model.ts";
import { hostModels } from "../../src/cli/host-models.ts";
import { type FakeModels, type Ran, vitrine } from "./fake.testing.ts";
import { exportedSchema, linesOf } from "./json-schema.testing.ts";

let folder: string;
let model: { path: string; remove(): Promise<void> };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vitrine-export-"));
  model = await temporaryTinyModel({ width: 32 });
});
afterAll(async () => {
  await model.remove();
  await rm(folder, { recursive: true });
});

const out = (name: string): string => join(folder, name);
const run = (...args: string[]): Promise<Ran> => vitrine(["export", model.path, ...args]);

describe("vitrine export", () => {
  test("a GGUF file by its ending, then a folder from that file", async () => {
    const first = await run("--out", out("tiny.gguf"), "--type", "Q8_0");
    expect(first).toMatchObject({ code: 0, stdout: `${out("tiny.gguf")}\n`, stderr: "" });
    expect((await readFile(out("tiny.gguf"))).subarray(0, 4).toString()).toBe("GGUF");

    const second = await vitrine(["export", "-m", out("tiny.gguf"), "-o", out("again"), "--type", "f16"]);
    expect(second).toMatchObject({ code: 0, stdout: `${out("again")}\n` });
    expect((await readdir(out("again"))).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    expect((await readdir(folder)).sort()).toEqual(["again", "tiny.gguf"]); // no temporary files
  });

  test("tells as data what was written", async () => {
    for (const [file, type, format] of [
      ["data.gguf", "q4_0", "gguf"],
      ["data", "bf16", "safetensors"],
    ]) {
      const { code, stdout, stderr } = await run("--out", out(file), "--type", type, "--json");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const [line, ...more] = linesOf(stdout);
      expect(more).toEqual([]);
      const { bytes, ...rest } = exportedSchema.parse(line);
      expect(rest).toEqual({ type: "exported", model: basename(model.path), path: out(file), format, weights: type });
      expect(bytes).toBe((await stat(format === "gguf" ? out(file) : join(out(file), "model.safetensors"))).size);
    }
  });

  test("what was exported is a model for the other commands", async () => {
    await run("--out", out("same.gguf"));
    const models: FakeModels = { ...hostModels, asked: [], disposed: 0 };
    for (const args of [
      ["tokenize", "the inner 🙂", "--json", "--model"],
      ["params", "--rule", "exact", "--json"],
      ["score", "the thin", "--json", "--device", "reference", "--model"],
      ["generate", "the", "--seed", "1", "-n", "8", "--device", "reference", "--model"],
    ]) {
      const said = await Promise.all([model.path, out("same.gguf")].map((path) => vitrine([...args, path], { models })));
      expect(said[1].code, said[1].stderr).toBe(0);
      // Names and times differ, nothing else.
      const facts = said.map(({ stdout }) => stdout.replaceAll(/"(?:model|seconds|tokensPerSecond|promptSeconds)":[^,}]*/g, ""));
      expect(facts[1]).toBe(facts[0]);
    }
  });

  test("a note about what is not as asked", async () => {
    const narrow = await temporaryTinyModel({ width: 16 });
    const { code, stderr } = await vitrine(["export", narrow.path, "-o", out("narrow.gguf"), "--type", "q4_0"]);
    await narrow.remove();
    expect(code).toBe(0);
    expect(stderr).toMatch(/^7 of 28 tensors \(token_embd\.weight \.\.\.\) became F16, since Q4_0 wants rows of a multiple of 32 numbers\n$/);
  });

  test("writes over a model only with --force, and never over its own source", async () => {
    await run("--out", out("once.gguf"));
    const { mtimeMs } = await stat(out("once.gguf"));
    expect(await run("--out", out("once.gguf"))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is already there; choose another name, or write over it with --force") as string,
    });
    expect((await stat(out("once.gguf"))).mtimeMs).toBe(mtimeMs);
    expect((await run("--out", out("once.gguf"), "--force", "--type", "f16")).code).toBe(0);
    expect(await run("--out", model.path)).toMatchObject({ code: 2, stderr: expect.stringContaining("is the model itself") as string });
    await mkdir(out("full"));
    await writeFile(out("full/config.json"), "{}");
    expect((await run("--out", out("full"))).stderr).toContain("holds a model already (config.json)");
    expect((await vitrine(["export", out("once.gguf"), "-o", out("once.gguf"), "--force"])).stderr).toContain("is the model itself");
  });

  test.each<[string[], RegExp]>([
    [["--out", "x.gguf", "--type", "bf16"], /--type bf16 is no type of GGUF files; expected f32, f16, q8_0, q4_0/],
    [["--out", "x", "--type", "q8_0"], /--type q8_0 is no type of safetensors files; expected f32, f16, bf16/],
    [["--out", "x.gguf", "--type", "q8"], /--type is "q8"; expected f32, f16, q8_0, q4_0 or bf16/],
    [["--out", "x", "--format", "onnx"], /--format is "onnx"; expected gguf or safetensors/],
    [["--out", "x.bin", "--format", "gguf"], /a GGUF file's name ends in \.gguf/],
    [["--out", tmpdir(), "--format", "gguf"], /is a folder; name a file in it/],
    [["-m", "other", "--out", "x"], /a model was named twice/],
    [[], /required option '-o, --out <path>' not specified/],
  ])("%j is refused in one line", async (args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test("a damaged or foreign GGUF file", async () => {
    await writeFile(out("bad.gguf"), "GGUF?");
    expect(await vitrine(["export", out("bad.gguf"), "-o", out("never")])).toMatchObject({ code: 2, stderr: expect.stringContaining("its header goes on past the end of the file") as string }); // prettier-ignore
  });
});
