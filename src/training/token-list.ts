/** Token ids in as little memory as they need: two bytes each when the vocabulary allows, and room that grows with them. */

export type TokenArray = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Tokens of a text and, where not all of them are to be learned, which: 1 = its prediction counts. */
export interface TokenData {
  readonly tokens: TokenArray;
  readonly mask?: Uint8Array;
}

/** Room for `length` ids of a vocabulary of this size. */
export function tokenArray(vocabularySize: number, length: number): TokenArray {
  return vocabularySize <= 65536 ? new Uint16Array(length) : new Uint32Array(length);
}

export class TokenList {
  readonly #vocabularySize: number;
  #room: TokenArray;
  #length = 0;

  constructor(vocabularySize: number) {
    this.#vocabularySize = vocabularySize;
    this.#room = tokenArray(vocabularySize, 1 << 12);
  }

  get length(): number {
    return this.#length;
  }

  push(id: number): void {
    this.#reserve(1);
    this.#room[this.#length++] = id;
  }

  add(ids: readonly number[] | TokenArray): void {
    this.#reserve(ids.length);
    this.#room.set(ids, this.#length);
    this.#length += ids.length;
  }

  /** All of them. Ends the list. */
  done(): TokenArray {
    const all = this.#room.length === this.#length ? this.#room : this.#room.slice(0, this.#length);
    this.#room = tokenArray(this.#vocabularySize, 0);
    this.#length = 0;
    return all;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#room.length) return;
    const room = tokenArray(this.#vocabularySize, Math.max(this.#length + more, Math.ceil(this.#room.length * 1.5)));
    room.set(this.#room.subarray(0, this.#length));
    this.#room = room;
  }
}
