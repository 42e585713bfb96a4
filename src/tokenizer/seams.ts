/**
 * Seams: places between two characters that stand side by side in no token of the vocabulary, so that no merge can ever cross them.
 * SentencePiece-style models do not cut the text before merging; cutting at seams gives the same ids, word by word, in linear time.
 */
import { codePointAt, utf8Width } from "./utf8.ts";
import type { Cutter } from "./cutters.ts";

/** `tokens`: every piece a merge can make. `isUnknown` as in CharacterSymbols, undefined when unknown neighbours do not become one token. */
export function cutAtSeams(tokens: Iterable<string>, isUnknown: ((codePoint: number) => boolean) | undefined): Cutter {
  const asciiPairs = new Uint8Array(128 * 128);
  const pairs = new Set<number>(); // of the characters below U+10000; pairs with others always hold together
  for (const token of tokens) {
    for (let i = 1; i < token.length; i++) {
      const [left, right] = [token.charCodeAt(i - 1), token.charCodeAt(i)];
      if (left < 128 && right < 128) asciiPairs[left * 128 + right] = 1;
      else pairs.add((left << 16) | right);
    }
  }
  const holds = (left: number, right: number): boolean => {
    if (left > 0xffff || right > 0xffff || pairs.has((left << 16) | right)) return true;
    return isUnknown !== undefined && isUnknown(left) && isUnknown(right);
  };

  return (bytes, start, end) => {
    let left = codePointAt(bytes, start);
    for (let at = start + utf8Width(bytes[start]); at < end;) {
      const right = codePointAt(bytes, at);
      if (left < 128 && right < 128) {
        if (asciiPairs[left * 128 + right] === 0 && (isUnknown === undefined || !holds(left, right))) return at;
      } else if (!holds(left, right)) return at;
      left = right;
      at += utf8Width(bytes[at]);
    }
    return end;
  };
}
