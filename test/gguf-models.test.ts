/**
 * GGUF files as models of the product: small weights stay as the file has them, and a pulled repository of such files is found,
 * listed and run like any other. What is in a GGUF file is src/formats/'s, what small weights compute test/small-weights.test.ts's.
 */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MatrixFormat } from "../src/device/device.ts";
import { openReference } from "../src/device/reference/reference.ts";
import { exportGguf } from "../src/engine/export.ts";
import { loadEngine } from "../src/engine/load.ts";
import type { GgufType } from "../src/formats/gguf-type.ts";
import { distributionOf } from "../src/generation/distribution.ts";
import { findCachedModel, listModels } from "../src/host/hub.ts";
import { nodeFolder, nodeFolderWriter } from "../src/host/node-files.ts";
import { resolveModel } from "../src/host/node-models.ts";
import { vitrine } from "./cli/fake.testing.ts";
import { hostModels } from "../src/cli/host-models.ts";
import { linesOf, modelSchema } from "./cli/json-schema.testing.ts";
import { temporaryTinyModel } from "./tiny-model.ts";

let home: string;
let model: { path: string; remove(): Promise<void> };
const types: readonly GgufType[] = ["F32", "F16", "Q8_0", "Q4_0"];
const file = (type: GgufType): string => join(home, `${type}.gguf`);

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "vitrine-gguf-"));
  model = await temporaryTinyModel({ width: 32 });
  for (const type of types) await exportGguf(nodeFolder(model.path), nodeFolderWriter(home), `${type}.gguf`, { type });
});
afterAll(async () => {
  await model.remove();
  await rm(home, { recursive: true });
});

/** The model in a file, on the reference device: the format it keeps its weights in, and what it predicts. */
async function loaded(path: string, weights?: MatrixFormat): Promise<{ weights: MatrixFormat | undefined; bytes: number; logits: Float32Array }> {
  const device = openReference();
  const engine = await loadEngine((await resolveModel(path)).folder, device, { weights });
  const { bytes } = device.memory();
  const { logits } = await engine.predict("the thin");
  const found = { weights: engine.info.weights, bytes, logits: logits! };
  engine.dispose();
  device.dispose();
  return found;
}

describe("a GGUF file's weights", () => {
  test.each<[GgufType, MatrixFormat]>([
    ["Q8_0", "int8"],
    ["Q4_0", "int4"],
  ])("of type %s stay in their blocks, as %s, and lose nothing by it", async (type, format) => {
    const asStored = await loaded(file(type));
    const exact = await loaded(file(type), "f32");
    expect([asStored.weights, exact.weights]).toEqual([format, "f32"]);
    expect(asStored.logits).toEqual(exact.logits); // the reference device computes with exactly what a matrix holds
    const original = await loaded(model.path);
    expect(original.weights).toBe("f32");
    expect(asStored.logits).not.toEqual(original.logits); // or nothing was small
    expect(distributionOf(asStored.logits).probability(0)).toBeGreaterThan(0);
  });

  test.each<GgufType>(["F32", "F16"])("of type %s become f32, as a folder's do", async (type) => {
    expect((await loaded(file(type))).weights).toBe("f32");
    expect((await loaded(file(type), "int8")).weights).toBe("int8");
  });

  test("of two kinds become f32: nothing is rounded a second time unasked", async () => {
    const narrow = await temporaryTinyModel({ width: 16 }); // rows of 16 and 48 numbers fit no blocks and become F16, those of 64 do
    await exportGguf(nodeFolder(narrow.path), nodeFolderWriter(home), "mixed.gguf", { type: "Q8_0" });
    await narrow.remove();
    expect((await loaded(join(home, "mixed.gguf"))).weights).toBe("f32");
  });

  test("are told and compared by the commands", async () => {
    const models = { ...hostModels, asked: [], disposed: 0 };
    const said = await vitrine(["generate", "the", "-n", "1", "--json", "--device", "reference", "--model", file("Q8_0")], { models });
    expect(linesOf(said.stdout)[0]).toMatchObject({ weights: "int8", device: expect.stringContaining("reference") as string });
    const compared = await vitrine(["score", "the thin", "--compare", "--json", "--device", "reference", "--model", file("Q4_0")], { models });
    expect(compared.code, compared.stderr).toBe(0);
    expect(linesOf(compared.stdout).find(({ type }) => type === "compare")).toMatchObject({ weights: "int4", with: "f32", divergence: 0 });
    const nothing = await vitrine(["score", "the thin", "--compare", "--device", "reference", "--model", file("F16")], { models });
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining("add --weights int8") as string });
  });
});

describe("a pulled repository of GGUF files", () => {
  const commit = "a".repeat(40);
  let cacheDir: string;
  let snapshot: string;

  /** As huggingface_hub lays it out: blobs, and links to them under the files' names. */
  const put = async (name: string, from: string): Promise<void> => symlink(relative(snapshot, from), join(snapshot, name));
  const list = async (): Promise<{ modelType?: string; loadable: boolean; why: string }> => (await listModels({ cacheDir }))[0];

  beforeAll(async () => {
    cacheDir = join(home, "hub");
    snapshot = join(cacheDir, "models--org--tiny-GGUF/snapshots", commit);
    await mkdir(join(cacheDir, "models--org--tiny-GGUF/refs"), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(cacheDir, "models--org--tiny-GGUF/refs/main"), commit);
  });

  test("with one file is listed as loadable, and runs by its name", async () => {
    await writeFile(join(snapshot, "README.md"), "# tiny");
    await put("tiny.Q8_0.gguf", file("Q8_0"));
    expect(await list()).toMatchObject({ modelType: "gpt2", loadable: true, why: "" });
    const found = await resolveModel("org/tiny-GGUF", { cacheDir });
    expect(found).toMatchObject({ name: "org/tiny-GGUF", path: snapshot });
    const engine = await loadEngine(found.folder, openReference());
    expect(engine.info).toMatchObject({ architecture: "gpt2", weights: "int8" });
    engine.dispose();
    const { code, stdout } = await vitrine(["models", "--json"], {
      models: { ...hostModels, asked: [], disposed: 0 },
      env: { HF_HUB_CACHE: cacheDir },
    });
    expect(code).toBe(0);
    const lines = linesOf(stdout).map((line) => modelSchema.parse(line));
    expect(lines.find(({ source }) => source === "cache")).toMatchObject({ name: "org/tiny-GGUF", loadable: true, architecture: "gpt2" });
  });

  test("that the engine has no word for says why", async () => {
    expect((await listModels({ cacheDir, check: ({ model_type: type }) => `no ${String(type)} today` }))[0]).toMatchObject({
      loadable: false,
      why: "no gpt2 today",
    });
    await writeFile(join(home, "bad.gguf"), "GGUF?");
    await rm(join(snapshot, "tiny.Q8_0.gguf"));
    await put("bad.gguf", join(home, "bad.gguf"));
    expect(await list()).toMatchObject({ loadable: false, why: expect.stringContaining("bad.gguf: its header goes on past the end") as string });
    await rm(join(snapshot, "bad.gguf"));
    await put("tiny.Q8_0.gguf", file("Q8_0"));
  });

  test("with several says how to run one of them, and refuses to guess", async () => {
    await put("tiny.Q4_0.gguf", file("Q4_0"));
    expect(await list()).toMatchObject({ loadable: false, why: `2 GGUF files; run one with --model ${join(snapshot, "tiny.Q4_0.gguf")}` });
    const { folder } = await resolveModel("org/tiny-GGUF", { cacheDir });
    await expect(loadEngine(folder, openReference())).rejects.toThrow("holds 2 GGUF files (tiny.Q4_0.gguf, tiny.Q8_0.gguf); name one of them");
    expect((await loaded(join(snapshot, "tiny.Q4_0.gguf"))).weights).toBe("int4"); // the cure works
  });

  test("beside a config.json, too: a folder's weights are safetensors", async () => {
    await writeFile(join(snapshot, "config.json"), '{"model_type": "gpt2"}');
    expect((await list()).why).toBe(`no model.safetensors, but 2 GGUF files; run one with --model ${join(snapshot, "tiny.Q4_0.gguf")}`);
    expect(await findCachedModel("org/tiny-GGUF", { cacheDir })).toBeUndefined();
    await rm(join(snapshot, "config.json"));
  });

  test("is nothing once its blobs are gone", async () => {
    for (const name of ["tiny.Q8_0.gguf", "tiny.Q4_0.gguf"]) await rm(join(snapshot, name));
    await symlink("../../blobs/gone", join(snapshot, "tiny.Q8_0.gguf"));
    expect(await list()).toMatchObject({ loadable: false, why: "no config.json" });
    expect(await findCachedModel("org/tiny-GGUF", { cacheDir })).toBeUndefined();
  });
});
