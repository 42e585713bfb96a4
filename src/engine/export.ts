/**
 * Writing a model in another form: a GGUF file for llama.cpp and its kin, or a Hugging Face folder.
 * Works from files to files, one tensor after the other, so it needs neither a device nor memory for the weights.
 * The forms themselves are formats/'s business; which model a name means and where files lie, the host's.
 */
import type { Folder, FolderWriter } from "../base/bytes.ts";
import type { FloatType } from "../base/dtype.ts";
import { VitrineError } from "../base/errors.ts";
import { type JsonObject, parseJsonObject } from "../base/json.ts";
import { elements } from "../base/shape.ts";
import { ggufDimensions, ggufForm } from "../formats/gguf-model.ts";
import { ggufTokenizer } from "../formats/gguf-tokenizer.ts";
import type { GgufType } from "../formats/gguf-type.ts";
import { type ModelFolder, requireConfig } from "../formats/hf-folder.ts";
import { openModel } from "../formats/open-model.ts";
import { writeModelFolder } from "../formats/save-folder.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { fitsType, type GgufTensorToWrite, type TypedValue, writeGguf } from "../formats/write-gguf.ts";
import { readConfig } from "../model/config-file.ts";
import type { ModelConfig } from "../model/config.ts";
import { matchTensors, type MatchedTensor } from "../model/load.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { tokenizerOf } from "./load.ts";
import { checkVocabularies } from "./vocabulary.ts";

export interface ExportOptions<Type> {
  /** Of the weights. */
  readonly type: Type;
  /** What to call the model inside the file. Default: the folder's name. */
  readonly name?: string;
  /** Numbers written so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** One line for people about something that is not as asked. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
}

/** Numbers read at once: 4 MB of fp32. */
const PIECE = 1 << 20;

/**
 * Writes a model as one GGUF file. As llama.cpp does: matrices take the type; norms, biases and positions stay F32;
 * of a block type, matrices whose rows are no whole number of blocks become F16, which is told in a note.
 * Throws FormatError for files that are not right, VitrineError for models that GGUF's gpt2 and llama architectures do not cover.
 */
export async function exportGguf(from: Folder, to: FolderWriter, file: string, options: ExportOptions<GgufType>): Promise<void> {
  const { model, config, weights, matched } = await openForExport(from, options);
  try {
    checkCovered(model.name, config);
    const name = options.name ?? from.name;
    const gguf = { ...config, architecture: config.family, rotaryTheta: config.rotary?.theta };
    const values = new Map<string, TypedValue>([
      ...ggufDimensions(name, gguf),
      ["general.file_type", { u32: fileTypes[options.type] }],
      ["general.quantization_version", { u32: 2 }],
      ...ggufTokenizer(...(await vocabularyOf(name, model, config))),
    ]);
    const piece = counted(matched, weights, options);
    const narrow: string[] = [];
    const tensors = matched.map((each): GgufTensorToWrite => {
      const form = ggufForm(gguf, each.parameter.name, each.parameter.shape);
      const isMatrix = form.shape.length === 2 && form.name !== "position_embd.weight";
      const fits = fitsType(options.type, form.shape);
      if (isMatrix && !fits) narrow.push(form.name);
      const type = !isMatrix ? "F32" : fits ? options.type : "F16";
      const { relay } = form;
      const values = async function* (): AsyncGenerator<Float32Array> {
        if (relay) yield relay(await piece(each, 0, elements(form.shape)));
        else yield* pieces(each, piece);
      };
      return { name: form.name, shape: form.shape, type, values };
    });
    if (narrow.length > 0) {
      const which = narrow.length === 1 ? narrow[0] : `${narrow.length} of ${tensors.length} tensors (${narrow[0]} ...)`;
      options.onNote?.(`${which} became F16, since ${options.type} wants rows of a multiple of 32 numbers`);
    }
    await to.write(file, writeGguf(values, tensors));
  } finally {
    await weights.close();
  }
}

/** llama.cpp's numbers for what most tensors of a file are (general.file_type). */
const fileTypes: Readonly<Record<GgufType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, BF16: 32 };

/**
 * Writes a model as a Hugging Face folder with one safetensors file, all tensors of one type, under the names that transformers gives them.
 * Tokenizer files are copied; config.json too, but for the type of the weights.
 * Throws FormatError for files that are not right, VitrineError for a number that the type cannot hold.
 */
export async function exportFolder(from: Folder, to: FolderWriter, options: ExportOptions<FloatType>): Promise<void> {
  const { model, weights, matched } = await openForExport(from, options);
  try {
    const piece = counted(matched, weights, options);
    const tokenizerFiles: Record<string, string> = {};
    for (const file of copiedFiles) {
      const text = model.files.includes(file) ? await model.readText(file) : undefined;
      if (text !== undefined) tokenizerFiles[file] = text;
    }
    const config = requireConfig(model);
    await writeModelFolder(to, {
      config: { ...config, [config.dtype === undefined ? "torch_dtype" : "dtype"]: typeNames[options.type] },
      generationConfig: model.generationConfig,
      tokenizerFiles,
      weights: matched.map((each) => {
        const { name, shape } = each.parameter;
        return { name, shape, dtype: options.type, values: { [Symbol.asyncIterator]: () => pieces(each, piece) } };
      }),
    });
  } finally {
    await weights.close();
  }
}

/** Python's names for them. */
const typeNames: Readonly<Record<FloatType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

const copiedFiles: readonly string[] = [
  "tokenizer.json",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
  "special_tokens_map.json",
  "tokenizer_config.json",
  "chat_template.jinja",
];

interface Opened {
  readonly model: ModelFolder;
  readonly config: ModelConfig;
  readonly weights: TensorSource;
  readonly matched: readonly MatchedTensor[];
}

/** Everything checked before a byte is written. The caller closes the weights. */
async function openForExport(from: Folder, { onNote }: ExportOptions<unknown>): Promise<Opened> {
  const model = await openModel(from);
  const config = readConfig(requireConfig(model), `${from.name}/config.json`);
  const weights = await model.openWeights();
  try {
    return { model, config, weights, matched: matchTensors(config, weights, onNote) };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** Numbers `start` to `end` of a tensor. */
type ReadPiece = (of: MatchedTensor, start: number, end: number) => Promise<Float32Array>;

/** Reading that tells how far it has come, and stops when it is told to. */
function counted(matched: readonly MatchedTensor[], weights: TensorSource, { onProgress, signal }: ExportOptions<unknown>): ReadPiece {
  const total = matched.reduce((sum, { parameter }) => sum + elements(parameter.shape), 0);
  let done = 0;
  return async ({ tensor }, start, end) => {
    if (signal?.aborted) throw new VitrineError("export: stopped, nothing was written", { blame: "work", cause: signal.reason });
    const values = await weights.read(tensor.name, start, end);
    onProgress?.((done += values.length), total);
    return values;
  };
}

/** A tensor's numbers in whole rows, about PIECE at a time. */
async function* pieces(of: MatchedTensor, read: ReadPiece): AsyncGenerator<Float32Array, void> {
  const { shape } = of.parameter;
  const width = shape.at(-1) ?? 1;
  const step = Math.max(1, Math.floor(PIECE / width)) * width;
  const count = elements(shape);
  for (let start = 0; start < count; start += step) yield read(of, start, Math.min(count, start + step));
}

/** Throws VitrineError, naming what is in the way, for a model that llama.cpp would compute otherwise than we do. */
function checkCovered(name: string, config: ModelConfig): void {
  const { activation, rotary, biases, qkNorm, attentionWindow, contextLength, headDimension } = config;
  const refuse = (what: string): never => {
    throw new VitrineError(`${name}: ${what} has no place in GGUF's ${config.family} architecture; export the model as safetensors`);
  };
  if (config.family === "gpt2") {
    if (activation !== "gelu_new") refuse(`the activation function ${activation}`);
    return;
  }
  if (activation !== "silu") refuse(`the activation function ${activation}`);
  if (biases.qkv || biases.output || biases.mlp) refuse("a bias in attention or MLP");
  if (qkNorm) refuse("the norm on queries and keys");
  if (attentionWindow > 0 && attentionWindow < contextLength) refuse(`an attention window of ${attentionWindow}`);
  if (rotary && rotary.scaling.kind !== "none") refuse(`the scaling (${rotary.scaling.kind}) of its positions`);
  if (rotary && rotary.dimensions !== headDimension) refuse(`turning ${rotary.dimensions} of ${headDimension} numbers of a head`);
}

/** What ggufTokenizer needs to know. */
async function vocabularyOf(name: string, model: ModelFolder, config: ModelConfig): Promise<Parameters<typeof ggufTokenizer>> {
  const tokenizer = await tokenizerOf(model); // also proves that the files are in order
  checkVocabularies(name, tokenizer, config.vocabularySize);
  const text = model.files.includes("tokenizer.json") ? await model.readText("tokenizer.json") : undefined;
  const json = text === undefined ? await jsonOfPair(model, tokenizer) : parseJsonObject("tokenizer.json", text);
  const [around, bare] = [tokenizer.encode("a"), tokenizer.encode("a", { template: false })];
  const bosId = tokenizer.bosId ?? config.bosId;
  const chat =
    model.tokenizerConfig?.chat_template ?? (model.files.includes("chat_template.jinja") ? await model.readText("chat_template.jinja") : undefined);
  return [
    json,
    {
      vocabularySize: config.vocabularySize,
      bosId,
      eosId: tokenizer.eosId ?? config.eosIds[0],
      addBos: around.length > bare.length && around[0] === bosId,
      addEos: around.length > bare.length && around.at(-1) === tokenizer.eosId && bare.at(-1) !== tokenizer.eosId,
      chatTemplate: typeof chat === "string" ? chat : undefined,
    },
  ];
}

/** GPT-2's pair of vocab.json and merges.txt as the tokenizer.json it amounts to. */
async function jsonOfPair(model: ModelFolder, tokenizer: Tokenizer): Promise<JsonObject> {
  const vocab = parseJsonObject("vocab.json", (await model.readText("vocab.json")) ?? "{}");
  const lines = ((await model.readText("merges.txt")) ?? "").split(/\r?\n/);
  const inVocab = new Set(Object.values(vocab));
  const added: JsonObject[] = [];
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const { text, special } = tokenizer.token(id);
    if (special || (text !== "" && !inVocab.has(id))) added.push({ id, content: text, special });
  }
  return {
    added_tokens: added,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    model: { type: "BPE", vocab, merges: lines.filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version"))) },
  };
}
