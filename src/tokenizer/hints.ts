/**
 * What the files beside tokenizer.json know: which tokens begin and end a text, and whether they are put around it.
 */
import type { Template } from "./template.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** What a model folder's other files say. */
export interface TokenizerHints {
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  /** tokenizer_config.json's add_bos_token and add_eos_token; they hold where tokenizer.json has no template. */
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** tokenizer_config.json as a whole, for the library. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** The template that add_bos_token and add_eos_token ask for, where tokenizer.json has none. */
export function hintedTemplate(hints: TokenizerHints, bosId: number | undefined, eosId: number | undefined): Template {
  return { before: hints.addBos && bosId !== undefined ? [bosId] : [], after: hints.addEos && eosId !== undefined ? [eosId] : [] };
}

/** The names that beginnings and ends of text go by where no file says which token it is. */
const usualBos = ["<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<|endoftext|>"];
const usualEos = ["</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>"];

/** The tokens that begin and end a text: as the files name them, else the template's, else the special tokens of the usual names. */
export function endIds(vocabulary: Vocabulary, template: Template, hints: TokenizerHints): { bosId: number | undefined; eosId: number | undefined } {
  const usual = (names: readonly string[]): number | undefined =>
    names.map((name) => vocabulary.idOf(name)).find((id) => id !== undefined && vocabulary.isSpecial(id));
  const named = (name: string | undefined): number | undefined => (name === undefined ? undefined : vocabulary.idOf(name));
  return {
    bosId: named(hints.bosToken) ?? template.before[0] ?? usual(usualBos),
    eosId: named(hints.eosToken) ?? template.after[0] ?? usual(usualEos),
  };
}
