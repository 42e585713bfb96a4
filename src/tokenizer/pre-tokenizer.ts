/**
 * Cutting normalised text into the pieces that are merged one by one, as tokenizer.json's `pre_tokenizer` says.
 * String steps come first, scanners over UTF-8 bytes (cutters.ts) last; most models need scanners alone.
 */
import { arrayField, booleanField, objectField, textField, wrong } from "./fields.ts";
import { cl100kPattern, cutCl100k, cutDigits, cutGpt2, gpt2Pattern } from "./cutters.ts";
import { literalPattern, patternOf } from "./pattern.ts";
import { split, splitBehaviors } from "./split.ts";
import { utf8Bytes, utf8Text } from "./utf8.ts";
import type { Cutter } from "./cutters.ts";

/** `first`: the string begins the whole text (only Metaspace's "first" asks). */
type StringStep = (text: string, first: boolean) => string[];

export interface PreTokenizer {
  readonly strings: readonly StringStep[];
  readonly cutters: readonly Cutter[];
  /** Symbols are bytes written in GPT-2's alphabet, not characters. */
  readonly byteLevel: boolean;
}

type Step = { readonly cut: Cutter } | { readonly strings: StringStep };

/** `json` is tokenizer.json's `pre_tokenizer`. Undefined when it holds something only the library knows. */
export function preTokenizerOf(json: unknown, where: string): PreTokenizer | undefined {
  const kinds: string[] = [];
  const steps = json === null || json === undefined ? [] : stepsOf(json, where, kinds);
  if (steps === undefined) return undefined;
  const byteLevel = kinds.includes("ByteLevel");
  if (byteLevel && kinds.indexOf("ByteLevel") !== kinds.length - 1) return undefined; // later steps would see the byte alphabet

  const lastString = steps.findLastIndex((step) => "strings" in step);
  return {
    strings: steps.slice(0, lastString + 1).map((step) => ("strings" in step ? step.strings : asStringStep(step.cut))),
    cutters: steps.slice(lastString + 1).flatMap((step) => ("cut" in step ? [step.cut] : [])),
    byteLevel,
  };
}

/** GPT-2's own, for folders with vocab.json and merges.txt. */
export function gpt2PreTokenizer(addPrefixSpace: boolean): PreTokenizer {
  return { strings: addPrefixSpace ? [prefixSpace] : [], cutters: [cutGpt2], byteLevel: true };
}

function stepsOf(json: unknown, where: string, kinds: string[]): Step[] | undefined {
  const fields = objectField(json, where);
  const kind = textField(fields.type, `${where}.type`);
  if (kind !== "Sequence") kinds.push(kind);
  switch (kind) {
    case "Sequence": {
      const all: Step[] = [];
      for (const [i, part] of arrayField(fields.pretokenizers, `${where}.pretokenizers`).entries()) {
        const steps = stepsOf(part, `${where}.pretokenizers[${i}]`, kinds);
        if (steps === undefined) return undefined;
        all.push(...steps);
      }
      return all;
    }
    case "ByteLevel": {
      const steps: Step[] = booleanField(fields.add_prefix_space, `${where}.add_prefix_space`, true) ? [{ strings: prefixSpace }] : [];
      if (booleanField(fields.use_regex, `${where}.use_regex`, true)) steps.push({ cut: cutGpt2 });
      return steps;
    }
    case "Digits":
      return [{ cut: cutDigits(booleanField(fields.individual_digits, `${where}.individual_digits`, false)) }];
    case "Split": {
      const behavior = splitBehaviors.get(fields.behavior);
      if (behavior === undefined)
        throw wrong(`${where}.behavior`, fields.behavior, "Removed, Isolated, Contiguous, MergedWithPrevious or MergedWithNext");
      const invert = booleanField(fields.invert, `${where}.invert`, false);
      const source = objectField(fields.pattern, `${where}.pattern`);
      if (typeof source.String === "string") {
        const literal = literalPattern(source.String);
        return [{ strings: (text) => split(text, literal, behavior, invert) }];
      }
      const regex = textField(source.Regex, `${where}.pattern.Regex`);
      const cut = knownCutter(regex);
      // A scanner's pieces cover the whole text, so these ways of arranging them come to the same.
      if (cut !== undefined && ((behavior === "isolated" && !invert) || (behavior === "removed" && invert))) return [{ cut }];
      const pattern = patternOf(regex);
      return pattern && [{ strings: (text) => split(text, pattern, behavior, invert) }];
    }
    case "Metaspace":
      return [{ strings: metaspace(fields, where) }];
    default:
      return undefined;
  }
}

function knownCutter(regex: string): Cutter | undefined {
  if (regex === gpt2Pattern) return cutGpt2;
  for (const digits of [1, 2, 3]) if (regex === cl100kPattern(digits)) return cutCl100k(digits);
  return undefined;
}

function prefixSpace(text: string): string[] {
  return [text.startsWith(" ") ? text : ` ${text}`];
}

function asStringStep(cut: Cutter): StringStep {
  return (text) => {
    const bytes = utf8Bytes(text);
    const pieces: string[] = [];
    for (let start = 0; start < bytes.length;) {
      const end = cut(bytes, start, bytes.length);
      pieces.push(utf8Text(bytes.subarray(start, end)));
      start = end;
    }
    return pieces;
  };
}

/** SentencePiece's white space: spaces become "▁", one is put in front, pieces begin with it. */
function metaspace(fields: Readonly<Record<string, unknown>>, where: string): StringStep {
  const mark = textField(fields.replacement ?? "▁", `${where}.replacement`);
  const legacy = booleanField(fields.add_prefix_space, `${where}.add_prefix_space`, true) ? "always" : "never";
  const scheme = textField(fields.prepend_scheme ?? legacy, `${where}.prepend_scheme`);
  if (!["always", "first", "never"].includes(scheme)) throw wrong(`${where}.prepend_scheme`, scheme, "always, first or never");
  const cuts = booleanField(fields.split, `${where}.split`, true);
  const pattern = literalPattern(mark);
  return (text, first) => {
    let marked = text.replaceAll(" ", () => mark);
    if ((scheme === "always" || (scheme === "first" && first)) && !marked.startsWith(mark)) marked = mark + marked;
    return cuts ? split(marked, pattern, "merged with next") : [marked];
  };
}
