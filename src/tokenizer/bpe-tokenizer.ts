/**
 * The tokenizer of BPE models, byte-level and SentencePiece-style alike: added tokens, normalising, cutting, merging, template, and back.
 * Files become its parts in load.ts and tokenizer-json.ts; each part has a file of its own beside this one.
 */
import { addedTokenFinder } from "./added-tokens.ts";
import { decodeAll, streamDecoder } from "./decoding.ts";
import { utf8Bytes, utf8Text } from "./utf8.ts";
import type { AddedTokenFinder } from "./added-tokens.ts";
import type { Bpe } from "./bpe.ts";
import type { Cutter } from "./cutters.ts";
import type { Decoding, IdBytes } from "./decoding.ts";
import type { Normalizer } from "./normalizer.ts";
import type { PreTokenizer } from "./pre-tokenizer.ts";
import type { Template } from "./template.ts";
import type { EncodeOptions, MergeStep, StreamDecoder, Token, Tokenizer } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface BpeTokenizerParts {
  readonly kind: "byte-level-bpe" | "sentencepiece-bpe" | "characters";
  readonly vocabulary: Vocabulary;
  readonly normalizers: readonly Normalizer[];
  readonly preTokenizer: PreTokenizer;
  /** After the pre-tokenizer's own cutters: where a piece may be cut without changing its ids (seams.ts). */
  readonly finalCutter: Cutter | undefined;
  readonly bpe: Bpe;
  readonly template: Template;
  readonly decoding: Decoding;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
}

/** What encoding meets in reading order: a piece to merge, or an added token found in the text. */
interface PieceVisitor {
  piece(bytes: Uint8Array, start: number, end: number): void;
  token(id: number): void;
}

/** A tokenizer made of parts that were read and checked. It remembers pieces it has met, so the second text is faster than the first. */
export class BpeTokenizer implements Tokenizer {
  readonly kind: BpeTokenizerParts["kind"];
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly #parts: BpeTokenizerParts;
  readonly #rawFinder: AddedTokenFinder;
  readonly #normalizedFinder: AddedTokenFinder | undefined;
  readonly #cutters: readonly Cutter[];
  readonly #added: ReadonlySet<number>;
  readonly #bytes: (Uint8Array | undefined)[] = [];

  constructor(parts: BpeTokenizerParts) {
    this.#parts = parts;
    this.kind = parts.kind;
    this.vocabularySize = parts.vocabulary.size;
    this.bosId = parts.bosId;
    this.eosId = parts.eosId;
    this.#cutters = [...parts.preTokenizer.cutters, ...(parts.finalCutter ? [parts.finalCutter] : [])];
    const { added } = parts.vocabulary;
    this.#added = new Set(added.map((token) => token.id));
    // Without normalisers both finders would see the same text, and the longest match must win among all tokens.
    const isNormalized = (token: { normalized: boolean }): boolean => token.normalized && parts.normalizers.length > 0;
    const normalized = added.filter(isNormalized);
    this.#rawFinder = addedTokenFinder(added.filter((token) => !isNormalized(token)));
    this.#normalizedFinder = normalized.length > 0 ? addedTokenFinder(normalized, (token) => this.#normalize(token.content)) : undefined;
  }

  encode(text: string, { template = true, special = true }: EncodeOptions = {}): number[] {
    const { bpe, template: around } = this.#parts;
    const out: number[] = template ? [...around.before] : [];
    this.#visit(text, special, {
      piece: (bytes, start, end) => bpe.encode(bytes, start, end, out),
      token: (id) => out.push(id),
    });
    if (template) out.push(...around.after);
    return out;
  }

  /** The last step of each piece holds the pieces that `encode` without template gives the ids of, in the vocabulary's own spelling. */
  merges(text: string): MergeStep[][] {
    const { bpe, vocabulary } = this.#parts;
    const pieces: MergeStep[][] = [];
    this.#visit(text, true, {
      piece: (bytes, start, end) => pieces.push(bpe.steps(bytes, start, end)),
      token: (id) => pieces.push([{ pieces: [vocabulary.piece(id) ?? ""], at: -1, rank: -1 }]),
    });
    return pieces;
  }

  decode(ids: readonly number[], { special = false }: { readonly special?: boolean } = {}): string {
    return decodeAll(ids, this.#idBytes(special), this.#parts.decoding.stripsSpace);
  }

  decoder({ special = false }: { readonly special?: boolean } = {}): StreamDecoder {
    return streamDecoder(this.#idBytes(special), this.#parts.decoding.stripsSpace);
  }

  token(id: number): Token {
    const { vocabulary } = this.#parts;
    const piece = vocabulary.piece(id) ?? "";
    const special = vocabulary.isSpecial(id);
    const bytes = special ? new Uint8Array(0) : this.#bytesOf(id).slice();
    return { id, text: special ? piece : utf8Text(bytes), bytes, special };
  }

  idOf(piece: string): number | undefined {
    return this.#parts.vocabulary.idOf(piece);
  }

  #normalize(text: string): string {
    return this.#parts.normalizers.reduce((sofar, normalize) => normalize(sofar), text);
  }

  #visit(text: string, special: boolean, visitor: PieceVisitor): void {
    const onToken = (id: number): void => visitor.token(id);
    this.#rawFinder.find(
      text,
      special,
      (raw, rawStart) => {
        const normalized = this.#normalize(raw);
        const onText = (part: string, start: number): void => this.#visitText(part, rawStart === 0 && start === 0, visitor);
        if (this.#normalizedFinder === undefined) onText(normalized, 0);
        else this.#normalizedFinder.find(normalized, special, onText, onToken);
      },
      onToken,
    );
  }

  /** `first`: this stretch begins the whole text. */
  #visitText(text: string, first: boolean, visitor: PieceVisitor): void {
    let strings = [text];
    for (const step of this.#parts.preTokenizer.strings) strings = strings.flatMap((string, i) => step(string, first && i === 0));
    for (const string of strings) {
      const bytes = utf8Bytes(string);
      this.#cut(bytes, 0, bytes.length, 0, visitor);
    }
  }

  /** Each cutter cuts what the one before it left whole. */
  #cut(bytes: Uint8Array, start: number, end: number, depth: number, visitor: PieceVisitor): void {
    const cutter = this.#cutters[depth] as Cutter | undefined;
    if (cutter === undefined) {
      if (end > start) visitor.piece(bytes, start, end);
      return;
    }
    const innermost = depth === this.#cutters.length - 1;
    for (let at = start; at < end;) {
      const next = cutter(bytes, at, end);
      if (innermost) visitor.piece(bytes, at, next);
      else this.#cut(bytes, at, next, depth + 1, visitor);
      at = next;
    }
  }

  #idBytes(special: boolean): IdBytes {
    const { vocabulary, decoding } = this.#parts;
    return (id, first) => {
      const piece = vocabulary.piece(id);
      if (piece === undefined) return undefined;
      if (vocabulary.isSpecial(id)) return special ? utf8Bytes(piece) : undefined;
      return first && decoding.firstBytesOf !== undefined ? decoding.firstBytesOf(piece) : this.#bytesOf(id);
    };
  }

  /** Kept: a text says the same few thousand tokens again and again. */
  #bytesOf(id: number): Uint8Array {
    const { vocabulary, decoding, kind } = this.#parts;
    const piece = vocabulary.piece(id) ?? "";
    // An added token stands in the text as it is written, whatever its characters mean in the byte alphabet.
    return (this.#bytes[id] ??= kind === "byte-level-bpe" && this.#added.has(id) ? utf8Bytes(piece) : decoding.bytesOf(piece));
  }
}
