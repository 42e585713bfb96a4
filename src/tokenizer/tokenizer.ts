/**
 * What a tokenizer is to the rest of Vitrine: text <-> ids, and the bytes behind every id.
 * The kinds (byte-level BPE, SentencePiece-style BPE, characters, the long tail) live in files beside this one.
 */

export interface Token {
  readonly id: number;
  /** What a person reads; bytes that are not UTF-8 by themselves show as U+FFFD. */
  readonly text: string;
  /** The bytes this token stands for in the text. A special token stands for none. */
  readonly bytes: Uint8Array;
  readonly special: boolean;
}

export interface EncodeOptions {
  /** Put the special tokens of the model's template around the text (Llama's <s>). Default true. */
  readonly template?: boolean;
  /** Recognise special tokens written out in the text. Default true; false encodes "<|endoftext|>" as plain characters. */
  readonly special?: boolean;
}

/**
 * One step of byte-pair encoding: `pieces` after the merge, which joined pieces[at] from two parts by the rule of this rank.
 * Pieces are in the vocabulary's own spelling ("Ġthe"); `idOf` and `token` make them readable.
 */
export interface MergeStep {
  readonly pieces: readonly string[];
  /** Index in `pieces` of the freshly joined piece; -1 for the starting point. */
  readonly at: number;
  /** Line of the rule in the merge list, 0 = learned first; -1 for the starting point. */
  readonly rank: number;
}

/** Gives text as soon as it is whole: never half a character. */
export interface StreamDecoder {
  /** The text that became certain with this id; "" while a character is incomplete. */
  push(id: number): string;
  /** What is left at the end; incomplete bytes become U+FFFD. */
  end(): string;
}

export interface Tokenizer {
  readonly kind: "byte-level-bpe" | "sentencepiece-bpe" | "characters" | "library";
  /** One past the largest id. Holes are possible. */
  readonly vocabularySize: number;
  /** Undefined where the tokenizer files name none. */
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;

  encode(text: string, options?: EncodeOptions): number[];
  /** Special tokens are left out unless asked for. */
  decode(ids: readonly number[], options?: { readonly special?: boolean }): string;
  decoder(options?: { readonly special?: boolean }): StreamDecoder;
  /** Throws VitrineError when the id is outside the vocabulary. Ids in holes give an empty token. */
  token(id: number): Token;
  /** The id whose token is exactly this string in the vocabulary's own spelling ("Ġthe", "▁the", "<s>"). */
  idOf(piece: string): number | undefined;
  /** The pieces the text is cut into before merging, each with its merges one by one. Empty for kinds that do not merge. */
  merges(text: string): MergeStep[][];
}
