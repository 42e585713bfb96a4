/**
 * Finds added tokens written out in a text ("<|endoftext|>"), before normalising and merging see it.
 * The rules are Hugging Face's: leftmost first, longest where several begin together; word borders and swallowed white space as each asks for.
 */
import type { AddedToken } from "./vocabulary.ts";

const wordCharacter = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const whiteSpace = /\p{White_Space}/u;

export interface AddedTokenFinder {
  /** Calls back in reading order: `onText` for stretches without added tokens (never empty), `onToken` for each found. `special` as in EncodeOptions. */
  find(text: string, special: boolean, onText: (text: string, start: number) => void, onToken: (id: number) => void): void;
}

/** `spellings` gives what to look for, where it is not the token's content (its normalised form). */
export function addedTokenFinder(
  tokens: readonly AddedToken[],
  spelling: (token: AddedToken) => string = (token) => token.content,
): AddedTokenFinder {
  const bySpelling = new Map<string, AddedToken>();
  for (const token of tokens) if (spelling(token) !== "") bySpelling.set(spelling(token), token);
  const longestFirst = [...bySpelling.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escapeForRegExp).join("|"), "g");

  return {
    find(text, special, onText, onToken) {
      let done = 0;
      if (bySpelling.size > 0) {
        pattern.lastIndex = 0;
        for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
          const token = bySpelling.get(found[0])!;
          const after = pattern.lastIndex;
          if (token.special && !special) continue;
          if (token.singleWord && touchesWord(text, found.index, after)) continue;
          const start = token.leftStrip ? skipSpaceBack(text, found.index, done) : found.index;
          const end = token.rightStrip ? skipSpace(text, after) : after;
          if (start < done) continue; // inside white space that the token before swallowed
          if (start > done) onText(text.slice(done, start), done);
          onToken(token.id);
          done = end;
        }
      }
      if (done < text.length) onText(done === 0 ? text : text.slice(done), done);
    },
  };
}

function escapeForRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function touchesWord(text: string, start: number, end: number): boolean {
  const before = start > 0 ? characterBefore(text, start) : "";
  const after = end < text.length ? String.fromCodePoint(text.codePointAt(end)!) : "";
  return wordCharacter.test(before) || wordCharacter.test(after);
}

function characterBefore(text: string, end: number): string {
  const pair = end > 1 ? text.codePointAt(end - 2)! : 0;
  return pair > 0xffff ? String.fromCodePoint(pair) : text[end - 1];
}

// White space is never a surrogate pair.
function skipSpaceBack(text: string, at: number, least: number): number {
  while (at > least && whiteSpace.test(text[at - 1])) at--;
  return at;
}

function skipSpace(text: string, at: number): number {
  while (at < text.length && whiteSpace.test(text[at])) at++;
  return at;
}
