import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { embeddedModels, nearbyModels, resolveModel } from "./node-models.ts";

let base: string;
let root: string;
let options: { root: string; cwd: string; cacheDir: string };

async function put(path: string, ...files: string[]): Promise<void> {
  await mkdir(path, { recursive: true });
  for (const file of files) await writeFile(join(path, file), "{}");
}

const commit = "0123456789abcdef0123456789abcdef01234567";

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "vitrine-models-"));
  root = join(base, "package");
  options = { root, cwd: join(base, "work"), cacheDir: join(base, "cache") };
  await put(join(root, "models", "glass-6m"), "config.json");
  await put(join(root, "models", "no-model-here"), "README.md");
  await put(join(base, "work", "my-model"), "config.json");
  await put(join(base, "work", "glass-6m-mine"), "config.json");
  const cached = join(base, "cache", "models--org--tiny");
  await put(join(cached, "snapshots", commit), "config.json", "model.safetensors", "tokenizer.json");
  await mkdir(join(cached, "refs"));
  await writeFile(join(cached, "refs", "main"), commit);
});

afterAll(() => rm(base, { recursive: true, force: true }));

describe("which model a name means", () => {
  test("no name: the first embedded model", async () => {
    expect(await resolveModel(undefined, options)).toMatchObject({ name: "glass-6m", path: join(root, "models", "glass-6m") });
    expect((await embeddedModels(root)).map((model) => model.name)).toEqual(["glass-6m"]);
  });

  test("no name and several embedded: the storyteller, and it leads the list; it may be missing or broken", async () => {
    const package_ = join(base, "several", "package");
    const several = { ...options, root: package_ };
    for (const name of ["letters", "a-first", "zoo"]) await put(join(package_, "models", name), "config.json");
    await put(join(package_, "models", "storyteller"), "README.md"); // no config.json: no model yet
    expect((await resolveModel(undefined, several)).name).toBe("a-first");
    await put(join(package_, "models", "storyteller"), "config.json");
    expect((await resolveModel(undefined, several)).name).toBe("storyteller");
    expect((await embeddedModels(package_)).map(({ name }) => name)).toEqual(["storyteller", "a-first", "letters", "zoo"]);
  });

  test("no name and none embedded: the story model beside the clone, else how to get one", async () => {
    const bare = { ...options, root: join(base, "clone", "main") };
    await expect(resolveModel(undefined, bare)).rejects.toThrow(/no model to use.*--model DIR.*vitrine pull/);
    await put(join(base, "clone", "shared", "data", "stories260K"), "config.json");
    expect(await resolveModel(undefined, bare)).toMatchObject({ name: "stories260K" });
  });

  test("the model beside the clone has a name too, and is suggested", async () => {
    const clone = { ...options, root: join(base, "other", "main") };
    await put(join(base, "other", "shared", "data", "stories260K"), "config.json");
    expect((await resolveModel("stories260K", clone)).path).toBe(join(base, "other", "shared", "data", "stories260K"));
    await expect(resolveModel("stories260", clone)).rejects.toThrow(/`vitrine models` lists what is here.*Did you mean "stories260K"\?/);
    expect((await nearbyModels(clone.root)).map((model) => model.name)).toEqual(["stories260K"]);
    expect(await nearbyModels(join(base, "nowhere", "main"))).toEqual([]);
  });

  test("a folder of models is refused with their names", async () => {
    await put(join(base, "work", "several", "one"), "config.json");
    await put(join(base, "work", "several", "two"), "config.json");
    await put(join(base, "work", "several"), "README.md");
    await expect(resolveModel("several", options)).rejects.toThrow(
      'model "several" holds no model files itself, but folders that do: "several/one", "several/two"; name one of them',
    );
    await put(join(base, "work", "several"), "tokenizer.json");
    expect((await resolveModel("several", options)).name).toBe("several");
  });

  test("a path, absolute or from here", async () => {
    for (const path of ["my-model", "./my-model/", join(base, "work", "my-model"), "../work/my-model"]) {
      const found = await resolveModel(path, options);
      expect(found).toMatchObject({ name: "my-model", path: join(base, "work", "my-model") });
      expect(await found.folder.list()).toEqual(["config.json"]);
    }
  });

  test("an embedded name, a pulled id", async () => {
    expect((await resolveModel("glass-6m", options)).path).toBe(join(root, "models", "glass-6m"));
    expect(await resolveModel("org/tiny", options)).toMatchObject({
      name: "org/tiny",
      path: join(options.cacheDir, "models--org--tiny", "snapshots", commit),
    });
    expect((await resolveModel(`org/tiny@${commit}`, options)).path).toContain(commit);
  });

  test.each<[string, RegExp]>([
    ["my-modl", /no model is called "my-modl".*Did you mean "my-model"\?/],
    ["glass-6n", /Did you mean "glass-6m"\?/],
    ["org/tinny", /fetch it with vitrine pull org\/tinny.*Did you mean "org\/tiny"\?/],
    ["org/tiny@other", /fetch it with vitrine pull org\/tiny@other/],
    ["./my-modl", /no such folder; did you mean "my-model"\?/],
    ["/nowhere/at/all", /no such folder; check the path/],
    ["my-model/config.json", /is a file; give a .gguf file, or the folder it lies in, "my-model"/],
    ["", /an empty name; give a folder/],
    ["zzz qqq", /no model is called "zzz qqq".*--model DIR\.$/],
  ])("%j is refused with the cure", async (name, message) => {
    await expect(resolveModel(name, options)).rejects.toThrow(message);
    await expect(resolveModel(name, options)).rejects.toThrow(VitrineError);
  });

  test("a GGUF file is a model by itself, whatever lies beside it", async () => {
    await writeFile(join(base, "work", "x.gguf"), "GGUF");
    const found = await resolveModel("x.gguf", options);
    expect(found).toMatchObject({ name: "x", path: join(base, "work", "x.gguf") });
    expect(await found.folder.list()).toEqual(["x.gguf"]);
    const file = await found.folder.open("x.gguf");
    expect(file?.size).toBe(4);
    await file?.close();
    expect(await found.folder.open("my-model")).toBeUndefined();
  });
});
