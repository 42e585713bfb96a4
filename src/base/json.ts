/**
 * JSON from files nobody vouches for: complete, no key twice, not nested without end, and errors with line and column.
 * What a particular file must contain is its reader's business.
 */
import { type ByteSource, readText } from "./bytes.ts";
import { FormatError, internal, quoted } from "./errors.ts";

/** A parsed JSON object whose fields nobody has checked yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 200;

/** Parses `text`; `name` is the file, for messages. Throws FormatError for anything but one JSON value. */
export function parseJson(name: string, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
    const { keys, depth } = measure(text);
    if (depth <= MAX_DEPTH && keys === keysOf(value)) return value;
  } catch {
    // the walk below says where and why
  }
  checkJson(text, (position, problem) => {
    const before = text.slice(0, position);
    const line = before.split("\n").length;
    const column = position - before.lastIndexOf("\n");
    const cure = position >= text.length ? "the file is cut short: fetch it again" : "correct the file or fetch it again";
    throw new FormatError(`${name}: not valid JSON at line ${line}, column ${column}: ${problem}; ${cure}`);
  });
  throw internal(`${name}: JSON.parse and checkJson disagree`);
}

/** How many keys valid JSON spells out, and how deep it nests. */
function measure(text: string): { keys: number; depth: number } {
  let keys = 0;
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      for (at++; text.charCodeAt(at) !== 0x22; at++) if (text.charCodeAt(at) === 0x5c) at++;
    } else if (code === 0x3a) keys++;
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
  }
  return { keys, depth: deepest };
}

/** How many keys the parsed value has: fewer than its text when one came twice, since JSON.parse keeps the last. */
function keysOf(value: unknown): number {
  let keys = 0;
  const waiting: object[] = typeof value === "object" && value !== null ? [value] : [];
  const look = (inner: unknown): void => void (typeof inner === "object" && inner !== null && waiting.push(inner));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (Array.isArray(next)) {
      for (const inner of next) look(inner);
      continue;
    }
    // for-in, since Object.values takes three times as long on a vocabulary
    for (const key in next) {
      keys++;
      look((next as JsonObject)[key]);
    }
  }
  return keys;
}

/** Parses text that must be a JSON object; `name` is what messages call it. Throws FormatError saying what came instead. */
export function parseJsonObject(name: string, text: string): JsonObject {
  const value = parseJson(name, text);
  if (isJsonObject(value)) return value;
  throw new FormatError(`${name}: holds ${describe(value)}, expected a JSON object {...}; is it the right file?`);
}

/** Reads and parses a whole source. Throws FormatError; a source larger than `maxBytes` is not read at all. */
export async function readJsonObject(source: ByteSource, maxBytes: number): Promise<JsonObject> {
  return parseJsonObject(source.name, await readText(source, maxBytes));
}

/** An object of JSON: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a JSON value is, in words for messages. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object") return "an object";
  if (typeof value === "string") return `the text ${quoted(value)}`;
  return `${value}`;
}

/**
 * Walks the grammar of RFC 8259 without recursion and without building anything.
 * Runs only where something is wrong, to say what and where: the engines word and place JSON.parse's errors differently.
 */
function checkJson(text: string, fail: (position: number, problem: string) => never): void {
  const open: (Set<string> | undefined)[] = []; // what is not closed yet, innermost last: the keys of an object, undefined for an array
  let at = skipSpace(text, 0);

  const enter = (keys: Set<string> | undefined): void => {
    if (open.push(keys) > MAX_DEPTH) fail(at, `nested more than ${MAX_DEPTH} deep`);
    at = skipSpace(text, at + 1);
  };
  const key = (keys: Set<string>): void => {
    if (text[at] !== '"') fail(at, `expected a key in double quotes, found ${found(text, at)}`);
    const end = endOfString(text, at, fail);
    const literal = text.slice(at, end);
    const spelled = literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
    if (keys.has(spelled)) fail(at, `the key ${quoted(spelled)} comes twice in one object`);
    keys.add(spelled);
    at = skipSpace(text, end);
    if (text[at] !== ":") fail(at, `expected ":" after a key, found ${found(text, at)}`);
    at = skipSpace(text, at + 1);
  };

  for (;;) {
    // One value, or the opening of one.
    const first = text[at];
    if (first === "{") {
      const keys = new Set<string>();
      enter(keys);
      if (text[at] !== "}") {
        key(keys);
        continue;
      }
    } else if (first === "[") {
      enter(undefined);
      if (text[at] !== "]") continue;
    } else if (first === '"') at = endOfString(text, at, fail);
    else at = endOfScalar(text, at, fail);
    if (first === "{" || first === "[") {
      open.pop(); // it was empty
      at++;
    }

    // What may follow a value: a comma, or the ends of everything that closes here.
    for (;;) {
      at = skipSpace(text, at);
      if (open.length === 0) {
        if (at < text.length) fail(at, `expected the end of the file, found ${found(text, at)}`);
        return;
      }
      const keys = open[open.length - 1];
      if (text[at] === ",") {
        at = skipSpace(text, at + 1);
        if (keys) key(keys);
        break;
      }
      const close = keys ? "}" : "]";
      if (text[at] !== close) fail(at, `expected "," or "${close}", found ${found(text, at)}`);
      open.pop();
      at++;
    }
  }
}

function skipSpace(text: string, at: number): number {
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return at;
    at++;
  }
}

/** `at` is on the opening quote; the result is one past the closing one. */
function endOfString(text: string, at: number, fail: (position: number, problem: string) => never): number {
  for (at++; ; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at + 1;
    if (code === 0x5c) {
      at++;
      if (text[at] === "u") {
        if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) fail(at, "expected four hexadecimal digits after \\u");
        at += 4;
      } else if (at >= text.length || !'"\\/bfnrt'.includes(text[at])) fail(at, `unknown escape, found ${found(text, at)} after a backslash`);
    } else if (!(code >= 0x20))
      fail(Math.min(at, text.length), at < text.length ? "unescaped control character in a string" : "the string does not end");
  }
}

function endOfScalar(text: string, at: number, fail: (position: number, problem: string) => never): number {
  for (const word of ["true", "false", "null"]) if (text.startsWith(word, at)) return at + word.length;
  const start = at;
  const digits = (): void => {
    if (!isDigit(text.charCodeAt(at)))
      fail(at, at === start ? `expected a value, found ${found(text, at)}` : `a number breaks off, found ${found(text, at)}`);
    while (isDigit(text.charCodeAt(at))) at++;
  };
  if (text[at] === "-") at++;
  if (text[at] === "0") at++;
  else digits();
  if (text[at] === ".") {
    at++;
    digits();
  }
  if (text[at] === "e" || text[at] === "E") {
    at++;
    if (text[at] === "+" || text[at] === "-") at++;
    digits();
  }
  return at;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function found(text: string, at: number): string {
  return at >= text.length ? "the end of the file" : JSON.stringify(String.fromCodePoint(text.codePointAt(at) as number));
}
