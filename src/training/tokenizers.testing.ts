/** Tokenizers and text for the tests of this room: one of each kind. */
import { gpt2Files, reader } from "../tokenizer/gpt2.testing.ts";
import { characterTokenizer } from "../tokenizer/characters.ts";
import { llamaTokenizerJson } from "../tokenizer/llama.testing.ts";
import { loadTokenizer } from "../tokenizer/load.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

let made: Promise<Tokenizer> | undefined;
export const gpt2 = (): Promise<Tokenizer> => (made ??= loadTokenizer(reader(gpt2Files())));
export const llama = (): Promise<Tokenizer> => loadTokenizer(reader({ "tokenizer.json": JSON.stringify(llamaTokenizerJson()) }));
export const characters = (text: string, special: readonly string[] = []): Promise<Tokenizer> => characterTokenizer(text, special);

/** About `words` words, with lines, numbers, contractions and runs of spaces; always the same. */
export function story(words: number): string {
  const list = [
    "once",
    "upon",
    "a",
    "time",
    "there",
    "was",
    "the",
    "girl",
    "who",
    "didn't",
    "know",
    "1,234",
    "town",
    "sun",
    "Жила",
    "東京",
    "👩🏽‍💻",
    "e\u0301",
    "(a",
    "b)",
  ];
  const ends = [" ", " ", " ", " ", ", ", ".\n", ". ", "  ", "\n\n", " \n "];
  let out = "";
  let x = 1;
  const next = (below: number): number => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    return (x >>> 8) % below;
  };
  for (let i = 0; i < words; i++) out += list[next(list.length)] + ends[next(ends.length)];
  return out;
}
