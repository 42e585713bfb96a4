/**
 * A vocabulary in two spellings: Hugging Face's tokenizer.json and GGUF's tokenizer.ggml.* metadata.
 * Two kinds cross over: byte-level BPE ("gpt2") and SentencePiece-style BPE with byte fallback ("llama").
 * Encoding and decoding with either is tokenizer/'s business.
 */
import { FormatError, VitrineError } from "../base/errors.ts";
import { describe, isJsonObject, type JsonObject } from "../base/json.ts";
import type { GgufHeader } from "./gguf.ts";
import type { TypedValue } from "./write-gguf.ts";

/** tokenizer.ggml.token_type */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/** How a byte-level tokenizer cuts text before merging. */
interface Cutting {
  /** Steps of tokenizer.json's pre_tokenizer. */
  readonly steps: readonly JsonObject[];
  /** Text that is one token as a whole is not merged. */
  readonly ignoreMerges: boolean;
  /** Whether a text begins with the start token where the file does not say. */
  readonly addBos: boolean;
}

const byteLevel = (regex: boolean): JsonObject => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: regex });
const splitAt = (pattern: string): JsonObject => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false });

/** By llama.cpp's names (tokenizer.ggml.pre). */
const cuttings: Readonly<Record<string, Cutting>> = {
  "gpt-2": { steps: [byteLevel(true)], ignoreMerges: false, addBos: false },
  "llama-bpe": {
    steps: [
      splitAt("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
      byteLevel(false),
    ],
    ignoreMerges: true,
    addBos: true,
  },
  smollm: { steps: [{ type: "Digits", individual_digits: true }, byteLevel(true)], ignoreMerges: false, addBos: false },
};

/** What the folder's other files say of the vocabulary. */
export interface VocabularyFacts {
  /** Rows of the embedding; ids without a token are marked as unused. */
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** Whether the start and end tokens are put around a text. */
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** tokenizer_config.json's. */
  readonly chatTemplate: string | undefined;
}

/**
 * tokenizer.ggml.* metadata of a parsed tokenizer.json, one that loads as a tokenizer.
 * Throws VitrineError for tokenizers that GGUF has no form for.
 */
export function ggufTokenizer(tokenizer: JsonObject, facts: VocabularyFacts): Map<string, TypedValue> {
  const { model } = tokenizer;
  if (!isJsonObject(model) || !isJsonObject(model.vocab) || !Array.isArray(model.merges)) {
    throw new VitrineError("export: GGUF holds BPE vocabularies only, and this tokenizer is of another kind; export the model as safetensors");
  }
  const sentencePiece = model.byte_fallback === true;
  const values = new Map<string, TypedValue>([
    ["tokenizer.ggml.model", { string: sentencePiece ? "llama" : "gpt2" }],
    ["tokenizer.ggml.pre", { string: sentencePiece ? "default" : cuttingName(tokenizer, model) }],
  ]);
  const { tokens, types } = tokenTable(tokenizer, model, model.vocab, facts.vocabularySize);
  const merges = model.merges.map((merge: unknown) => (Array.isArray(merge) ? merge.map(String) : String(merge).split(" ")));
  values.set("tokenizer.ggml.tokens", { strings: tokens }).set("tokenizer.ggml.token_type", { i32s: types });
  if (sentencePiece) {
    values.set("tokenizer.ggml.scores", { f32s: scores(tokens, types, merges) });
    values.set("tokenizer.ggml.add_space_prefix", { bool: hasSpacePrefix(tokenizer) });
  } else values.set("tokenizer.ggml.merges", { strings: merges.map((merge) => merge.join(" ")) });

  const { bosId, eosId, addBos, addEos, chatTemplate } = facts;
  if (bosId !== undefined) values.set("tokenizer.ggml.bos_token_id", { u32: bosId });
  if (eosId !== undefined) values.set("tokenizer.ggml.eos_token_id", { u32: eosId });
  const unknownId = types.indexOf(UNKNOWN);
  if (unknownId >= 0) values.set("tokenizer.ggml.unknown_token_id", { u32: unknownId });
  values.set("tokenizer.ggml.add_bos_token", { bool: addBos }).set("tokenizer.ggml.add_eos_token", { bool: addEos });
  if (chatTemplate !== undefined) values.set("tokenizer.chat_template", { string: chatTemplate });
  return values;
}

/** Every id's token and what kind it is. */
function tokenTable(tokenizer: JsonObject, model: JsonObject, vocab: JsonObject, vocabularySize: number): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: vocabularySize }, (_, id) => `[PAD${id}]`);
  const types = tokens.map(() => UNUSED);
  const set = (id: number, token: string, type: number): void => {
    if (!(id < vocabularySize)) return; // a token without a row can never come
    tokens[id] = token;
    types[id] = type;
  };
  const isByte = (piece: string): boolean => model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(piece);
  for (const [piece, id] of Object.entries(vocab)) set(Number(id), piece, isByte(piece) ? BYTE : NORMAL);
  for (const added of Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : []) {
    if (isJsonObject(added)) set(Number(added.id), String(added.content), added.special === true ? CONTROL : USER_DEFINED);
  }
  const unknownId = typeof model.unk_token === "string" ? tokens.indexOf(model.unk_token) : -1;
  if (unknownId >= 0) types[unknownId] = UNKNOWN;
  return { tokens, types };
}

/** SentencePiece joins the pair whose result scores highest: the earlier its merge, the higher. */
function scores(tokens: readonly string[], types: readonly number[], merges: readonly (readonly string[])[]): number[] {
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const joined = merge.join("");
    if (!ranks.has(joined)) ranks.set(joined, rank);
  }
  return tokens.map((token, id) => (types[id] === NORMAL ? -(ranks.get(token) ?? merges.length) : 0));
}

function cuttingName(tokenizer: JsonObject, model: JsonObject): string {
  const asked = describeSteps(flat(tokenizer.pre_tokenizer, "pretokenizers"));
  const plain = flat(tokenizer.normalizer, "normalizers").length === 0;
  for (const [name, { steps, ignoreMerges }] of Object.entries(cuttings)) {
    if (plain && describeSteps(steps) === asked && (model.ignore_merges === true) === ignoreMerges) return name;
  }
  throw new VitrineError("export: GGUF has no name for the way this tokenizer cuts text; export the model as safetensors");
}

/** Pre-tokenizer steps as text that is equal where they do the same. */
function describeSteps(steps: readonly JsonObject[]): string {
  const words = steps.map(({ type, ...step }) => {
    if (type === "ByteLevel") return [type, step.add_prefix_space ?? true, step.use_regex ?? true];
    if (type === "Digits") return [type, step.individual_digits ?? false];
    return [type, step.pattern, step.behavior, step.invert ?? false];
  });
  return JSON.stringify(words);
}

/** Whether a SentencePiece-style tokenizer puts a space before the text. Throws VitrineError for ways to treat spaces that GGUF does not know. */
function hasSpacePrefix(tokenizer: JsonObject): boolean {
  const normalizers = flat(tokenizer.normalizer, "normalizers").map((step) => `${String(step.type)} ${String(step.prepend ?? step.content)}`);
  const cuts = flat(tokenizer.pre_tokenizer, "pretokenizers").map((step) => {
    if (step.type !== "Metaspace" || (step.replacement ?? "▁") !== "▁") return step.type;
    const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
    return `Metaspace ${scheme as string}`;
  });
  switch ([...normalizers, ...cuts].join(", ")) {
    case "Prepend ▁, Replace ▁":
    case "Metaspace always":
    case "Metaspace first":
      return true;
    case "Replace ▁":
    case "Replace ▁, Split": // Gemma's: there are no spaces left to split at
    case "Metaspace never":
      return false;
    default:
      throw new VitrineError("export: GGUF has no form for the way this tokenizer treats spaces; export the model as safetensors");
  }
}

/** A step, or the steps of a Sequence, as a list. */
function flat(json: unknown, field: string): JsonObject[] {
  if (!isJsonObject(json)) return [];
  if (json.type !== "Sequence") return [json];
  return Array.isArray(json[field]) ? json[field].flatMap((step: unknown) => flat(step, field)) : [];
}

/** Whether the file has a vocabulary at all. */
export function hasVocabulary(file: GgufHeader): boolean {
  const kind = file.values.get("tokenizer.ggml.model");
  return kind !== undefined && kind !== "no_vocab";
}

/** The tokenizer.json that a GGUF file's vocabulary amounts to. Throws FormatError naming what is missing or not supported. */
export function tokenizerFromGguf(file: GgufHeader): JsonObject {
  const kind = file.values.get("tokenizer.ggml.model");
  if (kind !== "gpt2" && kind !== "llama") {
    throw new FormatError(
      `${file.name}: its tokenizer is ${describe(kind)}; from GGUF, gpt2 and llama vocabularies can be read: use the model's safetensors version`,
    );
  }
  const tokens = stringsIn(file, "tokenizer.ggml.tokens");
  const types = file.values.has("tokenizer.ggml.token_type") ? numbersIn(file, "tokenizer.ggml.token_type") : [];
  const typeOf = (id: number): number => types[id] ?? NORMAL;
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (typeOf(id) !== UNUSED && !ids.has(token)) ids.set(token, id);

  const added = tokens.flatMap((content, id) => {
    const special = typeOf(id) === CONTROL || typeOf(id) === UNKNOWN;
    if ((!special && typeOf(id) !== USER_DEFINED) || ids.get(content) !== id) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const shell = { version: "1.0", truncation: null, padding: null, added_tokens: added };
  const vocab = Object.fromEntries(ids); // own properties, whatever the tokens are called
  const model = { type: "BPE", dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null, vocab };
  if (kind === "gpt2") return byteLevelFrom(file, shell, { ...model, merges: stringsIn(file, "tokenizer.ggml.merges") }, tokens);
  const normal = new Map([...ids].filter(([, id]) => typeOf(id) === NORMAL));
  return sentencePieceFrom(file, shell, { ...model, merges: mergesFromScores(normal, numbersIn(file, "tokenizer.ggml.scores")) }, tokens);
}

function byteLevelFrom(file: GgufHeader, shell: object, model: object, tokens: readonly string[]): JsonObject {
  const pre = file.values.get("tokenizer.ggml.pre") ?? "gpt-2";
  const cutting = typeof pre === "string" && Object.hasOwn(cuttings, pre) ? cuttings[pre] : undefined;
  if (!cutting) {
    const known = Object.keys(cuttings).join(", ");
    throw new FormatError(`${file.name}: cuts text the way ${describe(pre)}, known from GGUF are ${known}; use the model's safetensors version`);
  }
  return {
    ...shell,
    normalizer: null,
    pre_tokenizer: cutting.steps.length === 1 ? cutting.steps[0] : { type: "Sequence", pretokenizers: cutting.steps },
    post_processor: template(file, tokens, cutting.addBos),
    decoder: byteLevel(true),
    model: { ...model, unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: cutting.ignoreMerges },
  };
}

function sentencePieceFrom(file: GgufHeader, shell: object, model: object, tokens: readonly string[]): JsonObject {
  const unknown = file.values.get("tokenizer.ggml.unknown_token_id") ?? 0;
  const prefix = file.values.get("tokenizer.ggml.add_space_prefix") !== false;
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    ...shell,
    normalizer: { type: "Sequence", normalizers: prefix ? [{ type: "Prepend", prepend: "▁" }, replace] : [replace] },
    pre_tokenizer: null,
    post_processor: template(file, tokens, true),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: { ...model, unk_token: tokens[Number(unknown)] ?? null, fuse_unk: true, byte_fallback: true, ignore_merges: false },
  };
}

const specialPiece = (token: string | undefined): object[] => (token === undefined ? [] : [{ SpecialToken: { id: token, type_id: 0 } }]);
const textPiece = (id: string, type: number): object => ({ Sequence: { id, type_id: type } });

/** The post_processor that puts the start and end tokens around a text; null when there is none to put. */
function template(file: GgufHeader, tokens: readonly string[], addBosByDefault: boolean): JsonObject | null {
  const asked = (key: string, otherwise: boolean): boolean => (file.values.get(`tokenizer.ggml.add_${key}_token`) ?? otherwise) === true;
  const bos = asked("bos", addBosByDefault) ? specialToken(file, tokens, "bos") : undefined;
  const eos = asked("eos", false) ? specialToken(file, tokens, "eos") : undefined;
  if (bos === undefined && eos === undefined) return null;
  const special = [bos, eos].filter((token) => token !== undefined);
  return {
    type: "TemplateProcessing",
    single: [...specialPiece(bos), textPiece("A", 0), ...specialPiece(eos)],
    pair: [...specialPiece(bos), textPiece("A", 0), textPiece("B", 1), ...specialPiece(eos)],
    special_tokens: Object.fromEntries(special.map((token) => [token, { id: token, ids: [tokens.indexOf(token)], tokens: [token] }])),
  };
}

function specialToken(file: GgufHeader, tokens: readonly string[], which: "bos" | "eos"): string | undefined {
  const id = file.values.get(`tokenizer.ggml.${which}_token_id`);
  return typeof id === "number" ? tokens[id] : undefined;
}

/** The tokenizer_config.json of a GGUF file: which tokens begin and end a text, and the chat template. */
export function tokenizerConfigFromGguf(file: GgufHeader): JsonObject {
  const tokens = stringsIn(file, "tokenizer.ggml.tokens");
  const chat = file.values.get("tokenizer.chat_template");
  return {
    bos_token: specialToken(file, tokens, "bos") ?? null,
    eos_token: specialToken(file, tokens, "eos") ?? null,
    ...(typeof chat === "string" ? { chat_template: chat } : {}),
  };
}

/** No piece of a vocabulary in use is longer; of a longer one no merges are looked for. */
const LONGEST_PIECE = 128;

/** SentencePiece keeps scores, not merges: every way to join two pieces into a third, best result first (then by the parts' ids). */
function mergesFromScores(ids: ReadonlyMap<string, number>, scoreOf: readonly number[]): [string, string][] {
  const merges: { readonly parts: [string, string]; readonly score: number; readonly left: number; readonly right: number }[] = [];
  for (const [token, id] of ids) {
    if (token.length > LONGEST_PIECE) continue;
    for (let cut = 1; cut < token.length; cut++) {
      const parts: [string, string] = [token.slice(0, cut), token.slice(cut)];
      const [left, right] = [ids.get(parts[0]), ids.get(parts[1])];
      if (left !== undefined && right !== undefined) merges.push({ parts, score: scoreOf[id] ?? 0, left, right });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return merges.map(({ parts }) => parts);
}

function stringsIn(file: GgufHeader, key: string): readonly string[] {
  const value = file.values.get(key);
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new FormatError(`${file.name}: ${key} is ${describe(value)}, expected a list of texts; convert the model anew or fetch it again`);
}

function numbersIn(file: GgufHeader, key: string): readonly number[] {
  const value = file.values.get(key);
  if (Array.isArray(value) && value.every((item) => typeof item === "number")) return value;
  throw new FormatError(`${file.name}: ${key} is ${describe(value)}, expected a list of numbers; convert the model anew or fetch it again`);
}
