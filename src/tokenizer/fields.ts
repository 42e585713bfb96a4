/**
 * Reading the fields of a tokenizer's JSON files: each must be of its kind, or the message says where, what came and the cure.
 * `where` is a path like `tokenizer.json: model.vocab`.
 */
import { FormatError, quoted } from "../base/errors.ts";
import { describe, isJsonObject } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";

const cure = "fetch the file again, or save it anew with Hugging Face's tokenizers";

/** Ids beyond this are a mistake: the largest vocabularies in use have a quarter of a million entries. */
const largestId = (1 << 24) - 1;

/** The error for a field of the wrong kind. */
export function wrong(where: string, value: unknown, expected: string): FormatError {
  return new FormatError(`${where}: ${describe(value)} came where ${expected} was expected; ${cure}`);
}

/** An object, or a FormatError. */
export function objectField(value: unknown, where: string): JsonObject {
  if (!isJsonObject(value)) throw wrong(where, value, "an object {...}");
  return value;
}

/** An array, or a FormatError. */
export function arrayField(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(where, value, "an array [...]");
  return value;
}

/** A string, or a FormatError. */
export function textField(value: unknown, where: string): string {
  if (typeof value !== "string") throw wrong(where, value, "a text");
  return value;
}

/** Absent and null mean the default, as in Hugging Face's files. */
export function booleanField(value: unknown, where: string, fallback: boolean): boolean {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== "boolean") throw wrong(where, value, "true or false");
  return value;
}

/** A token id, or a FormatError. */
export function idField(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > largestId) {
    throw wrong(where, value, `a token id from 0 to ${largestId}`);
  }
  return value;
}

/** A vocabulary object, piece -> id. Throws when two pieces share an id. */
export function vocabularyField(value: unknown, where: string): Map<string, number> {
  const json = objectField(value, where);
  const ids = new Map<string, number>();
  const owners: string[] = [];
  for (const piece of Object.keys(json)) {
    const id = json[piece];
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > largestId)
      throw wrong(`${where}[${quoted(piece)}]`, id, `a token id from 0 to ${largestId}`);
    if (owners[id] !== undefined) {
      throw new FormatError(`${where}: id ${id} belongs to both ${quoted(owners[id])} and ${quoted(piece)}, expected one piece for each id; ${cure}`);
    }
    owners[id] = piece;
    ids.set(piece, id);
  }
  return ids;
}
