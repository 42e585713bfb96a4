/** Models written in other forms and read again: the same numbers, the same config, the same ids, the same text. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError, VitrineError } from "../base/errors.ts";
import { openReference } from "../device/reference/reference.ts";
import { joined, memoryFolder, memoryWriter, type Files } from "../formats/counted.testing.ts";
import { readGgufHeader } from "../formats/gguf.ts";
import type { GgufType } from "../formats/gguf-type.ts";
import { openModel } from "../formats/open-model.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { writeSafetensors } from "../formats/write-safetensors.ts";
import { collect } from "../generation/fake.testing.ts";
import type { ModelConfig } from "../model/config.ts";
import { configToFile, readConfig } from "../model/config-file.ts";
import { gpt2Config } from "../model/presets.ts";
import { randomWeights } from "../model/random-weights.ts";
import { byteCharacters } from "../tokenizer/byte-alphabet.ts";
import { exportFolder, exportGguf, type ExportOptions } from "./export.ts";
import { loadEngine, loadTokenizerOnly, tokenizerOf } from "./load.ts";

const data = join(import.meta.dirname, "../../../shared/data");
const noData = !existsSync(data);
const dataNote = noData ? " (SKIPPED: ../shared/data is not here)" : "";
const read = (path: string): Uint8Array => readFileSync(join(data, path));

type FolderFiles = Record<string, Uint8Array | string>;

/** A byte-level vocabulary with a few merges, an unused id and two added tokens; 264 rows. */
const merges = ["Ġ t", "h e", "Ġt he", "1 2", "12 3"];
const vocab = Object.fromEntries([...byteCharacters, ...merges.map((merge) => merge.replace(" ", ""))].map((piece, id) => [piece, id]));
const addedTokens = [
  { id: 261, content: "<|endoftext|>", special: true },
  { id: 262, content: "<tool>", special: false },
];
const byteLevel = (regex: boolean): object => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: regex });
const llama3Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const bosTemplate = {
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: "<|endoftext|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [],
  special_tokens: { "<|endoftext|>": { id: "<|endoftext|>", ids: [261], tokens: ["<|endoftext|>"] } },
};

function byteLevelJson(fields: object = {}, model: object = {}): string {
  return JSON.stringify({
    added_tokens: addedTokens,
    normalizer: null,
    pre_tokenizer: byteLevel(true),
    post_processor: null,
    decoder: byteLevel(true),
    ...fields,
    model: { type: "BPE", vocab, merges, ...model },
  });
}

/** A SentencePiece-style vocabulary: <unk> <s> </s>, 256 bytes, then letters and merges. */
function sentencePieceJson(fields: object = {}): string {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const pieces = ["<unk>", "<s>", "</s>", ...bytes, ...Array.from("▁etahnoid"), "▁t", "he", "▁the", "in", "▁a"];
  return JSON.stringify({
    added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true })),
    normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, { type: "Replace", pattern: { String: " " }, content: "▁" }] }, // prettier-ignore
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }] }, // prettier-ignore
    ...fields,
    model: { type: "BPE", unk_token: "<unk>", fuse_unk: true, byte_fallback: true, vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])), merges: ["▁ t", "h e", "▁t he", "i n", "▁ a"] }, // prettier-ignore
  });
}

const tinyGpt2 = gpt2Config({ layers: 2, heads: 2, width: 32, vocabularySize: 264, contextLength: 16 });
const tinyLlama = readConfig({
  model_type: "llama",
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_size: 64,
  intermediate_size: 40, // no whole number of blocks
  vocab_size: 280,
  max_position_embeddings: 16,
  rope_theta: 50000,
});

/** A Hugging Face folder of random weights. */
async function folderOf(config: ModelConfig, files: FolderFiles, changes: object = {}): Promise<FolderFiles> {
  const weights = randomWeights(config, 1);
  const tensors = await Promise.all(
    [...weights.tensors.values()].map(async ({ name, shape }) => ({ name, shape, dtype: "F32" as const, values: await weights.read(name) })),
  );
  return {
    "config.json": JSON.stringify({ ...configToFile(config), ...changes }),
    "model.safetensors": await joined(writeSafetensors(tensors)),
    ...files,
  };
}

async function asGguf(files: FolderFiles, options: Partial<ExportOptions<GgufType>> = {}): Promise<Uint8Array> {
  const out: Files = new Map();
  await exportGguf(memoryFolder(files, "tiny"), memoryWriter(out), "tiny.gguf", { type: "F32", ...options });
  return out.get("tiny.gguf")!;
}

const ggufFolder = (bytes: Uint8Array): ReturnType<typeof memoryFolder> => memoryFolder({ "tiny.gguf": bytes }, "file");

async function weightsOf(files: FolderFiles): Promise<TensorSource> {
  return (await openModel(memoryFolder(files))).openWeights();
}

/** The largest |difference| of a tensor in two sources, and its largest number. */
async function apart(a: TensorSource, b: TensorSource, name: string): Promise<{ difference: number; size: number }> {
  const [left, right] = [await a.read(name), await b.read(name)];
  expect(left.length).toBe(right.length);
  let [difference, size] = [0, 0];
  for (let i = 0; i < left.length; i++) {
    difference = Math.max(difference, Math.abs(left[i] - right[i]));
    size = Math.max(size, Math.abs(left[i]));
  }
  return { difference, size };
}

const gpt2Files = (): Promise<FolderFiles> => folderOf(tinyGpt2, { "tokenizer.json": byteLevelJson() });
const llamaFiles = (): Promise<FolderFiles> => folderOf(tinyLlama, { "tokenizer.json": sentencePieceJson() });

const kinds: [string, () => Promise<FolderFiles>, ModelConfig][] = [
  ["gpt2", gpt2Files, tinyGpt2],
  [
    "gpt2 with an unembedding of its own",
    () => folderOf({ ...tinyGpt2, tied: false }, { "tokenizer.json": byteLevelJson() }),
    { ...tinyGpt2, tied: false },
  ],
  ["llama", llamaFiles, tinyLlama],
];

describe.each(kinds)("GGUF of %s", (_, filesOf, config) => {
  test("f32: the same tensors to the last bit, the same config", async () => {
    const files = await filesOf();
    const from = await weightsOf(files);
    const model = await openModel(ggufFolder(await asGguf(files)));
    const to = await model.openWeights();
    expect([...to.tensors.keys()].sort()).toEqual([...from.tensors.keys()].sort());
    for (const [name, { shape }] of from.tensors) {
      expect(to.tensors.get(name)).toMatchObject({ name, shape, dtype: "F32" });
      expect(await to.read(name), name).toEqual(await from.read(name));
    }
    expect(readConfig(model.config)).toEqual(readConfig({ ...configToFile(config), ...idsOf(model.config!) }));
  });

  test.each<[GgufType, number]>([
    ["F16", 2 ** -11],
    ["BF16", 2 ** -8],
    ["Q8_0", 0.57 / 127], // half a step, and the fp16 rounding of the scale
    ["Q4_0", 1.01 / 8], // there is no step +8
  ])("%s: matrices within the rounding of the type; norms, biases and positions exact", async (type, tolerance) => {
    const files = await filesOf();
    const from = await weightsOf(files);
    const notes: string[] = [];
    const bytes = await asGguf(files, { type, onNote: (note) => notes.push(note) });
    const to = await (await openModel(ggufFolder(bytes))).openWeights();
    const { tensors } = await readGgufHeader((await ggufFolder(bytes).open("tiny.gguf"))!);
    const narrow = type.startsWith("Q") && config.family === "llama" ? ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"] : [];
    expect(notes).toEqual(narrow.length === 0 ? [] : [`2 of ${tensors.size} tensors (blk.0.ffn_down.weight ...) became F16, since ${type} wants rows of a multiple of 32 numbers`]); // prettier-ignore
    for (const { name, shape, type: stored } of tensors.values()) {
      const plain = shape.length === 1 || name === "position_embd.weight";
      expect(stored, name).toBe(plain ? "F32" : narrow.includes(name) ? "F16" : type);
    }
    for (const [name, { shape }] of from.tensors) {
      const { difference, size } = await apart(from, to, name);
      if (shape.length === 1 || name.includes("wpe")) expect(difference, name).toBe(0);
      else {
        expect(difference, name).toBeLessThanOrEqual(tolerance * size);
        expect(difference, name).toBeGreaterThan(0);
      }
    }
  });

  test("the engine writes the same text from the file as from the folder", async () => {
    const files = await filesOf();
    const device = openReference();
    const told = await Promise.all(
      [memoryFolder(files), ggufFolder(await asGguf(files))].map(async (folder) => {
        const engine = await loadEngine(folder, device);
        const { steps } = await collect(engine.generate("the tin", { maxTokens: 12, seed: 5, stopIds: [] }));
        engine.dispose();
        return steps.map(({ token, probability }) => [token.id, probability]);
      }),
    );
    expect(told[0]).toHaveLength(12);
    expect(told[1]).toEqual(told[0]);
    expect(device.memory().bytes).toBe(0);
  });

  test("GGUF as a folder again: the same weights and ids", async () => {
    const files = await filesOf();
    const out: Files = new Map();
    await exportFolder(ggufFolder(await asGguf(files)), memoryWriter(out), { type: "F32" });
    expect([...out.keys()].sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    const [from, to] = [await weightsOf(files), await weightsOf(Object.fromEntries(out))];
    for (const name of from.tensors.keys()) expect(await to.read(name), name).toEqual(await from.read(name));
    const tokenizer = await loadTokenizerOnly(memoryFolder(out));
    expect(tokenizer.encode("the tin 123 <tool>")).toEqual((await loadTokenizerOnly(memoryFolder(files))).encode("the tin 123 <tool>"));
  });
});

/** The ids that a tokenizer knows better than config.json. */
function idsOf({ bos_token_id, eos_token_id }: Readonly<Record<string, unknown>>): object {
  return { bos_token_id, eos_token_id };
}

/** Ids of many texts by the tokenizer of a folder and by that of its GGUF file. */
async function expectSameIds(files: FolderFiles, texts: readonly string[]): Promise<void> {
  const own = await tokenizerOf(await openModel(memoryFolder(files)));
  const other = await tokenizerOf(await openModel(ggufFolder(await asGguf(files))));
  const same = (text: string): void => {
    expect(other.encode(text), text).toEqual(own.encode(text));
    expect(other.encode(text, { special: false }), text).toEqual(own.encode(text, { special: false }));
    expect(other.decode(own.encode(text)), text).toBe(own.decode(own.encode(text)));
  };
  texts.forEach(same);
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 30 }), same));
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...Array.from("  thean▁1239\n<|endoftext|>é🙂")), maxLength: 40 }), same));
  expect([other.vocabularySize, other.bosId, other.eosId]).toEqual([own.vocabularySize, own.bosId, own.eosId]);
  for (let id = 0; id < own.vocabularySize; id++) expect(other.token(id)).toEqual(own.token(id));
}

const samples = [
  "",
  " ",
  "the the",
  " the  123 1234 tin",
  "\ufeffthe",
  "<|endoftext|>the<tool>",
  "<s>the</s><unk>",
  "naïve ▁ 日本 🙂👩‍👩‍👧",
  "it's\n\n  THE'S",
];

const gpt2 = (json: string): Promise<FolderFiles> => folderOf(tinyGpt2, { "tokenizer.json": json });
const llama = (json: string): Promise<FolderFiles> => folderOf(tinyLlama, { "tokenizer.json": json });

describe("vocabularies", () => {
  test.each<[string, () => Promise<FolderFiles>]>([
    ["byte-level, cut as GPT-2 does", () => gpt2(byteLevelJson())],
    ["byte-level with a start token", () => gpt2(byteLevelJson({ post_processor: bosTemplate }))],
    ["cut as Llama 3 does", () => gpt2(byteLevelJson({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Split", pattern: { Regex: llama3Pattern }, behavior: "Isolated", invert: false }, byteLevel(false)] }, post_processor: bosTemplate }, { ignore_merges: true }))], // prettier-ignore
    ["the same without a start token", () => gpt2(byteLevelJson({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Split", pattern: { Regex: llama3Pattern }, behavior: "Isolated" }, byteLevel(false)] } }, { ignore_merges: true }))], // prettier-ignore
    ["cut as SmolLM does", () => gpt2(byteLevelJson({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel(true)] } }))], // prettier-ignore
    ["vocab.json and merges.txt", () => folderOf(tinyGpt2, { "vocab.json": JSON.stringify({ ...vocab, "<|endoftext|>": 261 }), "merges.txt": `#version: 0.2\n${merges.join("\r\n")}\r\n`, "added_tokens.json": '{"<tool>": 262}' })], // prettier-ignore
    ["SentencePiece-style", () => llama(sentencePieceJson())],
    ["SentencePiece-style, no space in front", () => llama(sentencePieceJson({ normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" }, decoder: { type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }] } }))], // prettier-ignore
  ])("%s: the same ids and tokens", async (_, filesOf) => {
    await expectSameIds(await filesOf(), samples);
  });

  test("with start and end token around the text", async () => {
    const single = [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }];
    const special_tokens = { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] }, "</s>": { id: "</s>", ids: [2], tokens: ["</s>"] } };
    await expectSameIds(
      await llama(sentencePieceJson({ post_processor: { type: "TemplateProcessing", single, pair: [], special_tokens } })),
      samples,
    );
  });

  test("ids without a token are unused, and stay so", async () => {
    const bytes = await asGguf(await gpt2(byteLevelJson()));
    const { values } = await readGgufHeader((await ggufFolder(bytes).open("tiny.gguf"))!);
    expect((values.get("tokenizer.ggml.tokens") as string[]).slice(261)).toEqual(["<|endoftext|>", "<tool>", "[PAD263]"]);
    expect((values.get("tokenizer.ggml.token_type") as number[]).slice(260)).toEqual([1, 3, 4, 5]);
    expect((await tokenizerOf(await openModel(ggufFolder(bytes)))).vocabularySize).toBe(263);
  });

  test("chat template, start and end travel along", async () => {
    const config = JSON.stringify({ chat_template: "{{ messages }}", bos_token: "<|endoftext|>", eos_token: "<|endoftext|>" });
    const files = { ...(await gpt2Files()), "tokenizer_config.json": config };
    expect((await openModel(ggufFolder(await asGguf(files)))).tokenizerConfig).toEqual(JSON.parse(config));
  });

  test.each<[string, string, string]>([
    ["a normaliser", byteLevelJson({ normalizer: { type: "NFC" } }), "no name for the way this tokenizer cuts text"],
    [
      "a space in front of bytes",
      byteLevelJson({ pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }),
      "no name for the way this tokenizer cuts text",
    ],
    ["another pattern", byteLevelJson({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Split", pattern: { Regex: "\\w+" }, behavior: "Isolated" }, byteLevel(false)] } }), "no name for the way"], // prettier-ignore
    ["spaces of another kind", sentencePieceJson({ normalizer: { type: "NFKC" } }), "no form for the way this tokenizer treats spaces"],
    [
      "words in place of merges",
      JSON.stringify({ model: { type: "WordLevel", vocab: { a: 0, "[UNK]": 1 }, unk_token: "[UNK]" } }),
      "GGUF holds BPE vocabularies only",
    ],
  ])("%s has no form in GGUF", async (_, json, message) => {
    const exporting = asGguf(await llama(json));
    await expect(exporting).rejects.toThrow(VitrineError);
    await expect(exporting).rejects.toThrow(message);
  });
});

describe("safetensors", () => {
  test.each([
    ["F32", 0, "float32"],
    ["F16", 2 ** -11, "float16"],
    ["BF16", 2 ** -8, "bfloat16"],
  ] as const)("%s: every tensor within its rounding, everything else as it was", async (type, tolerance, name) => {
    const files: FolderFiles = {
      ...(await gpt2Files()),
      "generation_config.json": '{"eos_token_id": 261}',
      "tokenizer_config.json": '{"model_max_length": 16}',
    };
    const out: Files = new Map();
    await exportFolder(memoryFolder(files), memoryWriter(out), { type });
    const [from, to] = [await weightsOf(files), await weightsOf(Object.fromEntries(out))];
    for (const [tensor] of from.tensors) {
      expect(to.tensors.get(tensor)?.dtype).toBe(type);
      const { difference, size } = await apart(from, to, tensor);
      expect(difference, tensor).toBeLessThanOrEqual(tolerance * size);
    }
    const json = (file: string): unknown => JSON.parse(new TextDecoder().decode(out.get(file)));
    expect(json("config.json")).toEqual({ ...JSON.parse(files["config.json"] as string), torch_dtype: name });
    expect(json("generation_config.json")).toEqual({ eos_token_id: 261 });
    expect(json("tokenizer_config.json")).toEqual({ model_max_length: 16 });
    expect(new TextDecoder().decode(out.get("tokenizer.json"))).toBe(files["tokenizer.json"]);
  });

  test("names without the family's prefix get it, saved masks are left behind, a newer config's dtype is kept true", async () => {
    const weights = randomWeights(tinyGpt2, 1);
    const tensors = await Promise.all(
      [...weights.tensors.values()].map(async ({ name, shape }) => ({
        name: name.replace("transformer.", ""),
        shape,
        dtype: "F32" as const,
        values: await weights.read(name),
      })),
    );
    const mask = { name: "h.0.attn.bias", shape: [1, 1, 16, 16], dtype: "F32" as const, values: new Float32Array(256) };
    const files: FolderFiles = { ...(await gpt2Files()), "model.safetensors": await joined(writeSafetensors([...tensors, mask])) };
    const changed = {
      ...files,
      "config.json": JSON.stringify({ ...JSON.parse(files["config.json"] as string), dtype: "float32", torch_dtype: undefined }),
    };
    const out: Files = new Map();
    await exportFolder(memoryFolder(changed), memoryWriter(out), { type: "F16" });
    expect([...(await weightsOf(Object.fromEntries(out))).tensors.keys()].sort()).toEqual([...weights.tensors.keys()].sort());
    expect(JSON.parse(new TextDecoder().decode(out.get("config.json")))).toMatchObject({ dtype: "float16" });
    const gguf = await (await openModel(ggufFolder(await asGguf(files)))).openWeights();
    expect(await gguf.read("transformer.wte.weight")).toEqual(await weights.read("transformer.wte.weight"));
  });
});

const changedLlama = (changes: object): Promise<FolderFiles> =>
  folderOf(readConfig({ ...configToFile(tinyLlama), ...changes }), { "tokenizer.json": sentencePieceJson() });

describe("what cannot be exported", () => {
  test.each<[string, () => Promise<FolderFiles>, string]>([
    [
      "exact GELU",
      () => folderOf({ ...tinyGpt2, activation: "gelu" }, { "tokenizer.json": byteLevelJson() }),
      "the activation function gelu has no place in GGUF's gpt2 architecture; export the model as safetensors",
    ],
    ["biases", () => changedLlama({ attention_bias: true }), "a bias in attention or MLP has no place"],
    ["Qwen 2", () => changedLlama({ model_type: "qwen2" }), "a bias in attention or MLP"],
    ["Qwen 3", () => changedLlama({ model_type: "qwen3" }), "the norm on queries and keys"],
    ["a window", () => changedLlama({ model_type: "mistral", sliding_window: 8 }), "an attention window of 8"],
    ["scaled positions", () => changedLlama({ rope_scaling: { rope_type: "linear", factor: 2 } }), "the scaling (linear) of its positions"],
    ["partly turning heads", () => changedLlama({ partial_rotary_factor: 0.5 }), "turning 8 of 16 numbers of a head"],
  ])("%s", async (_, filesOf, message) => {
    const exporting = asGguf(await filesOf());
    await expect(exporting).rejects.toThrow(VitrineError);
    await expect(exporting).rejects.toThrow(message);
  });

  test("a Mistral whose window covers the context is a Llama", async () => {
    const files = await changedLlama({ model_type: "mistral", sliding_window: 16 });
    expect((await openModel(ggufFolder(await asGguf(files)))).config).toMatchObject({ model_type: "llama" });
  });

  test("a model without a tokenizer, or with another model's", async () => {
    const { "tokenizer.json": tokenizer, ...bare } = await gpt2Files();
    await expect(asGguf(bare)).rejects.toThrow("has neither tokenizer.json nor vocab.json with merges.txt");
    await expect(asGguf({ ...bare, "tokenizer.json": (tokenizer as string).replace('"id":262', '"id":900') })).rejects.toThrow(
      "the files belong to different models",
    );
  });

  test("a tokenizer without a model, damaged weights", async () => {
    await expect(asGguf({ "tokenizer.json": byteLevelJson() })).rejects.toThrow("a tokenizer without a model");
    const files = await gpt2Files();
    await expect(asGguf({ ...files, "model.safetensors": (files["model.safetensors"] as Uint8Array).subarray(0, 5000) })).rejects.toThrow(
      FormatError,
    );
  });

  test("numbers beyond fp16 name the tensor", async () => {
    const name = "transformer.h.0.mlp.c_fc.weight";
    const weights = randomWeights(tinyGpt2, 1);
    const tensors = await Promise.all(
      [...weights.tensors.values()].map(async (info) => ({
        name: info.name,
        shape: info.shape,
        dtype: "F32" as const,
        values: await weights.read(info.name),
      })),
    );
    tensors.find((tensor) => tensor.name === name)!.values[3] = 1e5;
    const files = { ...(await gpt2Files()), "model.safetensors": await joined(writeSafetensors(tensors)) };
    await expect(asGguf(files, { type: "F16" })).rejects.toThrow('"blk.0.ffn_up.weight" holds 100000, which F16 cannot hold');
    await expect(exportFolder(memoryFolder(files), memoryWriter(new Map()), { type: "F16" })).rejects.toThrow(
      `"${name}" holds 100000, too large for F16`,
    );
  });
});

describe("on the way", () => {
  test("progress goes up to the whole, tensor by tensor, and nothing stays open", async () => {
    const folder = memoryFolder(await gpt2Files());
    const seen: number[] = [];
    await exportGguf(folder, memoryWriter(new Map()), "x.gguf", { type: "F16", onProgress: (done, total) => seen.push(done / total) });
    expect(seen.length).toBe(28);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    expect(folder.opened()).toBe(0);
  });

  test.each(["gguf", "safetensors"])("stopped in the middle, %s: nothing is written, nothing stays open", async (format) => {
    const folder = memoryFolder(await gpt2Files());
    const out: Files = new Map();
    const stop = new AbortController();
    const options = { onProgress: (done: number, total: number) => (done > total / 2 ? stop.abort() : undefined), signal: stop.signal };
    const exporting =
      format === "gguf"
        ? exportGguf(folder, memoryWriter(out), "x.gguf", { type: "Q8_0", ...options })
        : exportFolder(folder, memoryWriter(out), { type: "F16", ...options });
    await expect(exporting).rejects.toMatchObject({ message: "export: stopped, nothing was written", blame: "work" });
    expect([...out.keys()]).toEqual([]);
    expect(folder.opened()).toBe(0);
  });
});

/** What opening, tokenizer and loading of such a file throw; undefined when nothing. */
async function failure(bytes: Uint8Array): Promise<unknown> {
  const folder = ggufFolder(bytes);
  const error: unknown = await loadEngine(folder, openReference()).then(
    (engine) => engine.dispose(),
    (reason: unknown) => reason,
  );
  expect(folder.opened()).toBe(0);
  return error;
}

describe("a damaged GGUF file", () => {
  test.each([
    ["gpt2", gpt2Files],
    ["llama", llamaFiles],
  ])("%s: any byte of the header changed, it loads or is refused with a reason", async (_, filesOf) => {
    const bytes = await asGguf(await filesOf(), { type: "Q8_0" });
    const { tensors } = await readGgufHeader((await ggufFolder(bytes).open("tiny.gguf"))!);
    const headerEnd = Math.min(...[...tensors.values()].map(({ start }) => start));
    let refused = 0;
    const change = fc.record({ at: fc.nat(headerEnd - 1), value: fc.constantFrom(0, 1, 3, 8, 9, 32, 127, 128, 255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 2 }), async (changes) => {
        const damaged = bytes.slice();
        for (const { at, value } of changes) damaged[at] = value;
        const error = await failure(damaged);
        if (error === undefined) return;
        refused++;
        expect(error).toBeInstanceOf(VitrineError);
      }),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(40);
  });

  test("cut short at many lengths", async () => {
    const bytes = await asGguf(await llamaFiles());
    for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 97)) {
      expect(await failure(bytes.subarray(0, length)), `${length}`).toBeInstanceOf(FormatError);
    }
  });
});

const stories = (): FolderFiles =>
  Object.fromEntries(["config.json", "model.safetensors", "tokenizer.json"].map((file) => [file, read(`stories260K/${file}`)]));

describe.skipIf(noData)(`published models${dataNote}`, () => {
  test("stories260K tells its published greedy story from a GGUF file", async () => {
    const { ids } = JSON.parse(new TextDecoder().decode(read("stories260K/published-greedy-story.json"))) as { ids: number[] };
    const engine = await loadEngine(ggufFolder(await asGguf(stories())), openReference());
    const { steps } = await collect(engine.generate([1], { maxTokens: ids.length - 1, temperature: 0, stopIds: [] }));
    expect([1, ...steps.map(({ token }) => token.id)]).toEqual(ids);
    engine.dispose();
  });

  test("stories260K: config and vocabulary come back the same", async () => {
    const model = await openModel(ggufFolder(await asGguf(stories())));
    expect(readConfig(model.config)).toEqual(readConfig(JSON.parse(new TextDecoder().decode(read("stories260K/config.json")))));
    const lines = new TextDecoder().decode(read("stories/tinystories.txt").subarray(0, 30_000)).split("\n");
    await expectSameIds(stories(), [...samples, ...lines]);
  });

  test("8 bits change the story model's predictions little, 4 bits more", async () => {
    const text = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.";
    const losses: number[] = [];
    for (const type of ["F32", "Q8_0", "Q4_0"] as const) {
      const engine = await loadEngine(ggufFolder(await asGguf(stories(), { type })), openReference());
      const { steps } = await collect(engine.score(text));
      losses.push(steps.reduce((sum, step) => sum + ("logprob" in step ? step.logprob : 0), 0) / -steps.length);
      engine.dispose();
    }
    expect(Math.abs(losses[1] - losses[0])).toBeLessThan(0.02);
    expect(losses[2]).not.toBe(losses[0]);
    expect(Math.abs(losses[2] - losses[0])).toBeLessThan(0.5);
  });

  test("GPT-2's own vocabulary: the recorded ids of 59 texts", async () => {
    const config = gpt2Config({ layers: 1, heads: 1, width: 32, vocabularySize: 50257, contextLength: 8 });
    const files = await folderOf(config, { "vocab.json": read("gpt2-tokenizer/vocab.json"), "merges.txt": read("gpt2-tokenizer/merges.txt") });
    const golden = JSON.parse(new TextDecoder().decode(read("golden/tokenizer/gpt2.json"))) as { text: string; ids: number[] }[];
    const tokenizer = await tokenizerOf(await openModel(ggufFolder(await asGguf(files, { type: "Q4_0" }))));
    for (const { text, ids } of golden) expect(tokenizer.encode(text, { special: false }), text).toEqual(ids);
    expect(tokenizer.eosId).toBe(50256);
  });
});
