/**
 * The picture of one step: the distribution a word was drawn from, as lines of text.
 * Pure: numbers in, lines out, no line wider than asked. What is on show comes from show.ts, single bars from bar.ts.
 */
import { bar, changedBar, heat, scaleFor } from "./bar.ts";
import { grouped, percent } from "./numbers.ts";
import type { Terminal } from "./terminal.ts";
import { padEnd, padStart, widthOf } from "./width.ts";

export interface BarRow {
  /** Visible already: `" there"`. */
  readonly label: string;
  /** 1 = the model's favourite. */
  readonly rank: number;
  /** The model's own probability. */
  readonly own: number;
  /** The probability it was drawn with, after temperature, filters and penalties; 0 = it could not be chosen. */
  readonly drawn: number;
  readonly chosen: boolean;
}

export interface BarChart {
  /** Number of the step, from 1. */
  readonly number: number;
  /** Best first; a chosen one from further down comes last, after a gap in the ranks. */
  readonly rows: readonly BarRow[];
  /** Everything that has no row. */
  readonly others: { readonly count: number; readonly own: number; readonly drawn: number };
  /** The two probabilities may differ, so both get a column. */
  readonly compare: boolean;
  /** How it was drawn, for the title: "T = 0.8, top-k 40". */
  readonly note: string;
  /** Ids of the vocabulary: how wide a rank can become. */
  readonly vocabularySize: number;
}

/** Where the columns stand. Depends on the window and the vocabulary only, so that bars do not jump from step to step. */
interface Layout {
  readonly width: number;
  readonly gap: string;
  /** 0 where there is no room for it. */
  readonly rank: number;
  readonly label: number;
  /** Two columns of percentages; false too where there is room for one only. */
  readonly compare: boolean;
  /** Column after the last percentage. */
  readonly head: number;
  readonly bar: number;
}

/** Below this a row loses its last column. */
const narrowest = 16;
const percentWidth = 7;
const shortestLabel = 4;

/** The lines of one chart: a rule that is title and axis, a row per token, the mass not shown. */
export function drawBars(chart: BarChart, terminal: Terminal, columns: number): string[] {
  const layout = layoutFor(chart, columns);
  const full = scaleFor(Math.max(0, ...chart.rows.flatMap((row) => (chart.compare ? [row.own, row.drawn] : [row.drawn]))));
  const rows = chart.rows.map((row, i) => ({ row, hasGap: i > 0 && row.rank > chart.rows[i - 1].rank + 1 }));
  const gapLine = terminal.paint.dim(padStart(terminal.unicode ? "⋮" : ":", 2 + Math.max(0, layout.rank - layout.gap.length)));
  return [
    terminal.paint.dim(ruleLine(chart, layout, full, terminal.unicode)),
    ...rows.flatMap(({ row, hasGap }) => [...(hasGap ? [gapLine] : []), rowLine(row, chart, layout, full, terminal)]),
    ...(chart.others.count > 0 ? [othersLine(chart, layout, full, terminal)] : []),
  ];
}

function layoutFor(chart: BarChart, columns: number): Layout {
  const width = Math.max(narrowest, columns) - 1; // the last column stays free: writing into it makes some terminals wrap
  const gap = width < 60 ? " " : "  ";
  const percent = gap.length + percentWidth;
  const least = 2 + shortestLabel + percent;
  const widestRank = Math.max(2, String(chart.vocabularySize).length) + gap.length;
  const rank = least + widestRank <= width ? widestRank : 0;
  const compare = chart.compare && least + rank + percent <= width;
  const percents = compare ? 2 * percent : percent;
  const fixed = 2 + rank + percents + gap.length;
  const label = Math.max(shortestLabel, Math.min(26, Math.floor(width * 0.22), width - fixed - 6));
  const head = 2 + rank + label + percents;
  return { width, gap, rank, label, compare, head, bar: Math.max(0, width - head - gap.length) };
}

/** `── 3 ── T = 0.8 ─────── model ── drawn ── 0 % ─────────── 50 % `: title, heads of the columns and axis in one. */
function ruleLine(chart: BarChart, layout: Layout, full: number, unicode: boolean): string {
  const cells: string[] = Array.from({ length: layout.width }, () => (unicode ? "─" : "-"));
  let taken = 2;
  /** Writes where nothing stands yet, or not at all. */
  const put = (text: string, at: number): void => {
    if (at < taken || at + text.length > layout.width) return;
    for (let i = 0; i < text.length; i++) cells[at + i] = text[i];
    taken = at + text.length;
  };
  put(` ${chart.number} `, 2);
  const heads = layout.compare ? [" model", " drawn"] : [chart.compare ? " drawn" : " probability"];
  const firstHead = layout.head - (heads.length - 1) * (layout.gap.length + percentWidth) - heads[0].length;
  const note = ` ${chart.note} `;
  if (chart.note !== "" && taken + 1 + note.length < firstHead) put(note, taken + 1);
  heads.forEach((head, i) => put(`${head}${layout.gap}`, layout.head - (heads.length - 1 - i) * (layout.gap.length + percentWidth) - head.length));
  const end = ` ${Number((100 * full).toPrecision(3))} %`;
  if (layout.bar > end.length + 4) {
    put("0 ", layout.head + layout.gap.length); // the bars begin here
    put(end, layout.width - end.length);
  }
  return cells.join("");
}

function rowLine(row: BarRow, chart: BarChart, layout: Layout, full: number, terminal: Terminal): string {
  const { paint, unicode } = terminal;
  const pruned = row.drawn === 0;
  const mark = row.chosen ? (unicode ? "▶ " : "> ") : "  ";
  const label = padEnd(row.label, layout.label, ellipsis(unicode));
  const percents = percentCells(row.own, row.drawn, chart.compare, layout, unicode);
  const parts = changedBar(chart.compare ? row.own : row.drawn, row.drawn, full, layout.bar, unicode);
  const text = layout.rank === 0 ? "" : `${String(row.rank).padStart(layout.rank - layout.gap.length)}${layout.gap}`;
  const warm = heat(terminal, row.drawn);
  const drawnBar = warm(parts.solid) + warm(parts.gained) + paint.dim(parts.lost);
  const gap = layout.gap + (parts.solid + parts.gained + parts.lost === "" ? "" : drawnBar);
  if (row.chosen) return trimmed(`${paint.bold(mark)}${text}${chosenStyle(terminal, label)}${paint.bold(percents)}${gap}`);
  if (pruned) return trimmed(paint.dim(`${mark}${text}${label}${percents}`) + gap);
  return trimmed(`${mark}${paint.dim(text)}${label}${percents}${gap}`);
}

/** The frame around what was chosen: its text, not the padding. */
function chosenStyle(terminal: Terminal, label: string): string {
  const text = label.trimEnd();
  return highlight(terminal, text) + label.slice(text.length);
}

/** Black on yellow, readable on light and dark backgrounds. */
export function highlight(terminal: Terminal, text: string): string {
  return terminal.paint.bgHex("#ffdd33").black.bold(text);
}

function othersLine(chart: BarChart, layout: Layout, full: number, terminal: Terminal): string {
  const { unicode, paint } = terminal;
  const { count, own, drawn } = chart.others;
  const indent = 2 + layout.rank;
  const label = padEnd(othersLabel(count, layout.label), layout.label, ellipsis(unicode));
  const percents = percentCells(own, drawn, chart.compare, layout, unicode);
  return paint.dim(trimmed(`${" ".repeat(indent)}${label}${percents}${layout.gap}${dots(drawn, full, layout.bar, unicode)}`));
}

function othersLabel(count: number, columns: number): string {
  const long = `${grouped(count)} other${count === 1 ? "" : "s"}`;
  return widthOf(long) <= columns ? long : `+${count}`;
}

/** The mass not shown: dotted, and with an arrow where it goes on beyond the axis. */
function dots(value: number, full: number, columns: number, unicode: boolean): string {
  const length = bar(value, full, columns, false).length;
  if (value <= full || length === 0) return (unicode ? "┄" : ".").repeat(length);
  return (unicode ? "┄" : ".").repeat(length - 1) + (unicode ? "›" : ">");
}

/** `compared`: the two differ, and 0 means that a token could not be chosen. */
function percentCells(own: number, drawn: number, compared: boolean, { gap, compare }: Layout, unicode: boolean): string {
  const second = `${gap}${percent(drawn, compared ? (unicode ? "–  " : "-  ") : undefined)}`;
  return compare ? `${gap}${percent(own)}${second}` : second;
}

/** The mark of a text that was cut. */
export function ellipsis(unicode: boolean): string {
  return unicode ? "…" : "...";
}

function trimmed(line: string): string {
  return line.replace(/ +$/, "");
}
