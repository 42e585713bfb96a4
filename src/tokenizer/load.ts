/**
 * From the files of a model folder to its tokenizer: tokenizer.json, or vocab.json with merges.txt; tokenizer_config.json and
 * special_tokens_map.json add what they know. How files are read is the caller's.
 */
import { FormatError, quoted } from "../base/errors.ts";
import { isJsonObject, parseJson, parseJsonObject } from "../base/json.ts";
import { byteLevelDecoding } from "./decoding.ts";
import { booleanField, idField, objectField, textField, vocabularyField } from "./fields.ts";
import { gpt2PreTokenizer } from "./pre-tokenizer.ts";
import { endIds, hintedTemplate } from "./hints.ts";
import { assembleBpe, tokenizerFromJson } from "./tokenizer-json.ts";
import { Vocabulary, addedToken, plainSpecial } from "./vocabulary.ts";
import type { TokenizerHints } from "./hints.ts";
import type { MergeLine } from "./tokenizer-json.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { AddedToken } from "./vocabulary.ts";

/** The text of a file of the model folder; undefined when there is no such file. */
export type ReadText = (file: string) => Promise<string | undefined>;

/**
 * Loads the tokenizer of a model folder; `folder` names it in messages.
 * Throws FormatError, naming the file and the cure, when files are missing, malformed or contradict each other.
 */
export async function loadTokenizer(read: ReadText, folder = "the model folder"): Promise<Tokenizer> {
  try {
    return await assembled(read, folder);
  } catch (error) {
    if (!(error instanceof FormatError) || error.message.startsWith("tokenizer: ") || error.message.startsWith(folder)) throw error;
    throw new FormatError(`${folder}: ${error.message}`, { cause: error });
  }
}

async function assembled(read: ReadText, folder: string): Promise<Tokenizer> {
  const hints = await readHints(read);
  const json = await read("tokenizer.json");
  if (json !== undefined) return tokenizerFromJson(parseJson("tokenizer.json", json), "tokenizer.json", hints);

  const [vocab, merges] = [await read("vocab.json"), await read("merges.txt")];
  if (vocab !== undefined && merges !== undefined) return gpt2Tokenizer(vocab, merges, await read("added_tokens.json"), hints);
  if (vocab !== undefined)
    throw new FormatError(
      `tokenizer: ${folder} has vocab.json but not merges.txt; put the model's merges.txt beside it (an empty file for no merges)`,
    );
  if (merges !== undefined) throw new FormatError(`tokenizer: ${folder} has merges.txt but not vocab.json; put the model's vocab.json beside it`);
  throw new FormatError(
    `tokenizer: ${folder} has neither tokenizer.json nor vocab.json with merges.txt; fetch them with the model, or save its tokenizer with Hugging Face's transformers`,
  );
}

async function readHints(read: ReadText): Promise<TokenizerHints> {
  const objectIn = async (file: string): Promise<Readonly<Record<string, unknown>>> => {
    const text = await read(file);
    return text === undefined ? {} : parseJsonObject(file, text);
  };
  const config = await objectIn("tokenizer_config.json");
  const map = await objectIn("special_tokens_map.json");
  const where = "tokenizer_config.json";
  return {
    bosToken: tokenName(config.bos_token, `${where}: bos_token`) ?? tokenName(map.bos_token, "special_tokens_map.json: bos_token"),
    eosToken: tokenName(config.eos_token, `${where}: eos_token`) ?? tokenName(map.eos_token, "special_tokens_map.json: eos_token"),
    addBos: booleanField(config.add_bos_token, `${where}: add_bos_token`, false),
    addEos: booleanField(config.add_eos_token, `${where}: add_eos_token`, false),
    config: { ...map, ...config },
  };
}

/** "<s>" or { "content": "<s>" }. */
function tokenName(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  return textField(isJsonObject(value) ? value.content : value, where);
}

/** GPT-2's own pair of files: everything that tokenizer.json would say is fixed. */
function gpt2Tokenizer(vocabText: string, mergesText: string, addedText: string | undefined, hints: TokenizerHints): Tokenizer {
  const ids = vocabularyField(parseJson("vocab.json", vocabText), "vocab.json");
  const added = gpt2AddedTokens(ids, addedText, hints);
  const vocabulary = new Vocabulary(ids, added, "added tokens");
  const { lines, lineNumbers } = parseMerges(mergesText);
  const { bosId, eosId } = endIds(vocabulary, { before: [], after: [] }, hints);
  return assembleBpe({
    model: {
      ids,
      lines,
      where: (line) => `merges.txt line ${lineNumbers[line]}`,
      unknown: { id: undefined, fuse: false },
      byteFallback: false,
      ignoreMerges: false,
    },
    vocabulary,
    normalizers: [],
    preTokenizer: gpt2PreTokenizer(booleanField(hints.config.add_prefix_space, "tokenizer_config.json: add_prefix_space", false)),
    template: hintedTemplate(hints, bosId, eosId),
    decoding: byteLevelDecoding,
    bosId,
    eosId,
  });
}

/** added_tokens.json, tokenizer_config.json's added_tokens_decoder, the special tokens that files name, and <|endoftext|>. */
function gpt2AddedTokens(
  ids: ReadonlyMap<string, number>,
  addedText: string | undefined,
  { config, bosToken, eosToken }: TokenizerHints,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  const add = (token: AddedToken): void => void tokens.set(token.content, token);
  if (addedText !== undefined) {
    for (const [content, id] of vocabularyField(parseJson("added_tokens.json", addedText), "added_tokens.json"))
      add({ ...plainSpecial(id, content), special: false });
  }
  const where = "tokenizer_config.json: added_tokens_decoder";
  for (const [id, value] of Object.entries(objectField(config.added_tokens_decoder ?? {}, where))) {
    add(addedToken(value, `${where}[${quoted(id)}]`, idField(Number(id), where)));
  }
  for (const content of ["<|endoftext|>", bosToken, eosToken]) {
    const id = content === undefined ? undefined : (tokens.get(content)?.id ?? ids.get(content));
    if (content !== undefined && id !== undefined && !tokens.get(content)?.special) add(plainSpecial(id, content));
  }
  return [...tokens.values()];
}

/** merges.txt: one rule "left right" a line, after a first line "#version: ...". */
function parseMerges(text: string): { lines: MergeLine[]; lineNumbers: number[] } {
  const lines: MergeLine[] = [];
  const lineNumbers: number[] = [];
  let number = 0;
  for (let start = 0; start < text.length;) {
    const lineEnd = text.indexOf("\n", start) < 0 ? text.length : text.indexOf("\n", start);
    const end = text[lineEnd - 1] === "\r" ? lineEnd - 1 : lineEnd;
    const space = text.indexOf(" ", start);
    number++;
    if (end > start && !(number === 1 && text.startsWith("#version"))) {
      const [left, right] = [text.slice(start, space), text.slice(space + 1, end)];
      if (space <= start || space >= end - 1 || right.includes(" ")) {
        const line = quoted(text.slice(start, end));
        throw new FormatError(`merges.txt line ${number}: ${line} came where a rule "left right" was expected; fetch the file again`);
      }
      lines.push([left, right]);
      lineNumbers.push(number);
    }
    start = lineEnd + 1;
  }
  return { lines, lineNumbers };
}
