/**
 * Plain tables: columns as wide as their widest cell, numbers to the right, no frames.
 */
import type { Terminal } from "./terminal.ts";
import { padEnd, padStart, widthOf } from "./width.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** The lines of a table: a head, a rule, the rows. Cells must not contain escape sequences or line breaks. */
export function drawTable(columns: readonly Column[], rows: readonly (readonly string[])[], terminal: Terminal): string[] {
  const widths = columns.map(({ title }, i) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[i] ?? ""))));
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, i) => (align === "right" ? padStart(cells[i] ?? "", widths[i]) : padEnd(cells[i] ?? "", widths[i], "")))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => (terminal.unicode ? "─" : "-").repeat(width)).join("  ");
  return [terminal.paint.dim(line(columns.map(({ title }) => title))), terminal.paint.dim(rule), ...rows.map(line)];
}
