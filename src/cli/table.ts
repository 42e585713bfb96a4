/**
 * Plain tables: columns as wide as their widest cell, numbers to the right, no frames.
 */
import type { Terminal } from "./terminal.ts";
import { foldWords, padEnd, padStart, widthOf } from "./width.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Where the table is wider than the window, its cells take several lines. */
  readonly wrap?: boolean;
}

/** The lines of a table: a head, a rule, the rows. Cells must not contain escape sequences or line breaks. */
export function drawTable(columns: readonly Column[], rows: readonly (readonly string[])[], terminal: Terminal): string[] {
  const widths = fitted(
    columns,
    columns.map(({ title }, i) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[i] ?? "")))),
    terminal.columns() - 1,
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, i) => (align === "right" ? padStart(cells[i] ?? "", widths[i]) : padEnd(cells[i] ?? "", widths[i], "")))
      .join(between)
      .trimEnd();
  const lines = (cells: readonly string[]): string[] => {
    const folded = columns.map(({ wrap }, i) => (wrap ? foldWords(cells[i] ?? "", widths[i]) : [cells[i] ?? ""]));
    return Array.from({ length: Math.max(...folded.map((parts) => parts.length)) }, (_, at) => line(folded.map((parts) => parts[at] ?? "")));
  };
  const rule = widths.map((width) => (terminal.unicode ? "─" : "-").repeat(width)).join(between);
  const { dim } = terminal.paint;
  return [...lines(columns.map(({ title }) => title)).map((text) => dim(text)), dim(rule), ...rows.flatMap(lines)];
}

const between = "  ";

/** Columns that may wrap give up what is too much, the last one first; none becomes a mere sliver before all are narrow. */
function fitted(columns: readonly Column[], natural: readonly number[], room: number): number[] {
  const widths = [...natural];
  let excess = natural.reduce((sum, width) => sum + width, between.length * (columns.length - 1)) - room;
  for (const least of [16, 8, 4]) {
    for (let i = columns.length - 1; i >= 0 && excess > 0; i--) {
      const given = columns[i].wrap ? Math.max(0, Math.min(excess, widths[i] - least)) : 0;
      widths[i] -= given;
      excess -= given;
    }
  }
  return widths;
}
