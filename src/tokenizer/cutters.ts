/**
 * Cutters: hand-written scanners with exactly the meaning of the pre-tokenizer patterns nearly all byte-level models use, over UTF-8 bytes.
 * They need no backtracking stack, so a run of ten million letters is one piece like any other. Other patterns go through split.ts.
 */
import { LETTER, NUMBER, OTHER, SPACE, classAt, runEnd } from "./character-class.ts";
import { previousStart, utf8Width } from "./utf8.ts";

/** Where the piece ends that begins at `start`; always past `start`. `end` is the end of the text as far as the pattern can see. */
export type Cutter = (bytes: Uint8Array, start: number, end: number) => number;

/** GPT-2's pattern, as openai/gpt-2 writes it. */
export const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const APOSTROPHE = 39;
const BLANK = 32;
const CARRIAGE_RETURN = 13;
const NEWLINE = 10;

/** Cuts as gpt2Pattern does. */
export const cutGpt2: Cutter = (bytes, start, end) => {
  const first = bytes[start];
  if (first === APOSTROPHE) {
    const contraction = contractionEnd(bytes, start, end);
    if (contraction !== 0) return contraction;
  }
  const at = first === BLANK ? start + 1 : start; // " ?" of the three runs
  if (at < end) {
    const kind = classAt(bytes, at);
    if (kind !== SPACE) return runEnd(bytes, at, end, kind);
  }
  return whiteSpaceEnd(bytes, start, end);
};

/** 's 't 'm 'd 're 've 'll, or 0. */
function contractionEnd(bytes: Uint8Array, start: number, end: number): number {
  if (start + 1 >= end) return 0;
  const a = bytes[start + 1];
  if (a === 115 || a === 116 || a === 109 || a === 100) return start + 2;
  if (start + 2 >= end) return 0;
  const b = bytes[start + 2];
  return ((a === 114 || a === 118) && b === 101) || (a === 108 && b === 108) ? start + 3 : 0;
}

/** `\s+(?!\S)|\s+`: all of the run at the end of the text; else all but its last character, if that leaves any. */
function whiteSpaceEnd(bytes: Uint8Array, start: number, end: number): number {
  const run = runEnd(bytes, start, end, SPACE);
  if (run === end) return run;
  const last = previousStart(bytes, run);
  return last > start ? last : run;
}

/** cl100k's pattern (GPT-4, Llama 3 with 3 digits to a piece, Qwen with 1), as tokenizer.json files write it. */
export function cl100kPattern(digits: number): string {
  const numbers = digits === 1 ? "\\p{N}" : `\\p{N}{1,${digits}}`;
  return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
}

/** Cuts as cl100kPattern(digits) does. */
export function cutCl100k(digits: number): Cutter {
  return (bytes, start, end) => {
    const first = bytes[start];
    if (first === APOSTROPHE) {
      const contraction = anyCaseContractionEnd(bytes, start, end);
      if (contraction !== 0) return contraction;
    }
    const kind = classAt(bytes, start);
    if (kind === LETTER) return runEnd(bytes, start, end, LETTER);
    if (kind === NUMBER) return numberEnd(bytes, start, end, digits);
    if (!isLineEnd(first)) {
      const second = start + utf8Width(first);
      if (second < end && classAt(bytes, second) === LETTER) return runEnd(bytes, second, end, LETTER);
    }
    const at = first === BLANK ? start + 1 : start;
    if (at < end && classAt(bytes, at) === OTHER) {
      let stop = runEnd(bytes, at, end, OTHER);
      while (stop < end && isLineEnd(bytes[stop])) stop++;
      return stop;
    }
    // `\s*[\r\n]+` reaches to the last line end of the run.
    for (let stop = runEnd(bytes, start, end, SPACE); stop > start; stop--) if (isLineEnd(bytes[stop - 1])) return stop;
    return whiteSpaceEnd(bytes, start, end);
  };
}

function isLineEnd(byte: number): boolean {
  return byte === NEWLINE || byte === CARRIAGE_RETURN;
}

function numberEnd(bytes: Uint8Array, start: number, end: number, digits: number): number {
  let at = start;
  for (let i = 0; i < digits && at < end && classAt(bytes, at) === NUMBER; i++) at += utf8Width(bytes[at]);
  return at;
}

/** Contractions in either case; the long s (U+017F, bytes C5 BF) is an s to case-insensitive matching. */
function anyCaseContractionEnd(bytes: Uint8Array, start: number, end: number): number {
  const a = start + 1 < end ? bytes[start + 1] | 32 : 0;
  if (a === 115 || a === 116 || a === 109 || a === 100) return start + 2;
  if (start + 2 >= end) return 0;
  if (bytes[start + 1] === 0xc5 && bytes[start + 2] === 0xbf) return start + 3;
  const b = bytes[start + 2] | 32;
  return ((a === 114 || a === 118) && b === 101) || (a === 108 && b === 108) ? start + 3 : 0;
}

/** Hugging Face's `Digits`: numbers stand apart from all else, each alone or in runs. */
export function cutDigits(individual: boolean): Cutter {
  return (bytes, start, end) => {
    let at = start;
    if (classAt(bytes, at) === NUMBER) return individual ? at + utf8Width(bytes[at]) : runEnd(bytes, at, end, NUMBER);
    while (at < end && classAt(bytes, at) !== NUMBER) at += utf8Width(bytes[at]);
    return at;
  };
}
