/**
 * The part of a text that is never trained on, so that it can tell learning from learning by heart.
 * Always the same part: it depends on the text alone, not on any seed.
 */
import { VitrineError } from "../base/errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TokenArray, TokenData } from "./token-list.ts";
import { fingerprint } from "./fingerprint.ts";

/** The id that ends documents: `<|endoftext|>`, else what the tokenizer's files call the end; undefined when there is neither. */
export function endOfTextId(tokenizer: Tokenizer): number | undefined {
  for (const id of [tokenizer.idOf("<|endoftext|>"), tokenizer.eosId]) if (id !== undefined && tokenizer.token(id).special) return id;
  return undefined;
}

export interface Split {
  readonly train: TokenData;
  /** Empty with share 0. */
  readonly validation: TokenData;
  readonly how: "documents" | "tail" | "none";
}

/** From this many documents on whole documents are chosen. */
const MANY = 100;

/**
 * Cuts off `share` (0 to below 1) of the tokens. With 100 documents or more, documents are chosen by what they hold: about that share
 * of them, equal ones always together, and others added later change nothing for these. Else it is the end of the text.
 * `endOfText` is the id that ends documents. Throws VitrineError when the share is no share or leaves nothing on one side.
 */
export function splitCorpus(data: TokenData, endOfText: number | undefined, share = 0.1): Split {
  if (!(share >= 0 && share < 1)) throw new VitrineError(`validation share ${share}; expected a number from 0 to below 1`);
  const { tokens } = data;
  if (share === 0) return { train: data, validation: part(data, tokens.length, tokens.length), how: "none" };
  const byDocuments = endOfText === undefined ? undefined : splitByDocuments(data, endOfText, share);
  if (byDocuments !== undefined) return byDocuments;

  const cut = tokens.length - Math.round(tokens.length * share);
  if (cut === 0 || cut === tokens.length)
    throw new VitrineError(
      `the text has only ${tokens.length} tokens: a share of ${share} for validation leaves nothing on one side; use more text or another share`,
    );
  return { train: part(data, 0, cut), validation: part(data, cut, tokens.length), how: "tail" };
}

/** Undefined when there are few documents, or the choice is far from the share, as a few long ones among many short can make it. */
function splitByDocuments(data: TokenData, endOfText: number, share: number): Split | undefined {
  const { tokens } = data;
  const ends: number[] = [];
  for (let at = 0; at < tokens.length; at++) if (tokens[at] === endOfText || at === tokens.length - 1) ends.push(at + 1);
  if (ends.length < MANY) return undefined;

  const chosen = ends.map((end, i) => isChosen(tokens, i === 0 ? 0 : ends[i - 1], end, share));
  const count = ends.reduce((sum, end, i) => sum + (chosen[i] ? end - (i === 0 ? 0 : ends[i - 1]) : 0), 0);
  if (count < (tokens.length * share) / 2 || count > tokens.length * Math.min(2 * share, (1 + share) / 2)) return undefined;
  return { train: gather(data, ends, chosen, false, tokens.length - count), validation: gather(data, ends, chosen, true, count), how: "documents" };
}

/** A coin that only the document's tokens decide. */
function isChosen(tokens: TokenArray, start: number, end: number, share: number): boolean {
  const all = fingerprint();
  const ids = tokens.subarray(start, end);
  all.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return parseInt(all.digest().slice(0, 8), 16) < share * 2 ** 32;
}

function gather({ tokens, mask }: TokenData, ends: readonly number[], chosen: readonly boolean[], which: boolean, length: number): TokenData {
  const into = { tokens: tokens.slice(0, 0), mask: mask && new Uint8Array(length) };
  into.tokens = tokens instanceof Uint16Array ? new Uint16Array(length) : new Uint32Array(length);
  let at = 0;
  ends.forEach((end, i) => {
    if (chosen[i] !== which) return;
    const start = i === 0 ? 0 : ends[i - 1];
    into.tokens.set(tokens.subarray(start, end), at);
    if (mask) into.mask!.set(mask.subarray(start, end), at);
    at += end - start;
  });
  return into.mask ? { tokens: into.tokens, mask: into.mask } : { tokens: into.tokens };
}

function part({ tokens, mask }: TokenData, start: number, end: number): TokenData {
  const cut = tokens.subarray(start, end) as TokenArray;
  return mask ? { tokens: cut, mask: mask.subarray(start, end) } : { tokens: cut };
}
