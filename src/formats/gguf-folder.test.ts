import { describe, expect, test } from "vitest";
import { FormatError } from "../base/errors.ts";
import { memoryFolder } from "./counted.testing.ts";
import { ggufFileOf, openGgufFolder } from "./gguf-folder.ts";
import { tensorOf, written } from "./gguf.testing.ts";
import { ggufDimensions, type GgufModel } from "./gguf-model.ts";
import { requireConfig } from "./hf-folder.ts";
import { openModel } from "./open-model.ts";
import type { TypedValue } from "./write-gguf.ts";

const model: GgufModel = {
  architecture: "gpt2",
  layers: 1,
  heads: 1,
  kvHeads: 1,
  width: 4,
  headDimension: 4,
  mlpWidth: 16,
  contextLength: 8,
  vocabularySize: 3,
  normEpsilon: 1e-5,
};
const vocabulary: [string, TypedValue][] = [
  ["tokenizer.ggml.model", { string: "gpt2" }],
  ["tokenizer.ggml.tokens", { strings: ["a", "b", "ab"] }],
  ["tokenizer.ggml.merges", { strings: ["a b"] }],
  ["tokenizer.ggml.bos_token_id", { u32: 2 }],
];

/** A file whose only tensor is its embedding. */
function fileOf(values: readonly [string, TypedValue][]): Promise<Uint8Array> {
  return written(new Map([...ggufDimensions("m", model), ...values]), [tensorOf("token_embd.weight", "F32", [3, 4], (i) => i)]);
}

describe("a GGUF file as a folder", () => {
  test("has the files that its metadata amounts to, and nothing stays open", async () => {
    const folder = memoryFolder({ "m.gguf": await fileOf(vocabulary) }, "here");
    const opened = await openGgufFolder(folder, "m.gguf");
    expect(folder.opened()).toBe(0);
    expect(opened.name).toBe("here/m.gguf");
    expect(opened.files).toEqual(["config.json", "tokenizer.json", "tokenizer_config.json"]);
    expect(requireConfig(opened)).toMatchObject({ model_type: "gpt2", n_embd: 4, vocab_size: 3 });
    expect(JSON.parse((await opened.readText("config.json"))!)).toEqual(opened.config);
    expect(JSON.parse((await opened.readText("tokenizer.json"))!)).toMatchObject({
      model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] },
    });
    expect(opened.tokenizerConfig).toEqual({ bos_token: "ab", eos_token: null });
    expect([await opened.readText("vocab.json"), await opened.readText("constructor"), opened.generationConfig]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);

    const weights = await opened.openWeights();
    expect(folder.opened()).toBe(1);
    expect([...(await weights.read("transformer.wte.weight", 4, 8))]).toEqual([4, 5, 6, 7]);
    await weights.close();
    expect(folder.opened()).toBe(0);
  });

  test("without a vocabulary it has no tokenizer files", async () => {
    for (const values of [[], [["tokenizer.ggml.model", { string: "no_vocab" }]] as [string, TypedValue][]]) {
      expect((await openGgufFolder(memoryFolder({ "m.gguf": await fileOf(values) }), "m.gguf")).files).toEqual(["config.json"]);
    }
  });

  test("tokens called like parts of objects are tokens like others", async () => {
    const names = ["__proto__", "constructor", "0"];
    const values: [string, TypedValue][] = [vocabulary[0], ["tokenizer.ggml.tokens", { strings: names }], ["tokenizer.ggml.merges", { strings: [] }]];
    const opened = await openGgufFolder(memoryFolder({ "m.gguf": await fileOf(values) }), "m.gguf");
    const { model: bpe } = JSON.parse((await opened.readText("tokenizer.json"))!) as { model: { vocab: object } };
    expect(Object.entries(bpe.vocab).sort((a, b) => a[1] - b[1])).toEqual(names.map((name, id) => [name, id]));
  });

  test.each<[string, [string, TypedValue][], string]>([
    ["another kind of vocabulary", [["tokenizer.ggml.model", { string: "t5" }]], 'its tokenizer is the text "t5"; from GGUF, gpt2 and llama'],
    [
      "another way to cut",
      [["tokenizer.ggml.pre", { string: "qwen2" }]],
      'cuts text the way the text "qwen2", known from GGUF are gpt-2, llama-bpe, smollm',
    ],
    ["merges missing", [["tokenizer.ggml.merges", { u32: 1 }]], "tokenizer.ggml.merges is 1, expected a list of texts"],
    ["scores missing", [["tokenizer.ggml.model", { string: "llama" }]], "tokenizer.ggml.scores is nothing, expected a list of numbers"],
    ["types in words", [["tokenizer.ggml.token_type", { strings: ["a"] }]], "tokenizer.ggml.token_type is an array of 1, expected a list of numbers"],
  ])("%s: the tokenizer is refused", async (_, changes, message) => {
    const opened = await openGgufFolder(memoryFolder({ "m.gguf": await fileOf([...vocabulary, ...changes]) }), "m.gguf");
    await expect(opened.readText("tokenizer.json")).rejects.toThrow(FormatError);
    await expect(opened.readText("tokenizer.json")).rejects.toThrow(message);
  });

  test("a file that changed, went away or is none", async () => {
    const files = new Map([["m.gguf", await fileOf(vocabulary)]]);
    const folder = memoryFolder(files);
    const opened = await openGgufFolder(folder, "m.gguf");
    files.set("m.gguf", new Uint8Array(100));
    await expect(opened.openWeights()).rejects.toThrow("changed while it was read");
    await expect(openGgufFolder(folder, "m.gguf")).rejects.toThrow('does not begin with "GGUF"');
    files.delete("m.gguf");
    await expect(opened.openWeights()).rejects.toThrow("m.gguf is not there");
    expect(folder.opened()).toBe(0);
  });
});

describe("which form a folder holds", () => {
  test("a single GGUF file without config.json is the model", () => {
    expect(ggufFileOf("f", ["README.md", "m.GGUF"])).toBe("m.GGUF");
    expect(ggufFileOf("f", ["config.json", "m.gguf"])).toBeUndefined();
    expect(ggufFileOf("f", ["model.safetensors"])).toBeUndefined();
    expect(() => ggufFileOf("f", ["b.gguf", "a.gguf"])).toThrow("f: holds 2 GGUF files (a.gguf, b.gguf); name one of them");
  });

  test("openModel takes either, and lists the folder once", async () => {
    let listed = 0;
    const counting = (files: Record<string, Uint8Array | string>): ReturnType<typeof memoryFolder> => {
      const folder = memoryFolder(files);
      return { ...folder, list: () => (listed++, folder.list()) };
    };
    expect((await openModel(counting({ "m.gguf": await fileOf(vocabulary) }))).config).toMatchObject({ n_embd: 4 });
    expect((await openModel(counting({ "config.json": '{"n_embd": 5}' }))).config).toEqual({ n_embd: 5 });
    expect(listed).toBe(2);
  });
});
