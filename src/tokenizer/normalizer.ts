/**
 * What happens to a text before it is cut and merged: Unicode normal forms, replacements, Llama's leading "▁".
 * Native are the kinds that BPE models use; for others `normalizerOf` gives undefined and the library takes the tokenizer.
 */
import { arrayField, booleanField, objectField, textField, wrong } from "./fields.ts";
import { literalPattern, patternOf } from "./pattern.ts";

export type Normalizer = (text: string) => string;

/** `json` is tokenizer.json's `normalizer`; the empty list means the text stays as it is. */
export function normalizersOf(json: unknown, where: string): Normalizer[] | undefined {
  if (json === null || json === undefined) return [];
  const fields = objectField(json, where);
  switch (textField(fields.type, `${where}.type`)) {
    case "Sequence": {
      const all: Normalizer[] = [];
      for (const [i, part] of arrayField(fields.normalizers, `${where}.normalizers`).entries()) {
        const steps = normalizersOf(part, `${where}.normalizers[${i}]`);
        if (steps === undefined) return undefined;
        all.push(...steps);
      }
      return all;
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form = fields.type as string;
      return [(text) => text.normalize(form)];
    }
    case "Prepend": {
      const prefix = textField(fields.prepend, `${where}.prepend`);
      return [(text) => (text === "" ? text : prefix + text)];
    }
    case "Replace": {
      const content = textField(fields.content, `${where}.content`);
      const pattern = replacePattern(fields.pattern, `${where}.pattern`);
      if (pattern === undefined) return undefined;
      if (typeof pattern === "string") return [(text) => text.replaceAll(pattern, () => content)];
      return [(text) => text.replace(pattern, () => content)];
    }
    case "Strip": {
      const left = booleanField(fields.strip_left, `${where}.strip_left`, true);
      const right = booleanField(fields.strip_right, `${where}.strip_right`, true);
      return [(text) => stripSpace(text, left, right)];
    }
    default:
      return undefined;
  }
}

/** A text to replace, or a pattern; undefined when the pattern is outside our dialect. */
function replacePattern(json: unknown, where: string): string | RegExp | undefined {
  const fields = objectField(json, where);
  if (typeof fields.String === "string") return fields.String === "" ? literalPattern("") : fields.String;
  if (typeof fields.Regex === "string") return patternOf(fields.Regex);
  throw wrong(where, json, 'an object with "String" or "Regex"');
}

function stripSpace(text: string, left: boolean, right: boolean): string {
  let start = 0;
  let end = text.length;
  const isSpace = (at: number): boolean => /\p{White_Space}/u.test(text[at]);
  if (left) while (start < end && isSpace(start)) start++;
  if (right) while (end > start && isSpace(end - 1)) end--;
  return text.slice(start, end);
}
