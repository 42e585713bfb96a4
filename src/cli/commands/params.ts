/**
 * `vitrine params`: where the weights are, in the eight categories of the lecture, with formulas and totals.
 */
import { Command, Option } from "commander";
import { VitrineError } from "../../base/errors.ts";
import type { Dimensions } from "../../model/presets.ts";
import type { Tally } from "../../model/tally.ts";
import { tallyLine } from "../json.ts";
import { grouped } from "../numbers.ts";
import { numberIn, oneOf } from "../options.ts";
import type { Run, Session } from "../session.ts";
import { drawTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { foldWords, widthOf } from "../width.ts";

function dimension(flag: string, what: string): Option {
  return new Option(`${flag} <n>`, what).argParser(numberIn(flag, { least: 1, whole: true }));
}

interface ParamsFlags {
  readonly model?: string;
  readonly rule: Tally["rule"];
  readonly layers?: number;
  readonly heads?: number;
  readonly width?: number;
  readonly neurons?: number;
  readonly vocabulary?: number;
  readonly context?: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  vitrine params gpt3                     175,181,291,520 in 27,938 matrices
  vitrine params gpt2 --rule exact        124,439,808: positions, biases, norms
  vitrine params gpt2 --layers 6 --width 384 --heads 6
  vitrine params ./my-model --rule exact  a checkpoint and what its files hold

Presets: gpt2, gpt2-medium, gpt2-large, gpt2-xl, gpt3.
The video's rule counts the matrices of Key, Query and Value once per head and
those of Output once per layer. It leaves out positions, biases and norms, and
counts the unembedding also where it is the embedding's own matrix.`;

/** `vitrine params` with its flags and help. */
export function paramsCommand(run: Run): Command {
  return new Command("params")
    .summary("where a model's weights are, counted")
    .description("Counts a model's weights in the eight categories of the lecture, each with its formula.")
    .argument("[model]", "a preset (gpt2 ... gpt3), or a model folder (default: the embedded model)")
    .addOption(new Option("-m, --model <model>", "the same as the argument"))
    .addOption(
      new Option("--rule <rule>", "video: the eight categories; exact: also positions, biases, norms and tying")
        .default("video")
        .argParser(oneOf("--rule", ["video", "exact"])),
    )
    .addOption(dimension("--layers", "with a preset: other dimensions"))
    .addOption(dimension("--heads", "attention heads of each layer"))
    .addOption(dimension("--width", "numbers in a token's vector (d_embed)"))
    .addOption(dimension("--neurons", "neurons of each MLP (default: 4 times the width)"))
    .addOption(dimension("--vocabulary", "tokens in the vocabulary"))
    .addOption(dimension("--context", "positions in the context"))
    .option("--json", "one JSON object (docs/json.md)")
    .addHelpText("after", examples)
    .action((model: string | undefined, flags: ParamsFlags) => run((session) => params(session, model, flags)));
}

async function params(session: Session, named: string | undefined, flags: ParamsFlags): Promise<number> {
  if (named !== undefined && flags.model !== undefined)
    throw new VitrineError(`a model was named twice, ${named} and --model ${flags.model}; name one`);
  const { tally, stored } = await session.models.tally(named ?? flags.model, flags.rule, changesOf(flags));
  const { out } = session;
  if (flags.json) {
    await out.line(JSON.stringify(tallyLine(tally, stored)));
    return 0;
  }
  await out.write(drawTally(session, tally, stored).join("\n") + "\n");
  return 0;
}

function changesOf({ layers, heads, width, neurons, vocabulary, context }: ParamsFlags): Partial<Dimensions> {
  const changes = { layers, heads, width, mlpWidth: neurons, vocabularySize: vocabulary, contextLength: context };
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

/** Formula and numbers side by side where the window is wide enough, else the numbers under the formula. */
function drawTally({ out }: Session, tally: Tally, stored: number | undefined): string[] {
  const { terminal } = out;
  const { paint } = terminal;
  const total = ["Total", "", "", grouped(tally.weights), grouped(tally.matrices)];
  const cells = tally.rows.map((row) => [row.category, row.formula, row.numbers, grouped(row.weights), grouped(row.matrices)]);
  const wide = drawTable([{ title: "" }, { title: "formula" }, { title: "" }, ...numberColumns], [...cells, total], terminal);
  const fits = wide.every((line) => widthOf(terminal.paint.strip(line)) < terminal.columns());
  const times = terminal.unicode ? "×" : "*";
  const tight = cells.flatMap(stack).map((row) => row.map((cell) => cell.replaceAll(" * ", times)));
  const stacked = (): string[] =>
    drawTable([{ title: "", wrap: true }, { title: "formula", wrap: true }, ...numberColumns], [...tight, without(total, 2)], terminal);
  const lines = fits ? wide : stacked();
  const rule = lines[1];
  const room = terminal.columns() - 1;
  return [
    ...titleLines(tally, terminal, room),
    "",
    ...lines.slice(0, -1),
    rule,
    paint.bold(lines.at(-1)!),
    "",
    ...notes(tally, stored).flatMap((note) => foldWords(note, room)),
  ];
}

/** Name and rule on one line, or on lines of their own. */
function titleLines(tally: Tally, { paint }: Terminal, room: number): string[] {
  const rule = ruleWords[tally.rule];
  if (widthOf(`${tally.name}  ${rule}`) <= room) return [`${paint.bold(tally.name)}  ${paint.dim(rule)}`];
  return [...foldWords(tally.name, room).map((line) => paint.bold(line)), ...foldWords(rule, room).map((line) => paint.dim(line))];
}

const numberColumns = [
  { title: "weights", align: "right" },
  { title: "matrices", align: "right" },
] as const;

function stack(row: readonly string[]): string[][] {
  const [category, formula, numbers, weights, matrices] = row;
  return numbers === formula
    ? [[category, formula, weights, matrices]]
    : [
        [category, formula, weights, matrices],
        ["", `= ${numbers}`],
      ];
}

function without(row: readonly string[], at: number): string[] {
  return row.filter((_, i) => i !== at);
}

const ruleWords: Readonly<Record<Tally["rule"], string>> = {
  video: "by the video's rule: the eight categories",
  exact: "exactly: every number in the checkpoint, once",
};

function notes(tally: Tally, stored: number | undefined): string[] {
  const lines =
    tally.rule === "video"
      ? [
          "Matrices: Key, Query and Value once per head, Output once per layer.",
          "Positions, biases and norms are left out; --rule exact counts them.",
        ]
      : [];
  if (stored === undefined) return lines;
  if (tally.rule === "exact") {
    return [
      ...lines,
      stored === tally.weights
        ? `The checkpoint's files hold exactly these ${grouped(stored)} numbers.`
        : `The checkpoint's files hold ${grouped(stored)} numbers.`,
    ];
  }
  return [...lines, `The checkpoint's files hold ${grouped(stored)} numbers.`];
}
