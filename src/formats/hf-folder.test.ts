import { describe, expect, it } from "vitest";
import { FormatError } from "../base/errors.ts";
import { fileOf, memoryFolder } from "./counted.testing.ts";
import { openModelFolder, requireConfig } from "./hf-folder.ts";

const weights = (value: number): Uint8Array =>
  fileOf({ w: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, new Uint8Array(Float32Array.of(value).buffer));
const index = JSON.stringify({ weight_map: { w: "model-00001-of-00001.safetensors" } });

describe("openModelFolder", () => {
  it("parses the JSON files that are there, and closes every file", async () => {
    const folder = memoryFolder({
      "config.json": '{"model_type":"gpt2"}',
      "generation_config.json": '{"eos_token_id":0}',
      "model.safetensors": weights(1),
    });
    const model = await openModelFolder(folder);
    expect(model.name).toBe("model");
    expect(model.files).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    expect(requireConfig(model)).toEqual({ model_type: "gpt2" });
    expect(model.generationConfig).toEqual({ eos_token_id: 0 });
    expect(model.tokenizerConfig).toBeUndefined();
    expect(folder.opened()).toBe(0);
  });

  it("reads the text of any file, within bounds", async () => {
    const folder = memoryFolder({ "merges.txt": "a b\n" });
    const model = await openModelFolder(folder);
    expect(await model.readText("merges.txt")).toBe("a b\n");
    expect(await model.readText("vocab.json")).toBeUndefined();
    await expect(model.readText("merges.txt", 3)).rejects.toThrow(FormatError);
    expect(folder.opened()).toBe(0);
  });

  it.each<[string, string, string]>([
    ["broken JSON", '{"n_layer": 12,}', "model/config.json: not valid JSON at line 1, column 16"],
    ["another type", "[12]", "holds an array of 1, expected a JSON object"],
    ["nothing at all", "", "the file is cut short"],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "not valid JSON at line 1"],
  ])("refuses a config.json that is %s", async (_, text, message) => {
    const folder = memoryFolder({ "config.json": text });
    await expect(openModelFolder(folder)).rejects.toThrow(FormatError);
    await expect(openModelFolder(folder)).rejects.toThrow(message);
    expect(folder.opened()).toBe(0);
  });

  it("does not read a config.json of absurd size", async () => {
    const folder = memoryFolder({ "config.json": new Uint8Array(17 * 1024 * 1024) });
    await expect(openModelFolder(folder)).rejects.toThrow("expected at most 16777216");
  });
});

describe("requireConfig says what the folder is instead", () => {
  it.each<[string[], string]>([
    [["vocab.json", "merges.txt"], "model: a tokenizer without a model (no config.json)"],
    [["tokenizer.json"], "a tokenizer without a model"],
    [["notes.txt", "a.jpg"], "no config.json, so not a model folder (it holds a.jpg, notes.txt)"],
    [[], "(it holds no files)"],
    [["1", "2", "3", "4", "5", "6", "7", "8"], "1, 2, 3, 4, 5 and 3 more"],
  ])("%j", async (files, message) => {
    const model = await openModelFolder(memoryFolder(Object.fromEntries(files.map((file) => [file, "{}"]))));
    expect(() => requireConfig(model)).toThrow(FormatError);
    expect(() => requireConfig(model)).toThrow(message);
  });
});

describe("openWeights", () => {
  it.each<[string, Record<string, Uint8Array | string>, number]>([
    [
      "model.safetensors before all others",
      { "model.safetensors": weights(1), "model.safetensors.index.json": index, "x.safetensors": weights(2) },
      1,
    ],
    [
      "the shards of an index",
      { "model.safetensors.index.json": index, "model-00001-of-00001.safetensors": weights(3), "x.safetensors": weights(2) },
      3,
    ],
    ["the only safetensors file", { "stories.safetensors": weights(4), "pytorch_model.bin": "old" }, 4],
  ])("takes %s", async (_, files, value) => {
    const source = await (await openModelFolder(memoryFolder(files))).openWeights();
    expect(await source.read("w")).toEqual(Float32Array.of(value));
    await source.close();
  });

  it.each<[string, Record<string, string>, string]>([
    [
      "a pickle",
      { "pytorch_model.bin": "PK" },
      "pytorch_model.bin is there, a format that can run code when opened and is not read; convert it in Python: AutoModelForCausalLM",
    ],
    ["sharded pickles", { "pytorch_model-00001-of-00002.bin": "PK", "training_args.bin": "" }, "pytorch_model-00001-of-00002.bin is there"],
    ["GGUF", { "m.gguf": "GGUF" }, "m.gguf is there, a model by itself; give that file instead of the folder"],
    ["TensorFlow", { "tf_model.h5": "" }, "tf_model.h5 is there, which is not read"],
    ["nothing", { "config.json": "{}" }, "model: no weights in safetensors format; it holds config.json; fetch model.safetensors into it"],
    [
      "several files without an index",
      { "a.safetensors": "", "b.safetensors": "" },
      "cannot tell which of a.safetensors, b.safetensors are the weights",
    ],
    ["shards without an index", { "model-00001-of-00002.safetensors": "" }, "no model.safetensors.index.json; fetch the index too"],
    ["an adapter", { "adapter_model.safetensors": "" }, "a change to another model's weights"],
    [
      "a Git LFS pointer",
      { "model.safetensors": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n" },
      "model/model.safetensors: a Git LFS pointer, not the weights themselves; run `git lfs pull`",
    ],
  ])("says what to do with %s, only when asked", async (_, files, message) => {
    const folder = memoryFolder(files);
    const model = await openModelFolder(folder);
    await expect(model.openWeights()).rejects.toThrow(FormatError);
    await expect(model.openWeights()).rejects.toThrow(message);
    expect(folder.opened()).toBe(0);
  });
});
