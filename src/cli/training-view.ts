/**
 * Training as a person at a terminal sees it: figures and a loss curve that are redrawn in place, and above them, to stay, what the model writes.
 * The figures are kept by training-figures.ts, the curve drawn by loss-curve.ts; for pipes and programs there is training-telling.ts.
 */
import { bar } from "./bar.ts";
import type { Output } from "./io.ts";
import { drawCurve } from "./loss-curve.ts";
import { duration, grouped, rate } from "./numbers.ts";
import type { Terminal } from "./terminal.ts";
import type { Figures } from "./training-figures.ts";
import { fitStart, widthOf } from "./width.ts";

const redrawEvery = 100;
const tallestCurve = 8;
const shortestCurve = 3;
const shortestBar = 6;

/** The block of lines at the bottom of the window. What is printed above it stays. */
export class LiveView {
  readonly #output: Output;
  readonly #figures: Figures;
  readonly #now: () => number;
  /** Columns of each line on show, so that the block is found again in a window that was resized. */
  #shown: number[] = [];
  #drawn = -Infinity;
  /** What is going on beside the steps; "" for nothing. */
  #doing = "";

  constructor(output: Output, figures: Figures, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#figures = figures;
    this.#now = now;
  }

  /** Draws what is known now, at most ten times a second unless it is `urgent`. */
  async update(urgent = false): Promise<void> {
    if (!urgent && this.#now() - this.#drawn < redrawEvery) return;
    this.#drawn = this.#now();
    const { terminal } = this.#output;
    const lines = viewLines(this.#figures, this.#doing, terminal, terminal.columns(), terminal.rows());
    const text = lines.map(({ painted }) => `${painted}\x1b[K\n`).join("");
    const back = this.#back();
    this.#shown = lines.map(({ plain }) => widthOf(plain));
    await this.#output.write(`${back}${text}\x1b[J`);
  }

  /** Lines that stay, above the block. */
  async print(lines: readonly string[]): Promise<void> {
    const back = this.#back();
    this.#shown = [];
    await this.#output.write(`${back}${back === "" ? "" : "\x1b[J"}${lines.map((line) => `${line}\n`).join("")}`);
    await this.update(true);
  }

  async doing(what: string): Promise<void> {
    this.#doing = what;
    await this.update(true);
  }

  /** The block stays as it is, and what comes next begins below it. */
  async end(): Promise<void> {
    this.#doing = "";
    await this.update(true);
    this.#shown = [];
  }

  /** To the block's first line. */
  #back(): string {
    const columns = Math.max(1, this.#output.terminal.columns());
    const rows = this.#shown.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows === 0 ? "" : `\x1b[${rows}A\r`;
  }
}

interface Line {
  readonly plain: string;
  readonly painted: string;
}

/** The block: how far, how well, how fast, and the curve as high as the window allows. No line reaches the last column. */
export function viewLines(figures: Figures, doing: string, terminal: Terminal, columns: number, rows: number): Line[] {
  const width = Math.max(12, columns - 1);
  const lines = [line([]), progressLine(figures, terminal, width), ...flow(wordsOf(figures, terminal), width)];
  if (doing !== "") lines.push(...flow([{ plain: doing, painted: terminal.paint.hex("#ffdd33")(doing) }], width));
  const room = rows - 1 - lines.length - 2; // a line between, and the curve's last
  const curve =
    room < shortestCurve
      ? []
      : drawCurve({ training: figures.training.points(), validation: figures.validation.points() }, terminal, columns, Math.min(room, tallestCurve));
  const drawn = curve.length === 0 ? [] : ["", ...curve].map((painted) => ({ plain: " ".repeat(width), painted }));
  return [...lines, ...drawn].slice(0, Math.max(2, rows - 1));
}

function progressLine(figures: Figures, { unicode, paint }: Terminal, width: number): Line {
  const step = figures.last?.step ?? 0;
  const share = step / figures.steps;
  const left = figures.secondsLeft;
  const head = `step ${grouped(step)} of ${grouped(figures.steps)}`;
  const tail = `${Math.floor(100 * share)} %${left === undefined || step === figures.steps ? "" : `  ${duration(left)} left`}`;
  const columns = Math.min(40, width - widthOf(head) - widthOf(tail) - 4);
  if (columns < shortestBar) {
    const fitted = fitStart(`${head}  ${tail}`, width, unicode ? "…" : "...");
    return { plain: fitted, painted: paint.bold(fitted) };
  }
  const filled = bar(share, 1, columns, unicode);
  const rest = (unicode ? "·" : ".").repeat(columns - widthOf(filled));
  return {
    plain: `${head}  ${filled}${rest}  ${tail}`,
    painted: `${paint.bold(head)}  ${paint.hex("#5cd0b3")(filled)}${paint.dim(rest)}  ${tail}`,
  };
}

/** Word by word: what may not be parted, in the order of importance. */
function wordsOf(figures: Figures, { paint }: Terminal): Line[] {
  const { last, smoothedLoss, evaluation, bestValidation, tokensPerSecond } = figures;
  if (last === undefined) return [word("measuring the first step", "", paint.dim)];
  return [
    { plain: `loss ${smoothedLoss?.toFixed(3)} (now ${last.loss.toFixed(3)})`, painted: `${paint.dim("loss")} ${paint.bold(smoothedLoss?.toFixed(3) ?? "")} ${paint.dim(`(now ${last.loss.toFixed(3)})`)}` },
    ...(evaluation === undefined
      ? []
      : [word("validation", `${evaluation.validationLoss.toFixed(3)}${evaluation.validationLoss === bestValidation ? ", the best" : `, best ${bestValidation?.toFixed(3)}`}`, paint.dim)]),
    word("learning rate", String(Number(last.learningRate.toPrecision(3))), paint.dim),
    word("gradient norm", fixed(last.gradientNorm), paint.dim),
    ...(tokensPerSecond === undefined ? [] : [{ plain: `${rate(tokensPerSecond)} tokens/s`, painted: `${rate(tokensPerSecond)} ${paint.dim("tokens/s")}` }]),
    ...(figures.saved === undefined ? [] : [word("saved at step", grouped(figures.saved), paint.dim)]),
  ]; // prettier-ignore
}

/** A log says null where a norm was infinite. */
export function fixed(norm: number | null): string {
  return norm === null || !Number.isFinite(norm) ? "infinite" : norm.toFixed(2);
}

function word(label: string, value: string, dim: (text: string) => string): Line {
  return value === "" ? { plain: label, painted: dim(label) } : { plain: `${label} ${value}`, painted: `${dim(label)} ${value}` };
}

/** Words side by side, as many on a line as fit. */
function flow(words: readonly Line[], width: number): Line[] {
  const lines: Line[][] = [[]];
  let used = 0;
  for (const item of words) {
    const fitted = widthOf(item.plain) <= width ? item : plainLine(fitStart(item.plain, width, "."));
    const columns = widthOf(fitted.plain);
    if (used > 0 && used + 3 + columns > width) [lines[lines.length], used] = [[], 0];
    lines.at(-1)!.push(fitted);
    used += (used > 0 ? 3 : 0) + columns;
  }
  return lines.map(line);
}

function line(words: readonly Line[]): Line {
  return { plain: words.map(({ plain }) => plain).join("   "), painted: words.map(({ painted }) => painted).join("   ") };
}

function plainLine(text: string): Line {
  return { plain: text, painted: text };
}
