/**
 * The before/after report as lines of text: for each prompt two distributions side by side (one under the other in a narrow window) and
 * what the model writes, then the losses. Pure: numbers in, lines out, none reaching the last column. finetune-report.ts measures.
 */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { bar, heat, scaleFor } from "./bar.ts";
import { ellipsis } from "./bars.ts";
import type { FinetuneReport, Outlook } from "./finetune-report.ts";
import { grouped, percent } from "./numbers.ts";
import { drawTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { harmless, tokenLabel } from "./visible.ts";
import { foldWords, padEnd, widthOf } from "./width.ts";

/** Between the two halves. */
const gap = 3;
/** A half narrower than this is drawn under the other. */
const narrowest = 28;
const percentWidth = 7;

export function reportLines(report: FinetuneReport, tokenizer: Tokenizer, terminal: Terminal, columns: number): string[] {
  const width = Math.max(16, columns - 1);
  const lines = report.prompts.flatMap(({ prompt, before, after }) => [
    "",
    ...foldWords(oneLine(prompt), width).map((text) => terminal.paint.hex("#3b9ccc")(text)),
    ...sideBySide(before, after, tokenizer, terminal, width),
    ...written("T = 0", before.greedy, after.greedy, terminal, width),
    ...written(`T = ${report.temperature}`, before.sampled, after.sampled, terminal, width),
  ]);
  return [...lines, ...(report.losses.length > 0 ? ["", ...lossTable(report, terminal, width)] : [])];
}

/** A piece of text and how it looks; widths are those of `plain`. */
interface Cell {
  readonly plain: string;
  readonly painted: string;
}

function sideBySide(before: Outlook, after: Outlook, tokenizer: Tokenizer, terminal: Terminal, width: number): string[] {
  // One scale for both, so that bars compare.
  const full = scaleFor(Math.max(...[before, after].flatMap(({ top }) => top.map(({ probability }) => probability)), 0));
  const half = Math.floor((width - gap) / 2);
  if (half < narrowest)
    return [...chart("before", before, full, tokenizer, terminal, width), ...chart("after", after, full, tokenizer, terminal, width)].map(
      ({ painted }) => painted,
    );
  const [left, right] = [chart("before", before, full, tokenizer, terminal, half), chart("after", after, full, tokenizer, terminal, half)];
  return Array.from({ length: Math.max(left.length, right.length) }, (_, i) => {
    const [a, b] = [left[i] ?? { plain: "", painted: "" }, right[i]];
    return b === undefined ? a.painted : `${a.painted}${" ".repeat(half - widthOf(a.plain) + gap)}${b.painted}`;
  });
}

function chart(title: string, { top, rest }: Outlook, full: number, tokenizer: Tokenizer, terminal: Terminal, width: number): Cell[] {
  const { unicode, paint } = terminal;
  const label = Math.max(4, Math.min(20, Math.floor(width * 0.4), width - percentWidth - 2));
  const barWidth = Math.max(0, width - label - percentWidth - 2);
  const line = unicode ? "─" : "-";
  const end = ` ${Number((100 * full).toPrecision(3))} %`;
  const head = padded(`${line}${line} ${title} `, width - end.length, line) + end;
  const rows = top.map(({ id, probability }): Cell => {
    const start = `${padEnd(tokenLabel(tokenizer.token(id), unicode), label, ellipsis(unicode))} ${percent(probability)}`;
    const drawn = bar(probability, full, barWidth, unicode);
    return drawn === ""
      ? { plain: start, painted: start }
      : { plain: `${start} ${drawn}`, painted: `${start} ${heat(terminal, probability)(drawn)}` };
  });
  const others = `${padEnd("others", label, "")} ${percent(rest)}`;
  return [{ plain: head, painted: paint.dim(head) }, ...rows, ...(rest > 0 ? [{ plain: others, painted: paint.dim(others) }] : [])];
}

function padded(text: string, width: number, filling: string): string {
  return text + filling.repeat(Math.max(0, width - widthOf(text)));
}

/** `T = 0 before  ... and they`, folded behind its title. */
function written(how: string, before: string, after: string, { paint }: Terminal, width: number): string[] {
  const heads = [`${how} before`, `${how} after`];
  const indent = Math.min(Math.max(...heads.map((head) => head.length)) + 2, Math.floor(width / 2));
  return [before, after].flatMap((text, i) =>
    foldWords(oneLine(text.trim() === "" ? "(nothing)" : text), width - indent).map((part, at) => {
      const head = at === 0 ? heads[i].slice(0, indent - 1).padEnd(indent) : " ".repeat(indent);
      return `${paint.dim(head)}${part.trimStart()}`.trimEnd();
    }),
  );
}

function oneLine(text: string): string {
  return harmless(text).replaceAll(/\s+/g, " ").trim();
}

const names = { new: "new text, not learned from", old: "old text" };
/** Of the table of losses. */
const tableWidth = 32;

function lossTable({ losses }: FinetuneReport, terminal: Terminal, width: number): string[] {
  if (width < tableWidth) return losses.flatMap(({ text, before, after }) => foldWords(`${names[text]}: loss ${before.toFixed(3)} before, ${after.toFixed(3)} after`, width)); // prettier-ignore
  const right = { align: "right" } as const;
  return drawTable(
    [
      { title: "loss on", wrap: true },
      { title: "tokens", ...right },
      { title: "before", ...right },
      { title: "after", ...right },
    ],
    losses.map(({ text, tokens, before, after }) => [names[text], grouped(tokens), before.toFixed(3), after.toFixed(3)]),
    terminal,
  );
}
