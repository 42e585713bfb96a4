/** The loss curve as a picture: where its ends are, what it never claims, and that it fits. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawCurve, History } from "../../src/cli/loss-curve.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { widthOf } from "../../src/cli/width.ts";
import { plain } from "./fake.testing.ts";

const at = (columns: number, env: Record<string, string> = { LANG: "C.UTF-8", NO_COLOR: "1" }): Terminal =>
  terminalOf({ isTTY: true, columns }, env, "linux");
const points = (values: readonly number[], every = 1): { step: number; value: number }[] =>
  values.map((value, i) => ({ step: 1 + i * every, value }));

/** The rows of dots that are set, of every column of dots of a braille picture; 0 is the top. */
function dotsOf(lines: readonly string[]): number[][] {
  const cells = lines.slice(0, -1).map((line) => [...line].slice(7));
  const columns = Math.max(...cells.map((row) => row.length)) * 2;
  const bits = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]]; // prettier-ignore
  return Array.from({ length: columns }, (_, x) =>
    cells.flatMap((row, y) => {
      const code = (row[Math.floor(x / 2)] ?? " ").codePointAt(0)! - 0x2800;
      return code < 0 ? [] : bits[x % 2].flatMap((bit, i) => ((code & bit) !== 0 ? [4 * y + i] : []));
    }),
  );
}

describe("a loss curve", () => {
  it("begins at the top left and ends at the bottom right, both axes labelled", () => {
    const lines = drawCurve({ training: points([8, 4, 2, 1]), validation: [] }, at(40), 40, 4);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatch(/^ 8\.00 ┤[\u2801-\u28ff]/);
    expect(lines[3]).toMatch(/^ 1\.00 ┤ +.*[\u2801-\u28ff]$/);
    expect(lines[4]).toMatch(/^ {6}└ 1 ─+ log axis ─+ 4$/);
  });

  it("halves of a logarithmic axis are equal: 8, 4, 2, 1 is a straight line", () => {
    const dots = dotsOf(drawCurve({ training: points([8, 4, 2, 1]), validation: [] }, at(40), 40, 4));
    const middles = dots.filter((column) => column.length > 0).map((column) => (column[0] + column.at(-1)!) / 2);
    middles.forEach((middle, i) => expect(Math.abs(middle - (15 * i) / (middles.length - 1))).toBeLessThanOrEqual(1));
  });

  it("has a linear axis where losses are close, and says nothing of it", () => {
    const lines = drawCurve({ training: points([2, 1.9, 1.8]), validation: [] }, at(60), 60, 4);
    expect(lines.at(-1)).toMatch(/└ 1 ─+ 3$/);
    expect(lines.at(-1)).not.toContain("log");
  });

  it("never rises where the loss falls, has no holes, and stays inside its window", () => {
    const falling = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 2, maxLength: 300 });
    fc.assert(
      fc.property(falling, fc.integer({ min: 16, max: 120 }), fc.integer({ min: 2, max: 9 }), (drops, columns, rows) => {
        let loss = 1 + drops.reduce((sum, drop) => sum + drop, 0);
        const lines = drawCurve({ training: points(drops.map((drop) => (loss -= drop))), validation: [] }, at(columns), columns, rows);
        expect(lines).toHaveLength(rows + 1);
        for (const line of lines) expect(widthOf(line)).toBeLessThan(columns);
        const dots = dotsOf(lines).filter((column, x, all) => column.length > 0 || all.slice(x).some((later) => later.length > 0));
        dots.forEach((column, x) => {
          expect(column.length).toBeGreaterThan(0);
          if (x > 0) expect(column.at(-1)).toBeGreaterThanOrEqual(dots[x - 1].at(-1)!);
        });
      }),
      { numRuns: 60 },
    );
  });

  it("marks the validation text, and needs only ASCII where there is nothing else", () => {
    const curve = { training: points([4, 3, 2, 2]), validation: [{ step: 4, value: 2.5 }] };
    expect(drawCurve(curve, at(60), 60, 5).join("\n")).toMatch(/◆(.|\n)*◆ validation/);
    const ascii = drawCurve(curve, at(60, { LANG: "C", TERM: "dumb" }), 60, 5).join("\n");
    expect(ascii).toMatch(/^[\x20-\x7e\n]*$/);
    expect(ascii).toContain("o validation");
    const coloured = drawCurve(curve, at(60, { LANG: "C.UTF-8", TERM: "xterm-256color", COLORTERM: "truecolor" }), 60, 5).join("\n");
    expect(coloured).toContain("\x1b[");
    expect(plain(coloured)).toBe(drawCurve(curve, at(60), 60, 5).join("\n"));
  });

  it("is not drawn before there is something to see, or where there is no room", () => {
    expect(drawCurve({ training: points([4]), validation: [] }, at(80), 80, 8)).toEqual([]);
    expect(drawCurve({ training: points([4, 3]), validation: [] }, at(14), 14, 8)).toEqual([]);
  });
});

describe("a history", () => {
  it("keeps a few thousand points of a run of any length, its ends and its mean", () => {
    const history = new History();
    const N = 100_003;
    for (let step = 1; step <= N; step++) history.add(step, step % 2 === 0 ? 3 : 1);
    const kept = history.points();
    expect(kept.length).toBeGreaterThan(1000);
    expect(kept.length).toBeLessThan(4100);
    expect([kept[0].step, kept.at(-1)!.step]).toEqual([1, N]);
    for (const { value } of kept.slice(0, -1)) expect(value).toBe(2);
    expect(kept.every(({ step }, i) => i === 0 || step > kept[i - 1].step)).toBe(true);
  });

  it("leaves out what is no number", () => {
    const history = new History();
    [1, NaN, 2, Infinity].forEach((value, i) => history.add(i, value));
    expect(history.points().map(({ value }) => value)).toEqual([1, 2]);
  });
});
