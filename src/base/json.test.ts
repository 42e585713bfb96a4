import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf } from "./bytes.ts";
import { FormatError } from "./errors.ts";
import { parseJson, parseJsonObject, readJsonObject } from "./json.ts";

const problem = (text: string): string => {
  try {
    parseJson("f.json", text);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as Error).message;
  }
  return "";
};

describe("parseJson", () => {
  it("parses what JSON.stringify writes, spaced or not", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 1, "\t"), (value, space) => {
        const text = JSON.stringify(value, null, space);
        expect(parseJson("x", text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("accepts exactly what JSON.parse accepts, apart from keys that come twice", () => {
    const fragments = [
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"a"',
      '"b"',
      '"\\u0041"',
      '"\\x"',
      '"',
      "\\",
      "0",
      "01",
      "-",
      "1.5",
      "1.",
      ".5",
      "1e5",
      "1e",
      "+1",
    ];
    const tokens = fc.array(fc.constantFrom(...fragments, "true", "nul", "null", "false", " ", "\n", "\u00a0", "\u0001", "NaN", "/**/"), {
      maxLength: 9,
    });
    const broken = fc.tuple(fc.json(), fc.nat(), fc.constantFrom(...fragments, "")).map(([text, at, piece]) => {
      const cut = at % (text.length + 1);
      return text.slice(0, cut) + piece + text.slice(cut + 1);
    });
    fc.assert(
      fc.property(
        fc.oneof(
          tokens.map((parts) => parts.join("")),
          broken,
        ),
        (text) => {
          let expected: unknown;
          let valid = true;
          try {
            expected = JSON.parse(text);
          } catch {
            valid = false;
          }
          const message = problem(text);
          if (message.includes("comes twice")) return;
          expect(message === "").toBe(valid);
          if (valid) expect(parseJson("x", text)).toEqual(expected);
        },
      ),
      { numRuns: 20_000 },
    );
  });

  it("refuses a key that comes twice, however it is spelled and wherever it is", () => {
    expect(problem('{"a":1,"a":2}')).toBe(
      'f.json: not valid JSON at line 1, column 8: the key "a" comes twice in one object; correct the file or fetch it again',
    );
    expect(problem('{"a":1,"\\u0061":2}')).toContain("comes twice");
    expect(problem('[{"x":{"a":1, "b":2, "a":1}}]')).toContain("comes twice");
    expect(problem('{"a":{"a":[{"a":1},{"a":2}]}}')).toBe("");
  });

  it("says where it broke", () => {
    expect(problem('{\n  "a": 1,\n  "b": }\n}')).toContain('at line 3, column 8: expected a value, found "}"');
    expect(problem('{"a": 1')).toContain("the file is cut short");
    expect(problem("")).toContain("line 1, column 1: expected a value, found the end of the file");
    expect(problem('{"a": "no end')).toContain("the string does not end");
    expect(problem("{'a': 1}")).toContain("expected a key in double quotes");
    expect(problem('{"a": NaN}')).toContain('expected a value, found "N"');
    expect(problem('{"a\n": 1}')).toContain("unescaped control character in a string");
    expect(problem('{"a": "b\tc"}')).toContain("at line 1, column 9");
    expect(problem("{} {}")).toContain("expected the end of the file");
  });

  it("survives any depth", () => {
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
    ]) {
      expect(problem(open.repeat(100) + "1" + close.repeat(100))).toBe("");
      expect(problem(open.repeat(300_000))).toContain("nested more than 200 deep");
      expect(problem(open.repeat(300_000) + "1" + close.repeat(300_000))).toContain("nested more than 200 deep");
    }
  });

  it("does not let a key touch prototypes", () => {
    const value = parseJsonObject("x", '{"__proto__": {"polluted": true}}');
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("parseJsonObject", () => {
  it("wants an object", () => {
    for (const [text, what] of [
      ["[1,2]", "an array of 2"],
      ["null", "null"],
      ['"hi"', 'the text "hi"'],
      ["3", "3"],
    ]) {
      expect(() => parseJsonObject("config.json", text)).toThrow(`config.json: holds ${what}, expected a JSON object`);
    }
  });

  it("reads from a source no larger than allowed", async () => {
    const source = bytesOf("config.json", new TextEncoder().encode('{"a":[1]}'));
    expect(await readJsonObject(source, 100)).toEqual({ a: [1] });
    await expect(readJsonObject(source, 8)).rejects.toThrow(FormatError);
  });
});
