/**
 * The picture of a step: it fits the window, lines up, marks exactly one word and adds up, whatever the tokens are.
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bar, changedBar, scaleFor } from "../../src/cli/bar.ts";
import { drawBars } from "../../src/cli/bars.ts";
import type { BarChart, BarRow } from "../../src/cli/bars.ts";
import { Passage } from "../../src/cli/passage.ts";
import { chartOf } from "../../src/cli/show.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import { tokenLabel } from "../../src/cli/visible.ts";
import { graphemes, widthOf } from "../../src/cli/width.ts";
import { fakeEngine, hardTokenizer, plain } from "./fake.testing.ts";

const utf8 = new TextEncoder();

function terminal(options: { colour?: boolean; unicode?: boolean } = {}): Terminal {
  const { colour = false, unicode = true } = options;
  const env = { TERM: "xterm-256color", LANG: unicode ? "C.UTF-8" : "C", ...(colour ? { FORCE_COLOR: "3" } : { NO_COLOR: "1" }) };
  return terminalOf({ isTTY: true, columns: 80 }, env, "linux");
}

/** Text of many scripts, controls and halves of characters included. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom(
    " 東京",
    "🙂🙂",
    "👩‍👩‍👧",
    "a\u0301",
    "\u0301",
    "हिन्दी",
    "مرحبا",
    "\u202e",
    "\u0007",
    "\n",
    '"',
    "\\",
    "ｆｕｌｌ",
    "각",
    "\u{e000}",
    "𝕏",
    "🇨🇭",
    "️",
    "‍",
  ),
);
const columnsOf = fc.integer({ min: 40, max: 200 });

const anyChart: fc.Arbitrary<BarChart> = fc
  .record({
    masses: fc.array(fc.tuple(anyText, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })), {
      minLength: 1,
      maxLength: 20,
    }),
    chosen: fc.nat(),
    far: fc.option(fc.integer({ min: 21, max: 50257 })),
    compare: fc.boolean(),
    number: fc.integer({ min: 1, max: 100000 }),
    note: fc.constantFrom("", "T = 0.8", "T = 0.8, top-k 40, top-p 0.9, min-p 0.05, repetition 1.2"),
  })
  .map(({ masses, chosen, far, compare, number, note }) => {
    const total = {
      own: 1.2 * masses.reduce((sum, [, own]) => sum + own, 1e-9),
      drawn: 1.1 * masses.reduce((sum, [, , drawn]) => sum + drawn, 1e-9),
    };
    const rows: BarRow[] = masses
      .map(([text, own, drawn]) => ({ text, own: own / total.own, drawn: drawn / total.drawn }))
      .toSorted((a, b) => b.own - a.own)
      .map(({ text, own, drawn }, i) => ({
        label: tokenLabel({ id: i, text, bytes: utf8.encode(text), special: false }, true),
        rank: far !== null && i === masses.length - 1 ? far : i + 1,
        own,
        drawn: compare ? drawn : own,
        chosen: i === (far === null ? chosen % masses.length : masses.length - 1),
      }));
    const left = (of: (row: BarRow) => number): number => 1 - rows.reduce((sum, row) => sum + of(row), 0);
    return {
      number,
      rows,
      others: { count: 50257 - rows.length, own: left((row) => row.own), drawn: left((row) => row.drawn) },
      compare,
      note,
      vocabularySize: 50257,
    };
  });

describe("a bar", () => {
  it("is as long as its value, to an eighth of a column", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 200 }), (value, columns) => {
        const drawn = bar(value, 1, columns, true);
        const eighths = [...drawn].reduce((sum, cell) => sum + ("█▉▊▋▌▍▎▏".indexOf(cell) < 0 ? NaN : 8 - "█▉▊▋▌▍▎▏".indexOf(cell)), 0);
        expect(Math.abs(eighths / 8 - value * columns)).toBeLessThanOrEqual(1 / 16 + 1e-9);
      }),
    );
  });

  it("is longer for the more probable", () => {
    const lengths = [0, 0.1, 0.3, 0.31, 0.9, 1].map((p) => bar(p, 1, 100, true)).map((drawn) => drawn.length + (drawn.endsWith("█") ? 0.5 : 0));
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
    expect(bar(1, 1, 7, true)).toBe("███████");
    expect(bar(0.5, 1, 4, false)).toBe("##");
    expect(bar(5, 1, 4, true)).toBe("████"); // beyond the axis it is cut
  });

  it("shows what was raised and what was lowered beside what both agree on", () => {
    expect(changedBar(0.5, 1, 1, 8, true)).toEqual({ solid: "████", gained: "▓▓▓▓", lost: "" });
    expect(changedBar(1, 0.5, 1, 8, true)).toEqual({ solid: "████", gained: "", lost: "░░░░" });
    expect(changedBar(0.5, 0.5, 1, 8, true)).toEqual({ solid: "████", gained: "", lost: "" });
    expect(changedBar(1, 0, 1, 4, false)).toEqual({ solid: "", gained: "", lost: "...." });
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 120 }),
        (own, drawn, columns) => {
          const { solid, gained, lost } = changedBar(own, drawn, 1, columns, true);
          expect(widthOf(solid + gained + lost)).toBeLessThanOrEqual(columns);
          expect(gained === "" || lost === "").toBe(true);
        },
      ),
    );
  });

  it("has an axis that ends at a round number not much above the largest", () => {
    expect([1, 0.6, 0.5, 0.3, 0.25, 0.2, 0.08, 0.05, 0.0001].map(scaleFor)).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25, 0.1, 0.05, 0.0001]);
    fc.assert(
      fc.property(fc.double({ min: 1e-5, max: 1, noNaN: true }), (largest) => {
        expect(scaleFor(largest)).toBeGreaterThanOrEqual(largest * (1 - 1e-9));
        expect(scaleFor(largest)).toBeLessThanOrEqual(largest * 2.5000001);
      }),
    );
  });
});

function chartOfOne(label: string, rank: number): BarChart {
  const rows = [{ label, rank, own: 0.4, drawn: 0.4, chosen: true }];
  return { number: 1, rows, others: { count: 1, own: 0.6, drawn: 0.6 }, compare: false, note: "", vocabularySize: 50257 };
}

describe("the chart of a step", () => {
  it("fits into 40 to 200 columns, for tokens of all scripts", () => {
    fc.assert(
      fc.property(anyChart, columnsOf, fc.boolean(), (chart, columns, unicode) => {
        for (const line of drawBars(chart, terminal({ unicode }), columns)) expect(widthOf(line)).toBeLessThan(columns);
      }),
    );
  });

  it("lines its percentages up under each other", () => {
    fc.assert(
      fc.property(anyChart, columnsOf, (chart, columns) => {
        const lines = drawBars(chart, terminal(), columns).slice(1);
        const ends = lines.filter((line) => line.trim() !== "⋮").map((line) => widthOf(line.slice(0, line.search(/\d %/) + 3)));
        expect(new Set(ends).size).toBe(1);
        expect(ends).toHaveLength(chart.rows.length + 1);
      }),
    );
  });

  it("marks the chosen one, once, and only it", () => {
    fc.assert(
      fc.property(anyChart, columnsOf, fc.boolean(), (chart, columns, unicode) => {
        const lines = drawBars(chart, terminal({ unicode }), columns).filter((line) => line.startsWith(unicode ? "▶" : ">"));
        expect(lines).toHaveLength(1);
        const rank = chart.rows.find((row) => row.chosen)!.rank;
        expect(lines[0].slice(2).trimStart()).toMatch(new RegExp(`^${rank} `));
      }),
    );
  });

  it("is the same picture with colour and without, and without colour has no escape sequence at all", () => {
    fc.assert(
      fc.property(anyChart, columnsOf, (chart, columns) => {
        const bare = drawBars(chart, terminal(), columns);
        expect(bare.join("\n")).not.toContain("\x1b");
        expect(drawBars(chart, terminal({ colour: true }), columns).map((line) => plain(line).trimEnd())).toEqual(bare);
      }),
    );
  });

  it("never lets a token reach the terminal as more than text", () => {
    fc.assert(
      fc.property(anyChart, columnsOf, (chart, columns) => {
        // Control, bidi and invisible format characters, line and paragraph separators
        for (const line of drawBars(chart, terminal(), columns)) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  it("is ASCII alone where the locale has nothing else", () => {
    const tokenizer = hardTokenizer();
    const rows = Array.from({ length: 30 }, (_, id) => ({
      label: tokenLabel(tokenizer.token(id), false),
      rank: id + 1,
      own: 0.03,
      drawn: 0.01,
      chosen: id === 3,
    }));
    const chart: BarChart = { number: 1, rows, others: { count: 5, own: 0.1, drawn: 0.7 }, compare: true, note: "T = 2", vocabularySize: 35 };
    for (const columns of [40, 80, 200]) expect(drawBars(chart, terminal({ unicode: false }), columns).join("")).toMatch(/^[\x20-\x7e]*$/);
  });

  it("keeps its columns where they are from step to step", () => {
    const starts = [
      ['"a"', 1],
      ['" undoubtedly"', 40000],
      ['"東京"', 12],
    ]
      .map(([label, rank]) => drawBars(chartOfOne(String(label), Number(rank)), terminal(), 80)[1])
      .map((line) => widthOf(line.slice(0, line.indexOf("█"))));
    expect(new Set(starts).size).toBe(1);
  });

  it("says what it does not show, and everything adds up to one", async () => {
    const engine = fakeEngine();
    const options = { temperature: 0.7, topK: 20, seed: 5, maxTokens: 12, stopIds: [] };
    let number = 0;
    for await (const step of engine.generate("Once", options)) {
      const chart = chartOf(step, ++number, 6, engine.tokenizer, engine.info.vocabularySize, options, true);
      expect(chart.rows.reduce((sum, row) => sum + row.own, chart.others.own)).toBeCloseTo(1, 9);
      expect(chart.rows.reduce((sum, row) => sum + row.drawn, chart.others.drawn)).toBeCloseTo(1, 9);
      expect(chart.rows.length + chart.others.count).toBe(engine.info.vocabularySize);
      expect(chart.rows.filter((row) => row.chosen)).toHaveLength(1);
      const lines = drawBars(chart, terminal(), 80);
      const percents = lines.slice(1).map((line) => Number(/([\d.]+) %/.exec(line)?.[1] ?? 0));
      expect(percents.reduce((sum, p) => sum + p, 0)).toBeGreaterThan(99);
      expect(percents.reduce((sum, p) => sum + p, 0)).toBeLessThan(101);
      expect(lines.at(-1)).toContain(`${chart.others.count} others`);
      expect(lines[0]).toContain("T = 0.7, top-k 20");
    }
    expect(number).toBe(12);
  });

  it("shows a word from far down below the others, with its rank", () => {
    const rows: BarRow[] = [
      { label: '"a"', rank: 1, own: 0.9, drawn: 0.9, chosen: false },
      { label: '"z"', rank: 231, own: 0.01, drawn: 0.01, chosen: true },
    ];
    const lines = drawBars(
      { number: 1, rows, others: { count: 510, own: 0.09, drawn: 0.09 }, compare: false, note: "", vocabularySize: 512 },
      terminal(),
      80,
    );
    expect(lines.slice(2).map((line) => line.slice(0, 17).trim())).toEqual(["⋮", '▶ 231  "z"', "510 others"]);
  });
});

describe("the text so far", () => {
  const tokenizer = hardTokenizer();
  const passage = (text: string): Passage => new Passage(tokenizer.encode(text).map((id) => tokenizer.token(id)), tokenizer); // prettier-ignore

  it("ends in the new word, marked, on one line that fits", () => {
    fc.assert(
      fc.property(anyText, fc.array(anyText, { maxLength: 30 }), columnsOf, fc.boolean(), (prompt, words, columns, unicode) => {
        const text = passage(prompt);
        for (const word of words) text.add(word, 0);
        const line = text.line(terminal({ unicode }), columns, "<label>");
        expect(widthOf(line)).toBeLessThan(columns);
        expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e]/u);
        if (words.length > 0) expect(line.endsWith("]")).toBe(true);
        if (words.at(-1) === "") expect(line).toContain("[<label>]");
      }),
    );
  });

  it("shows what the model no longer sees before a bar", () => {
    const text = passage("a little cat");
    text.add(" and", 0);
    text.add(" the", 3); // <s>, "a" and " little" fell out
    expect(text.line(terminal(), 80, "")).toBe("a little┆ cat and[ the]");
    expect(plain(text.line(terminal({ colour: true }), 80, ""))).toBe("a little┆ cat and the");
    expect(text.text).toBe("a little cat and the");
  });

  it("keeps the end when the window is too narrow", () => {
    const text = passage("a little girl and the cat");
    text.add(" was", 0);
    expect(text.line(terminal(), 20, "")).toBe("…rl and the cat[ was]".slice(-19).replace(/^./, "…"));
    expect(graphemes(text.line(terminal(), 20, "")).length).toBe(19);
  });
});
