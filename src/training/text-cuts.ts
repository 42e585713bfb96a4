/**
 * Where a long text may be cut so that encoding its parts gives the ids of encoding the whole: what lets files of any size be
 * encoded piece by piece with a tokenizer that only knows whole texts.
 *
 * A cut stands in front of a space, or behind a line break, between two letters' worth of text. It must pass two tests:
 * no token of the vocabulary holds the two bytes on its sides as neighbours, so no merge can cross it; and the tokenizer, asked
 * about the text around it, gives the same ids for both sides apart as for them together, so that neither its way of cutting text
 * into words, nor what it puts in front of a text or looks for in it, minds the cut.
 */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** text[0, end) and text[from, ...) are encoded apart. They differ by the space that a SentencePiece tokenizer puts in front of any text by itself. */
export interface Cut {
  readonly end: number;
  readonly from: number;
}

export interface Cutting {
  /** The last good cut of `text` that leaves at least `tail` characters behind it, at or after `least`; undefined when there is none. */
  lastCut(text: string, least: number, tail: number): Cut | undefined;
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
/** Characters that the tokenizer is shown on each side: many times the length of any word that patterns look at. */
const AROUND = 200;
/** Places tried before it is said that there is none. */
const ATTEMPTS = 40;

const letter = /^\p{L}$/u;
const white = /^\s$/u;

/** Encodes without a template and without special tokens: what is written is text. */
export function plainIds(tokenizer: Tokenizer, text: string): number[] {
  return tokenizer.encode(text, { template: false, special: false });
}

/** Looking through a vocabulary takes a moment, so it is done once for each. */
const known = new WeakMap<Tokenizer, Cutting>();

export function cuttingFor(tokenizer: Tokenizer): Cutting {
  const cutting = known.get(tokenizer) ?? makeCutting(tokenizer);
  known.set(tokenizer, cutting);
  return cutting;
}

function makeCutting(tokenizer: Tokenizer): Cutting {
  let beforeSpace: Uint8Array | undefined; // per byte: stands in front of a space inside some token
  let afterNewline: Uint8Array | undefined;

  const look = (): void => {
    beforeSpace = new Uint8Array(256);
    afterNewline = new Uint8Array(256);
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      const { bytes } = tokenizer.token(id);
      for (let i = 1; i < bytes.length; i++) {
        if (bytes[i] === SPACE) beforeSpace[bytes[i - 1]] = 1;
        if (bytes[i - 1] === NEWLINE) afterNewline[bytes[i]] = 1;
      }
    }
  };

  const candidate = (text: string, at: number): boolean => {
    if (text[at] === " ") return !white.test(text[at - 1]) && letter.test(text[at + 1] ?? "") && beforeSpace![lastByte(text, at)] === 0;
    if (text[at - 1] === "\n") return at > 1 && !white.test(text[at - 2]) && letter.test(text[at]) && afterNewline![firstByte(text, at)] === 0;
    return false;
  };

  return {
    lastCut(text, least, tail) {
      const most = text.length - Math.max(tail, 2);
      if (tokenizer.kind === "characters") {
        // Each character is a token by itself: any place between two will do.
        const at = most > least && isLowSurrogate(text, most) ? most - 1 : most;
        return at >= least && at > 0 ? { end: at, from: at } : undefined;
      }
      if (beforeSpace === undefined) look();
      let attempts = 0;
      for (let at = most; at >= Math.max(least, 2) && attempts < ATTEMPTS; at--) {
        if (!candidate(text, at)) continue;
        attempts++;
        const [left, right] = [text.slice(wholeFrom(text, at - AROUND), at), text.slice(at, wholeFrom(text, at + AROUND))];
        const together = plainIds(tokenizer, left + right);
        if (sameIds(together, plainIds(tokenizer, left), plainIds(tokenizer, right))) return { end: at, from: at };
        if (text[at] === " " && sameIds(together, plainIds(tokenizer, left), plainIds(tokenizer, right.slice(1)))) return { end: at, from: at + 1 };
      }
      return undefined;
    },
  };
}

function sameIds(all: readonly number[], left: readonly number[], right: readonly number[]): boolean {
  if (all.length !== left.length + right.length) return false;
  return left.every((id, i) => id === all[i]) && right.every((id, i) => id === all[left.length + i]);
}

function isLowSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** `at`, moved into the text and off the middle of a character. */
function wholeFrom(text: string, at: number): number {
  if (at <= 0) return 0;
  if (at >= text.length) return text.length;
  return isLowSurrogate(text, at) ? at + 1 : at;
}

const encoder = new TextEncoder();

function lastByte(text: string, end: number): number {
  const bytes = encoder.encode(text.slice(wholeFrom(text, end - 2), end));
  return bytes[bytes.length - 1];
}

function firstByte(text: string, at: number): number {
  return encoder.encode(text.slice(at, at + 2))[0];
}
