import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkFilePath, formatModelId, isCommit, parseModelId } from "./hub-id.ts";

describe("parseModelId", () => {
  it("reads ORG/NAME, a revision and a bare old name", () => {
    expect(parseModelId("openai-community/gpt2")).toEqual({ repo: "openai-community/gpt2", revision: "main" });
    expect(parseModelId("HuggingFaceTB/SmolLM-135M@v1.0")).toEqual({ repo: "HuggingFaceTB/SmolLM-135M", revision: "v1.0" });
    expect(parseModelId("a/b@refs/pr/1")).toEqual({ repo: "a/b", revision: "refs/pr/1" });
    expect(parseModelId("distilgpt2")).toEqual({ repo: "distilgpt2", revision: "main" });
  });

  it.each([
    ["", "there is no name"],
    ["a/", "empty"],
    ["/b", "empty"],
    ["a/b/c", "more than one slash"],
    ["a b/c", 'the character " "'],
    ["../b", "begin or end with"],
    ["a/b..c", "'..'"],
    ["a--b/c", "'--'"],
    ["a/.b", "begin or end with"],
    ["a/b.git", ".git"],
    ["a\\b", "the character"],
    ["a/" + "b".repeat(100), "at most 96"],
    ["https://huggingface.co/a/b", "a web address"],
    ["a/b@", "is empty"],
    ["a/b@../../etc", "misplaced dots"],
    ["a/b@/etc", "empty part"],
    ["a/b@x\\y", "a character that no branch"],
    ["a/b@x y", "a character that no branch"],
    ["a/b@x\u0000", "a character that no branch"],
    ["a/b@-x", "begins with '-'"],
    ["a/b@main.lock", ".lock"],
  ])("refuses %j: %s", (text, problem) => {
    expect(() => parseModelId(text)).toThrow(problem);
    expect(() => parseModelId(text)).toThrow("expected ORG/NAME");
  });

  it("prints back what it read", () => {
    for (const text of ["a/b", "a/b@v2", "gpt2"]) expect(formatModelId(parseModelId(text))).toBe(text);
    expect(formatModelId(parseModelId("a/b@main"))).toBe("a/b");
  });

  it("never lets out a name or a revision that leaves its folder, whatever comes in", () => {
    const piece = fc.constantFrom("a", "b", ".", "..", "/", "\\", "-", "--", "@", "C:", "\0", " ", "refs", "é");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 8 }).map((parts) => parts.join("")),
        ),
        (text) => {
          let id;
          try {
            id = parseModelId(text);
          } catch (error) {
            expect((error as Error).name).toBe("VitrineError");
            return;
          }
          expect(id.repo).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)?$|^_/);
          const parts = id.revision.split("/");
          expect(parts.some((part) => part === "" || part === "." || part === "..") || /[\\\0]/.test(id.revision)).toBe(false);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

it("knows a full commit", () => {
  expect(isCommit("a".repeat(40))).toBe(true);
  expect(isCommit("a".repeat(39))).toBe(false);
  expect(isCommit("A".repeat(40))).toBe(false);
});

describe("checkFilePath", () => {
  it.each(["config.json", "onnx/model.onnx", "a..b", "...", ".gitattributes", "sp ace.txt"])("lets %j pass", (path) => {
    expect(() => checkFilePath(path, "list")).not.toThrow();
  });
  it.each(["", "../../x", "a/../x", "..", "/etc/passwd", "a//b", "./x", "a\\b", "..\\x", "\\\\host\\share", "C:\\x", "C:x", "a/C:x", "a\nb", "a\0b"])(
    "refuses %j",
    (path) => {
      expect(() => checkFilePath(path, "list")).toThrow("outside its folder");
    },
  );
});
