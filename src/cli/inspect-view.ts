/**
 * What `vitrine inspect` shows to people: results of src/inspection/ as lines of text, none wider than the window.
 */
import type { Contributions, HeadStages, Lens, Neurons, Push, Stage } from "../inspection/inspection.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { bar, heat } from "./bar.ts";
import { ellipsis } from "./bars.ts";
import type { Muted } from "./json-inspect.ts";
import { grouped, percent } from "./numbers.ts";
import { drawTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { tokenLabel } from "./visible.ts";
import { foldWords, padEnd, padStart, widthOf } from "./width.ts";

/** What every picture needs beside its numbers. */
export interface View {
  readonly terminal: Terminal;
  readonly tokenizer: Tokenizer;
  /** Of the text that is looked into. */
  readonly ids: readonly number[];
}

const stageColumns = 10;
const cellColumns = 13;

function labelOf(id: number, { terminal, tokenizer }: View): string {
  return tokenLabel(tokenizer.token(id), terminal.unicode);
}

/** A dim line about what is shown, on as many lines as it takes. */
function caption(text: string, view: View): string[] {
  return foldWords(text, widthIn(view)).map((line) => view.terminal.paint.dim(line));
}

function widthIn({ terminal }: View): number {
  return Math.max(20, terminal.columns()) - 1;
}

/** "embedding", "attention 3", "MLP 3". */
function stageName({ layer, point }: Stage): string {
  return point === "pre" ? "embedding" : `${point === "mid" ? "attn" : "MLP"} ${layer}`;
}

/** How many positions of the lens fit beside each other. */
export function lensFits(terminal: Terminal): number {
  return Math.max(1, Math.floor((Math.max(20, terminal.columns()) - 1 - stageColumns) / (cellColumns + 1)));
}

/** Stages x positions: what each stage would say next, and how sure it is in percent. Colours follow the probability. */
export function lensGrid(lens: Lens, view: View): string[] {
  const { terminal, ids } = view;
  const { paint, unicode } = terminal;
  const mark = ellipsis(unicode);
  const T = lens.positions.length;
  const cellWidth = Math.min(cellColumns, widthIn(view) - stageColumns - 1);
  const row = (name: string, cells: string[]): string => `${padEnd(name, stageColumns, mark)}${cells.map((cell) => ` ${cell}`).join("")}`.trimEnd();
  const head = row(
    "after",
    Array.from(lens.positions, (position) => padEnd(labelOf(ids[position], view), cellWidth, mark)),
  );
  return [
    paint.dim(head),
    ...lens.stages.map((stage, s) =>
      row(
        stageName(stage),
        Array.from({ length: T }, (_, t) => {
          const at = (s * T + t) * lens.top;
          const p = lens.probabilities[at];
          const cell = `${padEnd(labelOf(lens.ids[at], view), cellWidth - 4, mark)}${padStart(Math.round(100 * p).toFixed(0), 4)}`;
          return heat(terminal, p)(cell);
        }),
      ),
    ),
    ...caption("each cell: the likeliest next token at this stage, and its probability in percent", view),
  ];
}

/** One position through all stages: the favourite of each, and how far the model's final choice has come. */
export function lensColumn(lens: Lens, t: number, view: View): string[] {
  const { terminal } = view;
  const { unicode } = terminal;
  const mark = ellipsis(unicode);
  const T = lens.positions.length;
  const rank = widthIn(view) >= 36 ? 9 : 0; // columns that there is no room for are left out
  const favourite = widthIn(view) - stageColumns - 8 - rank;
  const label = favourite < 4 ? 0 : Math.min(20, favourite);
  const room = widthIn(view) - stageColumns - label - 8 - rank;
  const lines = lens.stages.map((stage, s) => {
    const at = s * T + t;
    const p = lens.final.probabilities[at];
    const said = padEnd(label === 0 ? "" : labelOf(lens.ids[at * lens.top], view), label, mark);
    const place = rank === 0 ? "" : padStart(`#${grouped(lens.final.ranks[at])}`, rank);
    const drawn = room > 4 ? `  ${heat(terminal, p)(bar(p, 1, room - 2, unicode))}` : "";
    return `${padEnd(stageName(stage), stageColumns, mark)}${said}${padStart(percent(p), 8)}${place}${drawn}`.trimEnd();
  });
  const final = labelOf(lens.final.ids[t], view);
  const what = `each stage's favourite, and the probability ${rank > 0 ? "and rank " : ""}of ${final}, the model's own`;
  return [...caption(what, view), ...lines];
}

/** "head 3.11", "MLP 2", "attention bias 0", "embedding". */
export function pushName({ kind, layer, head }: Push): string {
  switch (kind) {
    case "head":
      return `head ${layer}.${head}`;
    case "mlp":
      return `MLP ${layer}`;
    case "attention-bias":
      return `attn bias ${layer}`;
    case "norm-bias":
      return "last norm's bias";
    case "embedding":
    case "positions":
      return kind;
    default:
      return kind satisfies never;
  }
}

/** The `count` strongest pushes, for and against, what the others add up to, and the sum. */
export function contributionLines({ pushes, logit, relative, target }: Contributions, count: number, view: View): string[] {
  const { paint, unicode } = view.terminal;
  const strongest = pushes.toSorted((a, b) => Math.abs(b.amount) - Math.abs(a.amount));
  const [shown, others] = [strongest.slice(0, count), strongest.slice(count)];
  const full = Math.max(1e-9, Math.abs(strongest[0].amount));
  const name = Math.min(18, widthIn(view) - 9);
  const room = widthIn(view) - name - 9 - 2;
  const row = (who: string, amount: number, drawn: boolean): string => {
    const length = drawn && room > 2 ? bar(Math.abs(amount), full, room, unicode) : "";
    const against = unicode ? "▒".repeat(Math.max(1, length.length)) : "-".repeat(Math.max(1, length.length));
    const picture = length === "" ? "" : amount < 0 ? paint.hex("#fc6255")(against) : paint.hex("#5cd0b3")(length);
    return `${padEnd(who, name, ellipsis(unicode))}${padStart(signed(amount), 9)}  ${picture}`.trimEnd();
  };
  return [
    ...caption(`who pushes ${labelOf(target, view)}${relative ? ", against the average token," : ""} in logits`, view),
    ...shown.map((push) => row(pushName(push), push.amount, true)),
    ...(others.length > 0 ? [paint.dim(row(`${others.length} others`, others.reduce((sum, { amount }) => sum + amount, 0), false))] : []), // prettier-ignore
    paint.bold(row(relative ? "sum" : "sum = the logit", logit, false)),
  ];
}

function signed(amount: number): string {
  return `${amount < 0 ? "" : "+"}${amount.toFixed(2)}`;
}

const shades = [" ", "░", "▒", "▓", "█"];
const asciiShades = [" ", ".", ":", "=", "#"];

/** A head's pattern as shades, the last positions that fit; then where `position` looks, with how much each place gives. */
export function attentionLines({ layer, head, positions: T, pattern, weighted }: HeadStages, position: number, count: number, view: View): string[] {
  const { terminal, ids } = view;
  const { unicode } = terminal;
  const mark = ellipsis(unicode);
  const label = Math.max(6, Math.min(16, Math.floor(widthIn(view) / 4)));
  const fits = Math.min(T, Math.max(1, Math.floor((widthIn(view) - label - 1) / 2)));
  const from = Math.max(0, position + 1 - fits);
  const scale = unicode ? shades : asciiShades;
  const cell = (p: number): string => {
    const shade = scale[p === 0 ? 0 : Math.min(4, 1 + Math.floor(p * 4))];
    return heat(terminal, p)(shade.repeat(2));
  };
  const rows = Array.from({ length: Math.min(fits, T - from) }, (_, i) => {
    const at = from + i;
    const cells = Array.from({ length: i + 1 }, (_, j) => cell(pattern[at * T + from + j]));
    return `${padEnd(labelOf(ids[at], view), label, mark)} ${cells.join("")}`;
  });
  const looks = Array.from({ length: position + 1 }, (_, j) => j).sort((a, b) => pattern[position * T + b] - pattern[position * T + a]);
  const total = looks.reduce((sum, j) => sum + weighted[position * T + j], 0);
  const table = looks.slice(0, count).map((j) => {
    const share = total > 0 ? weighted[position * T + j] / total : 0;
    return [String(j), labelOf(ids[j], view), percent(pattern[position * T + j]).trim(), percent(share).trim()];
  });
  const columns = [
    { title: "#", align: "right" },
    { title: "token", wrap: true },
    { title: "looks", align: "right" },
    { title: "gives", align: "right" },
  ] as const;
  const kept = widthIn(view) < 32 ? 3 : 4;
  return [
    ...caption(`head ${layer}.${head}: each row looks back at the columns${from > 0 ? `, from position ${from} on` : ""}`, view),
    ...rows,
    ...caption(`${scale.slice(1).join(" ")} = up to 25, 50, 75, 100 %`, view),
    "",
    ...caption(`where position ${position} looks`, view),
    ...drawTable(columns.slice(0, kept), table.map((cells) => cells.slice(0, kept)), terminal), // prettier-ignore
  ];
}

/** The loudest neurons, one row each. */
export function neuronLines({ layer, position, neurons }: Neurons, view: View): string[] {
  const words = (list: Neurons["neurons"][number]["promotes"]): string => list.map(({ id }) => labelOf(id, view)).join(" ");
  const wide = widthIn(view) >= 40;
  const rows = neurons.map(({ index, activation, strength, promotes, suppresses }) =>
    wide
      ? [String(index), signed(activation), strength.toFixed(2), words(promotes), words(suppresses)]
      : [String(index), signed(activation), words(promotes)],
  );
  const columns = [
    { title: wide ? "neuron" : "#", align: "right" },
    { title: "active", align: "right" },
    ...(wide ? ([{ title: "writes", align: "right" }] as const) : []),
    { title: "for", wrap: true },
    ...(wide ? [{ title: "against", wrap: true }] : []),
  ] as const;
  return [...caption(`MLP ${layer} at position ${position}: the neurons that write most`, view), ...drawTable(columns, rows, view.terminal)];
}

/** Probabilities before and after parts were muted: the favourites of both. */
export function muteLines({ names, before, after, divergence }: Muted, count: number, view: View): string[] {
  const { terminal } = view;
  const { paint, unicode } = terminal;
  const ids = [...new Set([...before.top(count), ...after.top(count)].map(({ id }) => id))];
  const label = Math.min(24, widthIn(view) - 18);
  const room = Math.floor((widthIn(view) - label - 22) / 2);
  const cells = (p: number): string => (room > 3 ? heat(terminal, p)(bar(p, 1, room, unicode)) : "");
  const rows = ids.map((id) => {
    const [p, q] = [before.probability(id), after.probability(id)];
    const drawn = cells(p);
    const gap = " ".repeat(Math.max(0, room - widthOf(room > 3 ? bar(p, 1, room, unicode) : "")));
    return `${padEnd(labelOf(id, view), label, ellipsis(unicode))}${padStart(percent(p), 9)}${padStart(percent(q), 9)}${room > 3 ? `  ${drawn}${gap}  ${cells(q)}` : ""}`.trimEnd();
  });
  return [
    ...caption(`muted: ${names.join(", ")}`, view),
    paint.dim(`${padEnd("token", label, "")}${padStart("before", 9)}${padStart("after", 9)}`),
    ...rows,
    ...caption(`KL divergence ${divergence.toFixed(4)} nats`, view),
  ];
}
