/**
 * The special tokens a model wants around a text, as tokenizer.json's `post_processor` says: Llama's <s>, BERT's [CLS] ... [SEP].
 */
import { FormatError } from "../base/errors.ts";
import { isJsonObject } from "../base/json.ts";
import { arrayField, idField, objectField, textField } from "./fields.ts";

export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Undefined when it holds something only the library knows. */
export function templateOf(json: unknown, where: string): Template | undefined {
  if (json === null || json === undefined) return { before: [], after: [] };
  const fields = objectField(json, where);
  switch (textField(fields.type, `${where}.type`)) {
    case "ByteLevel": // changes offsets only
      return { before: [], after: [] };
    case "Sequence": {
      let whole: Template = { before: [], after: [] };
      for (const [i, part] of arrayField(fields.processors, `${where}.processors`).entries()) {
        const outer = templateOf(part, `${where}.processors[${i}]`);
        if (outer === undefined) return undefined;
        whole = { before: [...outer.before, ...whole.before], after: [...whole.after, ...outer.after] };
      }
      return whole;
    }
    case "TemplateProcessing":
      return templateProcessing(fields, where);
    case "BertProcessing":
    case "RobertaProcessing":
      return { before: [pairId(fields.cls, `${where}.cls`)], after: [pairId(fields.sep, `${where}.sep`)] };
    default:
      return undefined;
  }
}

function templateProcessing(fields: Readonly<Record<string, unknown>>, where: string): Template {
  const tokens = objectField(fields.special_tokens ?? {}, `${where}.special_tokens`);
  const sides: [number[], number[]] = [[], []];
  let texts = 0;
  for (const [i, part] of arrayField(fields.single, `${where}.single`).entries()) {
    const piece = objectField(part, `${where}.single[${i}]`);
    if (isJsonObject(piece.SpecialToken)) {
      const name = textField(piece.SpecialToken.id, `${where}.single[${i}].SpecialToken.id`);
      const path = `${where}.special_tokens[${JSON.stringify(name)}]`;
      const ids = objectField(Object.hasOwn(tokens, name) ? tokens[name] : undefined, path).ids;
      for (const id of arrayField(ids, `${path}.ids`)) sides[texts === 0 ? 0 : 1].push(idField(id, `${path}.ids`));
    } else {
      objectField(piece.Sequence, `${where}.single[${i}].Sequence`);
      texts++;
    }
  }
  if (texts !== 1)
    throw new FormatError(`${where}.single: the text stands in it ${texts} times, expected once; correct the template or fetch the file again`);
  return { before: sides[0], after: sides[1] };
}

/** ["[CLS]", 101] */
function pairId(value: unknown, where: string): number {
  return idField(arrayField(value, where)[1], `${where}[1]`);
}

/** Throws FormatError when an id of the template is outside the vocabulary. */
export function checkTemplate({ before, after }: Template, vocabularySize: number, where: string): void {
  for (const id of [...before, ...after]) {
    if (id >= vocabularySize)
      throw new FormatError(`${where}: puts id ${id} around texts, but the vocabulary ends at ${vocabularySize - 1}; fetch the file again`);
  }
}
