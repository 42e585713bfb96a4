/**
 * A vocabulary in two spellings: Hugging Face's tokenizer.json and GGUF's tokenizer.ggml.* metadata.
 * Two kinds cross over: byte-level BPE ("gpt2") and SentencePiece-style BPE ("llama").
 */
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import type { GgufFile } from "./gguf.ts";
import type { TypedValue } from "./write-gguf.ts";

/** tokenizer.ggml.token_type */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/** How byte-level text is cut before merging, by llama.cpp's name for it (tokenizer.ggml.pre). GPT-2's own way needs no pattern. */
const cutters: Readonly<Record<string, string | undefined>> = {
  "gpt-2": undefined,
  "llama-bpe":
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};

/** The special ids a folder's config names, where the tokenizer files do not. */
export interface SpecialIds {
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
}

/**
 * tokenizer.ggml.* metadata of a parsed tokenizer.json whose vocabulary is padded to `vocabularySize` (rows of the embedding).
 * Throws VitrineError for tokenizers GGUF has no form for.
 */
export function ggufTokenizer(tokenizer: JsonObject, vocabularySize: number, special: SpecialIds): Map<string, TypedValue> {
  const model = tokenizer.model;
  if (!isJsonObject(model) || !isJsonObject(model.vocab) || !Array.isArray(model.merges)) {
    throw new VitrineError("export: GGUF holds BPE vocabularies only, and this tokenizer is of another kind; save the model as safetensors");
  }
  const sentencePiece = model.byte_fallback === true;
  const tokens = Array.from({ length: vocabularySize }, (_, id) => `[PAD${id}]`);
  const types = Array.from({ length: vocabularySize }, () => UNUSED);
  for (const [piece, id] of Object.entries(model.vocab)) {
    tokens[Number(id)] = piece;
    types[Number(id)] = sentencePiece && /^<0x[0-9A-F]{2}>$/.test(piece) ? BYTE : NORMAL;
  }
  for (const added of Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : []) {
    if (!isJsonObject(added)) continue;
    tokens[Number(added.id)] = String(added.content);
    types[Number(added.id)] = added.content === model.unk_token ? UNKNOWN : added.special === true ? CONTROL : USER_DEFINED;
  }
  const merges = model.merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : String(merge)));

  const values = new Map<string, TypedValue>([
    ["tokenizer.ggml.model", { string: sentencePiece ? "llama" : "gpt2" }],
    ["tokenizer.ggml.pre", { string: sentencePiece ? "default" : cutterName(tokenizer) }],
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ["tokenizer.ggml.token_type", { i32s: types }],
  ]);
  if (sentencePiece) values.set("tokenizer.ggml.scores", { f32s: scores(tokens, types, merges) });
  else values.set("tokenizer.ggml.merges", { strings: merges });
  if (special.bosId !== undefined) values.set("tokenizer.ggml.bos_token_id", { u32: special.bosId });
  if (special.eosId !== undefined) values.set("tokenizer.ggml.eos_token_id", { u32: special.eosId });
  return values;
}

/** SentencePiece joins the pair whose result scores highest: the earlier its merge, the higher. */
function scores(tokens: readonly string[], types: readonly number[], merges: readonly string[]): number[] {
  const rank = new Map<string, number>();
  merges.forEach((merge, index) => {
    const joined = merge.replace(" ", "");
    if (!rank.has(joined)) rank.set(joined, index);
  });
  return tokens.map((token, id) => (types[id] === NORMAL ? -(rank.get(token) ?? merges.length) : 0));
}

function cutterName(tokenizer: JsonObject): string {
  const text = JSON.stringify(tokenizer.pre_tokenizer ?? null);
  for (const [name, pattern] of Object.entries(cutters)) if (pattern !== undefined && text.includes(JSON.stringify(pattern))) return name;
  const plain = isJsonObject(tokenizer.pre_tokenizer) && tokenizer.pre_tokenizer.type === "ByteLevel" && tokenizer.pre_tokenizer.use_regex !== false;
  if (plain) return "gpt-2";
  throw new VitrineError("export: GGUF has no name for the way this tokenizer cuts text; save the model as safetensors");
}

/** The tokenizer.json that a GGUF file's vocabulary amounts to. Throws FormatError naming what is missing or not supported. */
export function tokenizerFromGguf(file: GgufFile): JsonObject {
  const kind = file.values.get("tokenizer.ggml.model");
  const tokens = strings(file, "tokenizer.ggml.tokens");
  const types = numbers(file, "tokenizer.ggml.token_type");
  if (tokens === undefined || (kind !== "gpt2" && kind !== "llama")) {
    throw new FormatError(`${file.name}: its tokenizer is ${quoted(String(kind))}; gpt2 and llama vocabularies can be read from GGUF: use the model's safetensors version`);
  }
  const typeOf = (id: number): number => types?.[id] ?? NORMAL;
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  tokens.forEach((token, id) => {
    if (typeOf(id) !== UNUSED) vocab[token] ??= id;
  });
  const added = tokens.flatMap((content, id) => {
    const special = typeOf(id) === CONTROL || typeOf(id) === UNKNOWN;
    if (!special && typeOf(id) !== USER_DEFINED) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const merges = kind === "gpt2" ? strings(file, "tokenizer.ggml.merges") : mergesFromScores(file, tokens, vocab);
  if (merges === undefined) throw new FormatError(`${file.name}: no tokenizer.ggml.merges; convert the model anew`);
  const shell = { version: "1.0", truncation: null, padding: null, added_tokens: added };
  const model = { type: "BPE", dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null, vocab, merges };
  return (kind === "gpt2" ? byteLevel(file, shell, model) : sentencePiece(file, shell, model, tokens)) as JsonObject;
}

function byteLevel(file: GgufFile, shell: object, model: object): object {
  const pre = file.values.get("tokenizer.ggml.pre") ?? "gpt-2";
  if (typeof pre !== "string" || !(pre in cutters)) {
    throw new FormatError(`${file.name}: cuts text the way ${quoted(String(pre))}, known from GGUF are ${Object.keys(cutters).join(", ")}; use the model's safetensors version`);
  }
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const pattern = cutters[pre];
  const split = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
  return {
    ...shell,
    normalizer: null,
    pre_tokenizer:
      pattern === undefined ? { ...bytes, use_regex: true } : { type: "Sequence", pretokenizers: [split, { ...bytes, use_regex: false }] },
    post_processor: file.values.get("tokenizer.ggml.add_bos_token") === true ? startTemplate(file, strings(file, "tokenizer.ggml.tokens") ?? []) : null,
    decoder: { ...bytes, use_regex: true },
    model: { ...model, unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: pre === "llama-bpe" },
  };
}

function sentencePiece(file: GgufFile, shell: object, model: object, tokens: readonly string[]): object {
  const unknown = file.values.get("tokenizer.ggml.unknown_token_id") ?? 0;
  const addBos = file.values.get("tokenizer.ggml.add_bos_token") ?? true;
  const prefix = file.values.get("tokenizer.ggml.add_space_prefix") ?? true;
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    ...shell,
    normalizer: { type: "Sequence", normalizers: prefix === true ? [{ type: "Prepend", prepend: "▁" }, replace] : [replace] },
    pre_tokenizer: null,
    post_processor: addBos === true ? startTemplate(file, tokens) : null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix === true ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: { ...model, unk_token: tokens[Number(unknown)], fuse_unk: true, byte_fallback: true, ignore_merges: false },
  };
}

function startTemplate(file: GgufFile, tokens: readonly string[]): object | null {
  const id = file.values.get("tokenizer.ggml.bos_token_id");
  if (typeof id !== "number" || tokens[id] === undefined) return null;
  const start = { SpecialToken: { id: tokens[id], type_id: 0 } };
  return {
    type: "TemplateProcessing",
    single: [start, { Sequence: { id: "A", type_id: 0 } }],
    pair: [start, { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { [tokens[id]]: { id: tokens[id], ids: [id], tokens: [tokens[id]] } },
  };
}

/** SentencePiece keeps scores, not merges: every way to join two tokens into a third, best result first (then by the parts' ids). */
function mergesFromScores(file: GgufFile, tokens: readonly string[], vocab: Readonly<Record<string, number>>): string[] | undefined {
  const scoreOf = numbers(file, "tokenizer.ggml.scores");
  if (scoreOf === undefined) return undefined;
  const merges: { text: string; score: number; left: number; right: number }[] = [];
  tokens.forEach((token, id) => {
    if (vocab[token] !== id) return;
    for (let cut = 1; cut < token.length; cut++) {
      const left = vocab[token.slice(0, cut)];
      const right = vocab[token.slice(cut)];
      if (left !== undefined && right !== undefined) merges.push({ text: `${token.slice(0, cut)} ${token.slice(cut)}`, score: scoreOf[id] ?? 0, left, right });
    }
  });
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return merges.map(({ text }) => text);
}

function strings(file: GgufFile, key: string): readonly string[] | undefined {
  const value = file.values.get(key);
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw new FormatError(`${file.name}: ${key} is not a list of strings; the file is damaged`);
  return value as readonly string[];
}

function numbers(file: GgufFile, key: string): readonly number[] | undefined {
  const value = file.values.get(key);
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "number")) throw new FormatError(`${file.name}: ${key} is not a list of numbers; the file is damaged`);
  return value as readonly number[];
}
