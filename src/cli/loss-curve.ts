/**
 * A loss curve small enough for a terminal: what training measured, step by step, and where validation stood.
 * `History` keeps a run of any length in a few thousand points; `drawCurve` turns it into lines of text. Pure: numbers in, lines out.
 */
import { grouped } from "./numbers.ts";
import type { Terminal } from "./terminal.ts";

interface Point {
  readonly step: number;
  readonly value: number;
}

/** Points kept; beyond it neighbours are joined. Many more than a terminal has columns of dots. */
const mostPoints = 4096;

/** A series of any length: when it becomes long, neighbouring points become their mean. */
export class History {
  #points: Point[] = [];
  /** Values that make one point, and those of the point under way. */
  #stride = 1;
  #sum = 0;
  #count = 0;
  #from = 0;
  #last: Point | undefined;

  add(step: number, value: number): void {
    if (!Number.isFinite(value)) return;
    this.#last = { step, value };
    if (this.#count === 0) this.#from = step;
    this.#sum += value;
    if (++this.#count < this.#stride) return;
    this.#points.push({ step: this.#from, value: this.#sum / this.#count });
    [this.#sum, this.#count] = [0, 0];
    if (this.#points.length < mostPoints) return;
    this.#stride *= 2;
    this.#points = Array.from({ length: mostPoints / 2 }, (_, i) => {
      const [a, b] = [this.#points[2 * i], this.#points[2 * i + 1]];
      return { step: a.step, value: (a.value + b.value) / 2 };
    });
  }

  /** In the order of the steps; the newest value is always among them. */
  points(): readonly Point[] {
    const last = this.#points.at(-1);
    return this.#last === undefined || last?.step === this.#last.step ? this.#points : [...this.#points, this.#last];
  }
}

export interface Curve {
  readonly training: readonly Point[];
  /** Drawn as single marks. */
  readonly validation: readonly Point[];
}

/** An axis whose top is more than so many times its bottom is logarithmic: else the first steps flatten all that follow. */
const logarithmicFrom = 2.5;
/** A curve narrower than this says nothing. */
const narrowest = 8;

/**
 * The lines of a curve: `rows` of dots with the ends of the axis labelled, and a line with the first and last step.
 * None when there is no room or nothing to draw yet. Braille gives two by four dots a character, ASCII one.
 */
export function drawCurve({ training, validation }: Curve, terminal: Terminal, columns: number, rows: number): string[] {
  const values = [...training, ...validation].map(({ value }) => value);
  const labelWidth = 5;
  const width = columns - 1 - labelWidth - 2;
  if (training.length < 2 || width < narrowest || rows < 2) return [];
  const [first, last] = [training[0].step, Math.max(training.at(-1)!.step, validation.at(-1)?.step ?? 0)];
  const axis = axisOf(Math.min(...values), Math.max(...values));
  const { unicode, paint } = terminal;
  const [across, down] = unicode ? [2, 4] : [1, 1];
  const [dotsX, dotsY] = [width * across, rows * down];

  const x = (step: number): number => (last === first ? 0 : Math.round(((step - first) / (last - first)) * (dotsX - 1)));
  const y = (value: number): number => Math.round((1 - axis.place(value)) * (dotsY - 1));
  const canvas = new Canvas(width, rows, across, down);
  strokes(training, x, y).forEach(([column, from, to]) => {
    for (let row = from; row <= to; row++) canvas.set(column, row);
  });
  const marks = new Set(validation.map(({ step, value }) => place(Math.floor(x(step) / across), Math.floor(y(value) / down))));

  const [bar, tick, corner, mark, rule] = unicode ? ["│", "┤", "└", "◆", "─"] : ["|", "+", "+", "o", "-"];
  const teal = (text: string): string => (text === "" ? "" : paint.hex("#5cd0b3")(text));
  const yellow = paint.hex("#ffdd33");
  const lines = Array.from({ length: rows }, (_, row) => {
    const label = row === 0 ? short(axis.high) : row === rows - 1 ? short(axis.low) : "";
    const cells = Array.from({ length: width }, (_, column) => (marks.has(place(column, row)) ? mark : canvas.cell(column, row)));
    const drawn = cells.join("").trimEnd().replaceAll(/([^ ]+)/g, (text) => text.split(mark).map(teal).join(yellow(mark))); // prettier-ignore
    return `${paint.dim(`${label.padStart(labelWidth)} ${label === "" ? bar : tick}`)}${drawn}`;
  });
  const [from, to] = [grouped(first), grouped(last)];
  const notes = [...(axis.logarithmic ? ["log axis"] : []), ...(validation.length > 0 ? [`${mark} validation`] : [])].join("  ");
  const head = `${" ".repeat(labelWidth + 1)}${corner} ${from} `;
  const inner = width - from.length - to.length - 3;
  const said = notes !== "" && notes.length + 4 <= inner ? ` ${notes} ` : "";
  const filled = Math.max(0, inner - said.length);
  const left = Math.floor(filled / 2);
  lines.push(paint.dim(`${head}${rule.repeat(left)}${said}${rule.repeat(filled - left)} ${inner >= 0 ? to : ""}`.trimEnd()));
  return lines;
}

function place(column: number, row: number): number {
  return row * 65536 + column;
}

interface Axis {
  readonly low: number;
  readonly high: number;
  readonly logarithmic: boolean;
  /** 0 at the bottom, 1 at the top. */
  readonly place: (value: number) => number;
}

function axisOf(low: number, high: number): Axis {
  const logarithmic = low > 0 && high / low > logarithmicFrom;
  const of = logarithmic ? Math.log : (value: number): number => value;
  const span = of(high) - of(low);
  return { low, high, logarithmic, place: (value) => (span > 0 ? (of(value) - of(low)) / span : 0.5) };
}

/** For each column of dots the rows it covers: its mean, joined to that of the column before. */
function strokes(points: readonly Point[], x: (step: number) => number, y: (value: number) => number): [column: number, from: number, to: number][] {
  const means = new Map<number, { sum: number; count: number }>();
  for (const { step, value } of points) {
    const mean = means.get(x(step)) ?? { sum: 0, count: 0 };
    means.set(x(step), { sum: mean.sum + value, count: mean.count + 1 });
  }
  const drawn: [number, number, number][] = [];
  let before: { column: number; row: number } | undefined;
  for (const [column, { sum, count }] of means) {
    const row = y(sum / count);
    for (let at = before === undefined ? column : before.column + 1; at <= column; at++) {
      const between =
        before === undefined || at === column ? row : Math.round(before.row + ((row - before.row) * (at - before.column)) / (column - before.column));
      const previous = drawn.at(-1);
      const touch = previous === undefined ? between : between > previous[2] ? previous[2] + 1 : between < previous[1] ? previous[1] - 1 : between;
      drawn.push([at, Math.min(between, touch), Math.max(between, touch)]);
    }
    before = { column, row };
  }
  return drawn;
}

/** Dots of a braille cell by column and row: Unicode's numbering of the eight. */
const brailleDots = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
];

class Canvas {
  readonly #dots: Uint8Array;
  readonly #width: number;
  readonly #across: number;
  readonly #down: number;

  constructor(width: number, rows: number, across: number, down: number) {
    this.#dots = new Uint8Array(width * rows);
    this.#width = width;
    this.#across = across;
    this.#down = down;
  }

  set(x: number, y: number): void {
    const dot = this.#down === 1 ? 1 : brailleDots[x % 2][y % 4];
    this.#dots[Math.floor(y / this.#down) * this.#width + Math.floor(x / this.#across)] |= dot;
  }

  cell(column: number, row: number): string {
    const dots = this.#dots[row * this.#width + column];
    if (dots === 0) return " ";
    return this.#down === 1 ? "*" : String.fromCharCode(0x2800 + dots);
  }
}

/** A loss in at most five columns. */
function short(value: number): string {
  return value < 0.01 ? value.toExponential(0) : value.toFixed(value < 99.95 ? 2 : 0);
}
