/**
 * The long tail of tokenizer.json (WordPiece, Unigram, unusual normalizers) through Hugging Face's own JavaScript tokenizers.
 * Loaded only when a file needs it. The library knows strings, not bytes, so a token's bytes here are those of the text it adds.
 */
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { FormatError, VitrineError, quoted } from "../base/errors.ts";
import { arrayField, objectField, textField, vocabularyField, wrong } from "./fields.ts";
import { checkTemplate, templateOf } from "./template.ts";
import { endIds, hintedTemplate } from "./hints.ts";
import { utf8Bytes } from "./utf8.ts";
import { Vocabulary, addedTokens } from "./vocabulary.ts";
import type { Template } from "./template.ts";
import type { EncodeOptions, MergeStep, StreamDecoder, Token, Tokenizer } from "./tokenizer.ts";
import type { TokenizerHints } from "./hints.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Throws FormatError when neither we nor the library can make sense of the file. */
export function libraryTokenizer(json: Fields, file: string, hints: TokenizerHints): Tokenizer {
  const model = objectField(json.model, `${file}: model`);
  if (!["BPE", "WordPiece", "Unigram", "WordLevel", undefined].includes(model.type as string | undefined)) {
    throw wrong(`${file}: model.type`, model.type, "BPE, WordPiece, Unigram or WordLevel");
  }
  const added = addedTokens(json.added_tokens, `${file}: added_tokens`);
  const vocabulary = new Vocabulary(modelVocabulary(model, `${file}: model`), added, `${file}: added_tokens`);
  const template = templateOf(json.post_processor, `${file}: post_processor`);
  if (template === undefined) {
    const { type } = objectField(json.post_processor, `${file}: post_processor`);
    throw wrong(`${file}: post_processor.type`, type, "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel or a Sequence of them");
  }
  checkTemplate(template, vocabulary.size, `${file}: post_processor`);
  // The template is ours; and special tokens can be meant literally only by a tokenizer that does not know them.
  const whole = { normalizer: null, pre_tokenizer: null, decoder: null, ...json, added_tokens: json.added_tokens ?? [], post_processor: null };
  const literal = { ...whole, added_tokens: (whole.added_tokens as Fields[]).filter((token) => token.special !== true) };
  const make = (fields: Fields): HuggingFaceTokenizer => {
    try {
      return new HuggingFaceTokenizer(structuredClone(fields), { unk_token: model.unk_token, ...hints.config }); // WordLevel looks for it there
    } catch (cause) {
      throw new FormatError(`${file}: not a tokenizer we or Hugging Face's library can read (${oneLine(cause)}); fetch the file again`, { cause });
    }
  };
  const { bosId, eosId } = endIds(vocabulary, template, hints);
  const around = json.post_processor ? template : hintedTemplate(hints, bosId, eosId);
  return new LibraryTokenizer({ tokenizer: make(whole), makeLiteral: () => make(literal), vocabulary, template: around, bosId, eosId, json, hints });
}

function modelVocabulary(model: Fields, where: string): Map<string, number> {
  if (!Array.isArray(model.vocab)) return vocabularyField(model.vocab, `${where}.vocab`);
  // Unigram: [piece, log-probability] in the order of ids.
  const ids = new Map<string, number>();
  for (const [id, entry] of model.vocab.entries()) {
    const [piece, score] = arrayField(entry, `${where}.vocab[${id}]`);
    if (typeof score !== "number") throw wrong(`${where}.vocab[${id}][1]`, score, "a score");
    ids.set(textField(piece, `${where}.vocab[${id}][0]`), id);
  }
  if (ids.size !== model.vocab.length) throw wrong(`${where}.vocab`, model.vocab, "each piece once");
  return ids;
}

interface LibraryParts {
  readonly tokenizer: HuggingFaceTokenizer;
  /** The same without its special tokens; made when first asked for. */
  readonly makeLiteral: () => HuggingFaceTokenizer;
  readonly vocabulary: Vocabulary;
  readonly template: Template;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly json: Fields;
  readonly hints: TokenizerHints;
}

class LibraryTokenizer implements Tokenizer {
  readonly kind = "library";
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly #parts: LibraryParts;
  #literal: HuggingFaceTokenizer | undefined;
  #anchor: { readonly id: number; readonly text: string } | undefined;

  constructor(parts: LibraryParts) {
    this.#parts = parts;
    this.vocabularySize = parts.vocabulary.size;
    this.bosId = parts.bosId;
    this.eosId = parts.eosId;
  }

  encode(text: string, { template = true, special = true }: EncodeOptions = {}): number[] {
    const { tokenizer, makeLiteral, template: around } = this.#parts;
    const library = special ? tokenizer : (this.#literal ??= makeLiteral());
    const ids = guarded("encode", () => library.encode(text, { add_special_tokens: false }).ids);
    for (const id of ids)
      if (!Number.isInteger(id)) throw new VitrineError("encode: the vocabulary has no token for part of this text; use a model that knows it");
    return template ? [...around.before, ...ids, ...around.after] : ids;
  }

  decode(ids: readonly number[], { special = false }: { readonly special?: boolean } = {}): string {
    const { tokenizer, vocabulary, hints } = this.#parts;
    const told = ids.filter((id) => vocabulary.piece(id) !== undefined && (special || !vocabulary.isSpecial(id)));
    if (told.length === 0) return "";
    const cleanUp = hints.config.clean_up_tokenization_spaces === true;
    return guarded("decode", () => tokenizer.decode(told, { skip_special_tokens: false, clean_up_tokenization_spaces: cleanUp }));
  }

  /** Decodes all ids so far each time, since the library's rules may look at neighbours; text that they may still change is held back. */
  decoder(options?: { readonly special?: boolean }): StreamDecoder {
    const ids: number[] = [];
    const held = this.#heldBack();
    let told = "";
    const tell = (text: string): string => {
      if (!text.startsWith(told)) return "";
      const fresh = text.slice(told.length);
      told = text;
      return fresh;
    };
    return {
      push: (id) => {
        ids.push(id);
        const text = this.decode(ids, options);
        const certain = text.replace(/\ufffd+$/, "").length - held;
        return certain > told.length ? tell(wholeCharacters(text, certain)) : "";
      },
      end: () => tell(this.decode(ids, options)),
    };
  }

  token(id: number): Token {
    const { vocabulary, json } = this.#parts;
    const piece = vocabulary.piece(id) ?? "";
    if (vocabulary.isSpecial(id)) return { id, text: piece, bytes: new Uint8Array(0), special: true };
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece);
    const text = this.#textOf(id);
    const isByte = byte !== null && JSON.stringify(json.decoder ?? null).includes('"ByteFallback"');
    return { id, text, bytes: isByte ? Uint8Array.of(parseInt(byte[1], 16)) : utf8Bytes(text), special: false };
  }

  idOf(piece: string): number | undefined {
    return this.#parts.vocabulary.idOf(piece);
  }

  /** The library does not show its steps. */
  merges(): MergeStep[][] {
    return [];
  }

  /** What the id adds to a text in mid-sentence: after an ordinary word, since at the start a leading space may go. */
  #textOf(id: number): string {
    const anchor = (this.#anchor ??= this.#findAnchor());
    const alone = this.decode([id]);
    const both = this.decode([anchor.id, id]);
    return both.startsWith(anchor.text) ? both.slice(anchor.text.length) : alone;
  }

  #findAnchor(): { id: number; text: string } {
    const { vocabulary } = this.#parts;
    for (let id = 0; id < vocabulary.size; id++) {
      if (vocabulary.isSpecial(id)) continue;
      const text = this.decode([id]);
      if (/^\p{L}+$/u.test(text)) return { id, text };
    }
    return { id: 0, text: this.decode([0], { special: true }) };
  }

  /** The longest stretch that the clean-up of " n't" and its kin may still rewrite. */
  #heldBack(): number {
    const { json, hints } = this.#parts;
    const decoder = JSON.stringify(json.decoder ?? null);
    const cleans = decoder.includes('"WordPiece"') || decoder.includes('"CTC"') || hints.config.clean_up_tokenization_spaces === true;
    return cleans ? 8 : 0;
  }
}

/** text[0..end) without half a surrogate pair at the end. */
function wholeCharacters(text: string, end: number): string {
  return text.slice(0, /[\ud800-\udbff]/.test(text[end - 1]) ? end - 1 : end);
}

/** What the library throws is not made for users. */
function guarded<T>(operation: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new VitrineError(`${operation}: Hugging Face's tokenizer library gave up on this input (${oneLine(cause)}); try a shorter text`, { cause });
  }
}

function oneLine(cause: unknown): string {
  return quoted(cause instanceof Error ? cause.message : String(cause));
}
