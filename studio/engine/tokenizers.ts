/**
 * Other tokenizers than the open model's, for comparing how they cut the same text. A few are kept, as each is some thousand rules to read.
 * Part of engine-worker.ts.
 */
import { loadTokenizer } from "../../src/index.browser.ts";
import type { Tokenizer } from "../../src/exports.ts";
import { characterTokenizer } from "../../src/exports.ts";
import { tokenFacts } from "./facts.ts";
import type { ModelSource, TokenFacts, Tokenized, TokenizerChoice } from "./protocol.ts";

const most = 3;

export class Tokenizers {
  readonly #open: () => Tokenizer;
  readonly #address: (name: string) => URL;
  readonly #kept = new Map<string, Promise<Tokenizer>>();

  /** `address`: where an embedded model lies. */
  constructor(open: () => Tokenizer, address: (name: string) => URL) {
    this.#open = open;
    this.#address = address;
  }

  /** Throws VitrineError for files without a tokenizer. */
  async cut(choice: TokenizerChoice, text: string, shown: number): Promise<Tokenized> {
    if (choice.kind === "bytes") return bytesOf(text, shown);
    const tokenizer = await this.#tokenizer(choice, text);
    if (!tokenizer) return { tokens: [], count: 0, vocabularySize: 0 };
    const ids = tokenizer.encode(text);
    return {
      tokens: ids.slice(0, shown).map((id) => tokenFacts(tokenizer.token(id))),
      count: ids.length,
      vocabularySize: tokenizer.vocabularySize,
    };
  }

  async #tokenizer(choice: Exclude<TokenizerChoice, { readonly kind: "bytes" }>, text: string): Promise<Tokenizer | undefined> {
    if (choice.kind === "open") return this.#open();
    if (choice.kind === "characters") return text === "" ? undefined : characterTokenizer(text);
    return this.#load(choice);
  }

  #load(source: ModelSource): Promise<Tokenizer> {
    const sizes = source.kind === "files" ? source.files.map(({ size }) => size).join() : "";
    const key = `${source.kind}|${source.name}|${sizes}`;
    let found = this.#kept.get(key);
    if (!found) {
      found = loadTokenizer(source.kind === "embedded" ? this.#address(source.name) : source.files);
      found.catch(() => this.#kept.delete(key));
      this.#kept.set(key, found);
      if (this.#kept.size > most) this.#kept.delete(this.#kept.keys().next().value!);
    }
    return found;
  }
}

/** Every UTF-8 byte a token, its value the id. */
function bytesOf(text: string, shown: number): Tokenized {
  const bytes = new TextEncoder().encode(text);
  const tokens = Array.from(bytes.subarray(0, shown), (byte): TokenFacts => ({
    id: byte,
    text: byte < 0x80 ? String.fromCharCode(byte) : "\ufffd",
    bytes: Uint8Array.of(byte),
    special: false,
  }));
  return { tokens, count: bytes.length, vocabularySize: 256 };
}
