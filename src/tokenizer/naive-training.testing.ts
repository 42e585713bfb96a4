/**
 * BPE training as one would explain it: all words are looked through again for every merge. The slow reference for train.ts, sharing no code with it.
 */

export interface NaiveBpe {
  readonly tokens: string[];
  readonly merges: [string, string][];
}

const gpt2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The texts hold no special tokens and no lone surrogates. */
export function naiveTraining(texts: readonly string[], vocabulary: number, minFrequency: number, special: readonly string[]): NaiveBpe {
  const characters = byteCharacters();
  const alphabet = [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const tokens = [...special, ...alphabet];
  const merges: [string, string][] = [];
  const words = texts.flatMap((text) => (text.match(gpt2) ?? []).map((word) => [...Buffer.from(word)].map((byte) => characters[byte])));
  while (tokens.length < vocabulary) {
    const counts = new Map<string, { left: string; right: string; count: number }>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const entry = counts.get(`${word[i]} ${word[i + 1]}`) ?? { left: word[i], right: word[i + 1], count: 0 };
        entry.count++;
        counts.set(`${word[i]} ${word[i + 1]}`, entry);
      }
    }
    const id = (token: string): number => tokens.indexOf(token);
    const [best] = [...counts.values()].sort((a, b) => b.count - a.count || id(a.left) - id(b.left) || id(a.right) - id(b.right));
    if (best === undefined || best.count < Math.max(1, minFrequency)) break;
    const { left, right } = best;
    if (!tokens.includes(left + right)) tokens.push(left + right);
    if (!merges.some(([l, r]) => l === left && r === right)) merges.push([left, right]);
    for (const word of words)
      for (let i = 0; i + 1 < word.length; i++) if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
  }
  return { tokens, merges };
}

/** GPT-2's alphabet, from its definition: bytes that print stand for themselves, the others follow from U+0100 on. */
function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCodePoint(prints ? byte : next++);
  });
}
