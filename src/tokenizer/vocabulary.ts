/**
 * The vocabulary of a BPE tokenizer: pieces in their own spelling, their ids, and the tokens added by hand (special ones among them).
 * What a piece stands for in text is decoding.ts's business.
 */
import { FormatError, VitrineError, quoted } from "../base/errors.ts";
import { arrayField, booleanField, idField, objectField, textField } from "./fields.ts";

/** An entry of `added_tokens`: found in the text as it stands, before any merging. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Only where no word character touches it. */
  readonly singleWord: boolean;
  /** Swallows the white space before it. */
  readonly leftStrip: boolean;
  readonly rightStrip: boolean;
  /** Looked for in the normalised text instead of the raw one. */
  readonly normalized: boolean;
}

/** One added token with Hugging Face's field names; `where` as in fields.ts. */
export function addedToken(value: unknown, where: string, id?: number): AddedToken {
  const json = objectField(value, where);
  const special = booleanField(json.special, `${where}.special`, false);
  return {
    id: id ?? idField(json.id, `${where}.id`),
    content: textField(json.content, `${where}.content`),
    special,
    singleWord: booleanField(json.single_word, `${where}.single_word`, false),
    leftStrip: booleanField(json.lstrip, `${where}.lstrip`, false),
    rightStrip: booleanField(json.rstrip, `${where}.rstrip`, false),
    normalized: booleanField(json.normalized, `${where}.normalized`, !special),
  };
}

/** tokenizer.json's `added_tokens`; none when absent. Throws FormatError naming the entry that is wrong. */
export function addedTokens(value: unknown, where: string): AddedToken[] {
  if (value === undefined || value === null) return [];
  return arrayField(value, where).map((entry, i) => addedToken(entry, `${where}[${i}]`));
}

/** A special token that a folder's other files only name. */
export function plainSpecial(id: number, content: string): AddedToken {
  return { id, content, special: true, singleWord: false, leftStrip: false, rightStrip: false, normalized: false };
}

/** Pieces and added tokens under their ids, both ways. */
export class Vocabulary {
  /** One past the largest id; ids between may be free. */
  readonly size: number;
  readonly added: readonly AddedToken[];
  readonly #pieces: (string | undefined)[] = [];
  readonly #ids: ReadonlyMap<string, number>;
  readonly #addedIds = new Map<string, number>();
  readonly #special: ReadonlySet<number>;

  /** Throws FormatError naming `where` when an added token and the model's vocabulary disagree about an id. */
  constructor(ids: ReadonlyMap<string, number>, added: readonly AddedToken[], where: string) {
    this.#ids = ids;
    let size = 0;
    for (const [piece, id] of ids) {
      this.#pieces[id] = piece;
      if (id >= size) size = id + 1;
    }
    for (const { content, id } of added) {
      const [knownId, knownPiece] = [this.idOf(content), this.#pieces[id]];
      if ((knownId !== undefined && knownId !== id) || (knownPiece !== undefined && knownPiece !== content)) {
        const other = knownId !== undefined && knownId !== id ? `has it under id ${knownId}` : `has ${quoted(knownPiece ?? "")} there`;
        throw new FormatError(
          `${where}: ${quoted(content)} is added as id ${id}, but the vocabulary ${other}; give both the same id or fetch the file again`,
        );
      }
      this.#addedIds.set(content, id);
      this.#pieces[id] = content;
      if (id >= size) size = id + 1;
    }
    if (size === 0) throw new FormatError(`${where}: the vocabulary is empty, expected at least one token; fetch the tokenizer's files again`);
    this.size = size;
    this.added = added;
    this.#special = new Set(added.filter((token) => token.special).map((token) => token.id));
  }

  idOf(piece: string): number | undefined {
    return this.#ids.get(piece) ?? this.#addedIds.get(piece);
  }

  /** The piece in the vocabulary's own spelling; undefined for a free id. Throws VitrineError outside the vocabulary. */
  piece(id: number): string | undefined {
    if (!Number.isInteger(id) || id < 0 || id >= this.size) {
      throw new VitrineError(`token: id ${id} is outside the vocabulary, expected 0 to ${this.size - 1}; were these ids made by another tokenizer?`);
    }
    return this.#pieces[id];
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }
}
