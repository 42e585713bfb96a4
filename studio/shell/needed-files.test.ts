import { expect, test } from "vitest";
import { neededFiles } from "./needed-files.ts";

const needed = (...names: string[]): string[] => neededFiles(names.map((name) => ({ name }))).map(({ name }) => name);

test("a clone of a repository keeps the model once, its heart last", () => {
  const clone = ["config.json", "README.md", "flax_model.msgpack", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "gpt2-q4.gguf"];
  expect(needed(...clone)).toEqual(["model.safetensors", "tokenizer.json", "config.json"]);
});

test.each([
  [
    ["config.json", "vocab.json", "merges.txt", "weights.safetensors"],
    ["vocab.json", "merges.txt", "weights.safetensors", "config.json"],
  ],
  [
    [
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
      "consolidated.safetensors",
      "config.json",
    ],
    ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "config.json"],
  ],
  [
    ["model.safetensors", "model.fp16.safetensors", "model.safetensors.index.json", "config.json"],
    ["model.safetensors", "config.json"],
  ],
  [["stories.gguf", "notes.txt"], ["stories.gguf"]],
])("of %j is kept %j", (all, kept) => {
  expect(needed(...all)).toEqual(kept);
});
