/**
 * tokenizer.json -> a tokenizer. BPE in the forms that GPT-2's and Llama's families use is ours; the rest goes to the library (library.ts).
 * The reading of other files in a model folder is load.ts's.
 */
import { FormatError, quoted } from "../base/errors.ts";
import { isJsonObject } from "../base/json.ts";
import { spell } from "./byte-alphabet.ts";
import { Bpe } from "./bpe.ts";
import { BpeTokenizer } from "./bpe-tokenizer.ts";
import { decodingOf } from "./decoding.ts";
import { arrayField, booleanField, objectField, textField, vocabularyField, wrong } from "./fields.ts";
import { endIds, hintedTemplate } from "./hints.ts";
import { mergeRules } from "./merge-rules.ts";
import { normalizersOf } from "./normalizer.ts";
import { preTokenizerOf } from "./pre-tokenizer.ts";
import { cutAtSeams } from "./seams.ts";
import { byteSymbols, byteToken, characterSymbols } from "./symbols.ts";
import { checkTemplate, templateOf } from "./template.ts";
import { utf8Text } from "./utf8.ts";
import { Vocabulary, addedTokens } from "./vocabulary.ts";
import type { BpeTokenizerParts } from "./bpe-tokenizer.ts";
import type { TokenizerHints } from "./hints.ts";
import type { MergeRules } from "./merge-rules.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { UnknownRule } from "./symbols.ts";

/** `file` names it in messages. Throws FormatError. */
export async function tokenizerFromJson(json: unknown, file: string, hints: TokenizerHints): Promise<Tokenizer> {
  const fields = objectField(json, file);
  const native = bpeFromJson(fields, file, hints);
  if (native !== undefined) return native;
  const { libraryTokenizer } = await import("./library.ts");
  return libraryTokenizer(fields, file, hints);
}

/** Undefined when some part of it is outside what our own BPE covers. */
function bpeFromJson(fields: Readonly<Record<string, unknown>>, file: string, hints: TokenizerHints): BpeTokenizer | undefined {
  const model = objectField(fields.model, `${file}: model`);
  const kind =
    model.type === undefined && isJsonObject(model.vocab) && model.merges !== undefined ? "BPE" : textField(model.type, `${file}: model.type`);
  if (kind !== "BPE") return undefined;
  if (!isAbsent(model.continuing_subword_prefix) || !isAbsent(model.end_of_word_suffix)) return undefined;

  const normalizers = normalizersOf(fields.normalizer, `${file}: normalizer`);
  const preTokenizer = preTokenizerOf(fields.pre_tokenizer, `${file}: pre_tokenizer`);
  if (normalizers === undefined || preTokenizer === undefined) return undefined;
  const decoding = decodingOf(fields.decoder, `${file}: decoder`, preTokenizer.byteLevel);
  const template = templateOf(fields.post_processor, `${file}: post_processor`);
  if (decoding === undefined || template === undefined) return undefined;

  const ids = vocabularyField(model.vocab, `${file}: model.vocab`);
  const vocabulary = new Vocabulary(ids, addedTokens(fields.added_tokens, `${file}: added_tokens`), `${file}: added_tokens`);
  checkTemplate(template, vocabulary.size, `${file}: post_processor`);
  const lines = mergeLines(model.merges, `${file}: model.merges`);
  const { bosId, eosId } = endIds(vocabulary, template, hints);
  return assembleBpe({
    model: {
      ids,
      lines,
      where: (line) => `${file}: model.merges[${line}]`,
      unknown: unknownRule(model, vocabulary, `${file}: model`),
      byteFallback: booleanField(model.byte_fallback, `${file}: model.byte_fallback`, false),
      ignoreMerges: booleanField(model.ignore_merges, `${file}: model.ignore_merges`, false),
    },
    vocabulary,
    normalizers,
    preTokenizer,
    template: fields.post_processor ? template : hintedTemplate(hints, bosId, eosId),
    decoding,
    bosId,
    eosId,
  });
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

/** A merge rule as its file spells it. */
export type MergeLine = readonly [left: string, right: string];

interface BpeModelParts {
  /** The model's own vocabulary, without added tokens. */
  readonly ids: ReadonlyMap<string, number>;
  readonly lines: readonly MergeLine[];
  /** How messages name the rule of an index. */
  readonly where: (line: number) => string;
  readonly unknown: UnknownRule;
  readonly byteFallback: boolean;
  readonly ignoreMerges: boolean;
}

export type AssemblyParts = Omit<BpeTokenizerParts, "kind" | "finalCutter" | "bpe"> & { readonly model: BpeModelParts };

/** Puts the parts of a BPE tokenizer together. Throws FormatError when a merge names a piece outside the vocabulary. */
export function assembleBpe(parts: AssemblyParts): BpeTokenizer {
  const { model, vocabulary, preTokenizer } = parts;
  const { byteLevel } = preTokenizer;
  const rules = rulesOf(model);
  const characters = byteLevel ? undefined : characterSymbols(vocabulary, model.unknown, model.byteFallback);
  const spellPiece = byteLevel ? spell : utf8Text;
  const bpe = new Bpe({
    rules,
    symbols: characters?.symbols ?? byteSymbols(vocabulary, model.unknown),
    wholePiece: model.ignoreMerges ? (bytes) => model.ids.get(spellPiece(bytes)) : undefined,
    spelling: (id) => vocabulary.piece(id) ?? "",
  });

  // Seams hold only while merging is about characters: not for whole-piece matches, nor rules that join byte tokens or unknown symbols.
  const special = new Set(Array.from({ length: 256 }, (_, byte) => byteToken(byte)));
  if (model.unknown.id !== undefined) special.add(vocabulary.piece(model.unknown.id) ?? "");
  const seamless = model.ignoreMerges || model.lines.some(([left, right]) => special.has(left) || special.has(right));
  const fused = model.unknown.id !== undefined && model.unknown.fuse ? characters?.isUnknown : undefined;
  const finalCutter =
    characters === undefined || seamless
      ? undefined
      : cutAtSeams(
          model.lines.map(([left, right]) => left + right),
          fused,
        );
  return new BpeTokenizer({ ...parts, bpe, finalCutter, kind: kindOf(parts) });
}

/** A BPE without merges whose pieces are single characters only is a character tokenizer. */
function kindOf({ model, preTokenizer, vocabulary }: AssemblyParts): BpeTokenizerParts["kind"] {
  if (preTokenizer.byteLevel) return "byte-level-bpe";
  const added = new Set(vocabulary.added.map((token) => token.content));
  const single = (piece: string): boolean => added.has(piece) || piece.length === (piece.codePointAt(0)! > 0xffff ? 2 : 1);
  return model.lines.length === 0 && !model.byteFallback && [...model.ids.keys()].every(single) ? "characters" : "sentencepiece-bpe";
}

function rulesOf({ ids, lines, where }: BpeModelParts): MergeRules {
  const triples = new Int32Array(lines.length * 3);
  for (let i = 0; i < lines.length; i++) {
    const [left, right] = lines[i];
    const idOf = (piece: string, role: string): number => {
      const id = ids.get(piece);
      if (id !== undefined) return id;
      throw new FormatError(
        `${where(i)}: the merge ${role} ${quoted(piece)}, which is not in the vocabulary; take vocabulary and merges from the same model`,
      );
    };
    triples[i * 3] = idOf(left, "names");
    triples[i * 3 + 1] = idOf(right, "names");
    triples[i * 3 + 2] = idOf(left + right, "would make");
  }
  return mergeRules(triples);
}

/** "a b" or ["a", "b"]. */
function mergeLines(value: unknown, where: string): MergeLine[] {
  return arrayField(value, where).map((entry, i) => {
    if (Array.isArray(entry) && entry.length === 2) return [textField(entry[0], `${where}[${i}][0]`), textField(entry[1], `${where}[${i}][1]`)];
    const parts = typeof entry === "string" ? entry.split(" ") : [];
    if (parts.length !== 2) throw wrong(`${where}[${i}]`, entry, 'a rule "left right"');
    return [parts[0], parts[1]];
  });
}

function unknownRule(model: Readonly<Record<string, unknown>>, vocabulary: Vocabulary, where: string): UnknownRule {
  const token = model.unk_token === undefined || model.unk_token === null ? undefined : textField(model.unk_token, `${where}.unk_token`);
  return { id: token === undefined ? undefined : vocabulary.idOf(token), fuse: booleanField(model.fuse_unk, `${where}.fuse_unk`, false) };
}
