/**
 * A tokenizer with one token for each distinct character of a text: for teaching, for tests, for tiny models.
 * Written as a tokenizer.json that Hugging Face's libraries read as well: BPE without merges, which leaves single characters.
 */
import { VitrineError } from "../base/errors.ts";
import { tokenizerFromJson } from "./tokenizer-json.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * The tokenizer.json of the characters of `text`, ids in the order of their code points; special tokens come after them.
 * Lone surrogates count as U+FFFD. Throws VitrineError when the text is empty.
 */
export function characterTokenizerJson(text: string, specialTokens: readonly string[] = []): string {
  const distinct = new Set<number>();
  for (const character of text) distinct.add(/^\p{Surrogate}$/u.test(character) ? 0xfffd : character.codePointAt(0)!);
  if (distinct.size === 0)
    throw new VitrineError("characters: the text is empty, expected at least one character; give the text that the model will learn");
  const characters = [...distinct].sort((a, b) => a - b).map((codePoint) => String.fromCodePoint(codePoint));
  const named = specialTokens.map((content, i) => ({ id: characters.length + i, content, special: true, ...plain }));
  return JSON.stringify(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: named,
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: "Fuse" },
      model: { type: "BPE", ...plainModel, vocab: Object.fromEntries(characters.map((character, id) => [character, id])), merges: [] },
    },
    undefined,
    1,
  );
}

const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };

const plainModel = {
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

/** The tokenizer itself; `characterTokenizerJson` saves the same one. Encoding a character outside the text throws VitrineError. */
export async function characterTokenizer(text: string, specialTokens: readonly string[] = []): Promise<Tokenizer> {
  const noHints = { bosToken: undefined, eosToken: undefined, addBos: false, addEos: false, config: {} };
  return tokenizerFromJson(JSON.parse(characterTokenizerJson(text, specialTokens)), "characters", noHints);
}
