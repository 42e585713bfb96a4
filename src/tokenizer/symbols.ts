/**
 * What merging starts from: the ids of single bytes (byte-level BPE) or single characters (SentencePiece-style, with byte fallback).
 */
import { VitrineError, quoted } from "../base/errors.ts";
import { byteCharacters } from "./byte-alphabet.ts";
import { codePointAt, utf8Width } from "./utf8.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Writes the ids of the symbols of bytes[start..end) into `into` (room for one per byte) and returns how many there are. */
export type Symbols = (bytes: Uint8Array, start: number, end: number, into: Int32Array) => number;

export interface UnknownRule {
  /** What stands for a symbol outside the vocabulary; undefined makes such a symbol an error. */
  readonly id: number | undefined;
  /** Neighbouring unknown symbols become one. */
  readonly fuse: boolean;
}

/**
 * Byte-level BPE: every byte by the character that spells it.
 * What it gives throws VitrineError for a byte without an id, unless a token stands for unknown ones.
 */
export function byteSymbols(vocabulary: Vocabulary, unknown: UnknownRule): Symbols {
  const ids = Int32Array.from(byteCharacters, (character) => vocabulary.idOf(character) ?? -1);
  return (bytes, start, end, into) => {
    let count = 0;
    let afterUnknown = false;
    for (let at = start; at < end; at++) {
      const id = ids[bytes[at]];
      if (id >= 0) into[count++] = id;
      else if (unknown.id === undefined) throw noToken(`the byte ${bytes[at]} (spelled ${quoted(byteCharacters[bytes[at]])})`);
      else if (!(unknown.fuse && afterUnknown)) into[count++] = unknown.id;
      afterUnknown = id < 0;
    }
    return count;
  };
}

export interface CharacterSymbols {
  readonly symbols: Symbols;
  /** True when the character has no id of its own and no bytes to fall back on. */
  isUnknown(codePoint: number): boolean;
}

/** How SentencePiece vocabularies spell a byte that stands alone. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** SentencePiece: every character by itself; one without an id as the tokens of its bytes with `byteFallback`, else as unknown. */
export function characterSymbols(vocabulary: Vocabulary, unknown: UnknownRule, byteFallback: boolean): CharacterSymbols {
  const byteIds = Int32Array.from({ length: 256 }, (_, byte) => (byteFallback ? (vocabulary.idOf(byteToken(byte)) ?? -1) : -1));
  const known = new Map<number, number>();
  const idOf = (codePoint: number): number => {
    let id = known.get(codePoint);
    if (id === undefined) known.set(codePoint, (id = vocabulary.idOf(String.fromCodePoint(codePoint)) ?? -1));
    return id;
  };
  const hasBytes = (bytes: Uint8Array, start: number, end: number): boolean => {
    for (let at = start; at < end; at++) if (byteIds[bytes[at]] < 0) return false;
    return true;
  };

  const symbols: Symbols = (bytes, start, end, into) => {
    let count = 0;
    let afterUnknown = false;
    for (let at = start; at < end;) {
      const next = at + utf8Width(bytes[at]);
      const id = idOf(codePointAt(bytes, at));
      let isUnknown = false;
      if (id >= 0) into[count++] = id;
      else if (hasBytes(bytes, at, next)) for (let i = at; i < next; i++) into[count++] = byteIds[bytes[i]];
      else {
        isUnknown = true;
        const codePoint = codePointAt(bytes, at);
        const hex = codePoint.toString(16).toUpperCase().padStart(4, "0");
        if (unknown.id === undefined) throw noToken(`the character ${quoted(String.fromCodePoint(codePoint))} (U+${hex})`);
        if (!(unknown.fuse && afterUnknown)) into[count++] = unknown.id;
      }
      afterUnknown = isUnknown;
      at = next;
    }
    return count;
  };

  const isUnknown = (codePoint: number): boolean => {
    if (idOf(codePoint) >= 0) return false;
    const bytes = new TextEncoder().encode(String.fromCodePoint(codePoint));
    return !hasBytes(bytes, 0, bytes.length);
  };
  return { symbols, isUnknown };
}

function noToken(what: string): VitrineError {
  return new VitrineError(`encode: the vocabulary has no token for ${what} and none for unknown text; leave it out or use a model that knows it`);
}
