/**
 * Width, escapes, numbers, and what a terminal can show.
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytes, duration, grouped, percent, rate } from "../../src/cli/numbers.ts";
import { drawTable } from "../../src/cli/table.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import type { Environment, Screen } from "../../src/cli/terminal.ts";
import { escaped, harmless, piece, tokenLabel } from "../../src/cli/visible.ts";
import { fitEnd, fitStart, padEnd, widthOf, wrapWords } from "../../src/cli/width.ts";
import { hardTokenizer } from "./fake.testing.ts";

const utf8 = new TextEncoder();
const token = (text: string, bytes: Uint8Array = utf8.encode(text), special = false): Parameters<typeof tokenLabel>[0] => ({
  id: 1,
  text,
  bytes,
  special,
});

describe("width", () => {
  it.each([
    ["abc", 3], ["", 0], ["é", 1], ["e\u0301", 1], ["東京", 4], ["🙂", 2], ["👩‍👩‍👧", 2], ["🇨🇭", 2], ["각", 2], ["ｆ", 2], ["мир", 3], ["שלום", 4], ["█▏", 2], ["…", 1],
  ] as const)("of %s is %i", (text, width) => expect(widthOf(text)).toBe(width)); // prettier-ignore

  it("cuts to what fits, from either end, and fills up exactly", () => {
    expect(fitStart("東京都", 4, "…")).toBe("東…");
    expect(fitEnd("東京都", 5, "…")).toBe("…京都");
    expect(padEnd("東京都", 4, "…")).toBe("東… ");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 3, max: 60 }), (text, columns) => {
        expect(widthOf(fitStart(text, columns, "..."))).toBeLessThanOrEqual(columns);
        expect(widthOf(fitEnd(text, columns, "..."))).toBeLessThanOrEqual(columns);
        if (widthOf(text) <= columns) expect(fitStart(text, columns, "...")).toBe(text);
      }),
    );
  });
});

describe("wrapping", () => {
  it("breaks at spaces, loses nothing, and keeps the line breaks there are", () => {
    expect(wrapWords("the cat sat\non the  mat", 7)).toBe("the cat\nsat\non the\n mat");
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: "grapheme", minLength: 1, maxLength: 9 }).filter((word) => !/\s/.test(word)),
          { minLength: 1 },
        ),
        fc.integer({ min: 20, max: 90 }),
        (words, columns) => {
          const wrapped = wrapWords(words.join(" "), columns);
          expect(wrapped.replaceAll("\n", " ")).toBe(words.join(" "));
          for (const line of wrapped.split("\n")) expect(widthOf(line)).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });
});

describe("a visible token", () => {
  it.each([
    [token(" there"), '" there"'], [token("\n"), '"\\n"'], [token('"'), '"\\""'], [token("\\"), '"\\\\"'], [token("\u202e"), '"\\u202e"'], [token("\u0000"), '"\\u0000"'],
    [token("\u00a0"), '"\\u00a0"'], [token("\u0301"), '"\u25cc\u0301"'], [token("<s>", new Uint8Array(), true), "<s>"], [token("\ufffd", Uint8Array.of(0xe2, 0x96)), "<E2 96>"],
    [token("\ufffd"), '"\ufffd"'], [token("\x1b[31m"), '"\\u001b[31m"'], [token("🙂"), '"🙂"'],
  ] as const)("%j is %s", (given, label) => expect(tokenLabel(given, true)).toBe(label)); // prettier-ignore

  it("is ASCII where nothing else can be shown", () => {
    expect(tokenLabel(token(" é🙂"), false)).toBe('" \\u00e9\\u{1f642}"');
    const tokenizer = hardTokenizer();
    for (let id = 0; id < tokenizer.vocabularySize; id++) expect(tokenLabel(tokenizer.token(id), false)).toMatch(/^[\x20-\x7e]+$/);
  });

  it("shows different tokens differently", () => {
    const tokenizer = hardTokenizer();
    const labels = Array.from({ length: tokenizer.vocabularySize }, (_, id) => tokenLabel(tokenizer.token(id), true));
    const twice = labels.filter((label, id) => labels.indexOf(label) !== id);
    // Words and bytes that stand for the same text do look alike.
    expect(twice.every((label) => ['","', '"."', '"\\n"', '"\\""', '"\\\\"', '"\\t"', '"\\u0000"'].includes(label))).toBe(true);
  });

  it("stands without quotes between bars", () => {
    expect(piece(token(" date"), true)).toBe(" date");
    expect(escaped("a\tb\u2028", true)).toBe("a\\tb\\u2028");
  });

  it("in running text keeps line breaks and shows what would move the cursor", () => {
    expect(harmless("a\nb\tc\x1b[2Jd\u202ee\r\nf")).toBe("a\nb\tc\\u001b[2Jd\\u202ee\nf");
  });
});

describe("numbers", () => {
  it("are percentages of seven columns that never round to nothing or to certainty", () => {
    expect([0, 0.00001, 0.0004, 0.001, 0.029, 0.969, 0.9999, 1].map((p) => percent(p).trim())).toEqual([
      "0.0 %",
      "<0.01 %",
      "0.04 %",
      "0.1 %",
      "2.9 %",
      "96.9 %",
      ">99.9 %",
      "100.0 %",
    ]);
    fc.assert(fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (p) => void expect(percent(p)).toHaveLength(7)));
  });

  it("are grouped, sized, timed", () => {
    expect(grouped(175181291520)).toBe("175,181,291,520");
    expect([0, 999, 1500, 12_400_000, 3.2e9].map(bytes)).toEqual(["0 B", "999 B", "1.5 kB", "12 MB", "3.2 GB"]);
    expect([0.05, 3.21, 12, 61, 3700].map(duration)).toEqual(["0.05 s", "3.2 s", "12 s", "1 min 1 s", "1 h 1 min"]);
    expect([38.21, 1240.4].map(rate)).toEqual(["38.2", "1,240"]);
  });
});

describe("a table", () => {
  it("lines up, also with wide characters", () => {
    const terminal = terminalOf({}, { LANG: "C.UTF-8" }, "linux");
    const lines = drawTable([{ title: "token" }, { title: "id", align: "right" }], [["東京", "7"], ["a", "12345"]], terminal); // prettier-ignore
    expect(lines).toEqual(["token     id", "─────  ─────", "東京       7", "a      12345"]);
  });
});

const of = (screen: Screen, env: Environment): ReturnType<typeof terminalOf> => terminalOf(screen, env, "linux");

describe("a terminal", () => {
  const tty = { isTTY: true, columns: 100 };

  it("is as wide as its window, COLUMNS for a pipe, else 80", () => {
    expect(of(tty, { COLUMNS: "50" }).columns()).toBe(100);
    expect(of({}, { COLUMNS: "50" }).columns()).toBe(50);
    expect(of({}, { COLUMNS: "wide" }).columns()).toBe(80);
  });

  it("follows the window when it is resized", () => {
    const window = { isTTY: true, columns: 80 };
    const { columns } = of(window, {});
    window.columns = 120;
    expect(columns()).toBe(120);
  });

  it("has colour by its kind, none for NO_COLOR, a dumb one or a pipe", () => {
    expect(of(tty, { TERM: "xterm-256color" }).colour).toBe(true);
    expect(of(tty, { TERM: "xterm-256color", NO_COLOR: "1" }).colour).toBe(false);
    expect(of(tty, { TERM: "xterm-256color", NO_COLOR: "1", FORCE_COLOR: "1" }).colour).toBe(false);
    expect(of(tty, { TERM: "dumb" }).colour).toBe(false);
    expect(of({}, { TERM: "xterm-256color", CI: "1" }).colour).toBe(false);
    expect(of({}, { TERM: "xterm-256color", FORCE_COLOR: "1" }).colour).toBe(true);
  });

  it("knows block characters by its locale", () => {
    expect(of(tty, { LANG: "de_CH.UTF-8" }).unicode).toBe(true);
    expect(of(tty, { LANG: "de_CH.utf8" }).unicode).toBe(true);
    expect(of(tty, { LANG: "C" }).unicode).toBe(false);
    expect(of(tty, { LANG: "C.UTF-8", LC_ALL: "POSIX" }).unicode).toBe(false);
    expect(of(tty, { LANG: "C.UTF-8", TERM: "dumb" }).unicode).toBe(false);
    expect(of(tty, {}).unicode).toBe(true);
  });
});
