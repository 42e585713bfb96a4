/**
 * `vitrine score`: reads a text with the model and says how much each word of it came as a surprise.
 */
import { Command, Option } from "commander";
import { VitrineError } from "../../base/errors.ts";
import type { Engine, ScoredStep } from "../../engine/engine.ts";
import { bar, heat } from "../bar.ts";
import { Comparison, comparisonText } from "../comparison.ts";
import { ellipsis } from "../bars.ts";
import { interrupted } from "../errors.ts";
import { scoreLine } from "../json.ts";
import type { ScoreEndLine } from "../json.ts";
import { counted, grouped, percent } from "../numbers.ts";
import { openEngine } from "../opening.ts";
import { addFileFlag, addModelFlags, checkContext, numberIn } from "../options.ts";
import type { ModelFlags, TextFlags } from "../options.ts";
import { givenText } from "../session.ts";
import type { Run, Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";
import { tokenLabel } from "../visible.ts";
import { fitStart, padEnd, padStart, wrapWords } from "../width.ts";

interface ScoreFlags extends ModelFlags, TextFlags {
  readonly context?: number;
  readonly show?: number;
  readonly json?: boolean;
  readonly compare?: boolean;
}

const examples = `
Examples:
  vitrine score "Once upon a time there was a little girl"
  vitrine score "The cat sat on the moon"        which word came as a surprise?
  vitrine score --file story.txt --json | tail -1  the totals alone
  vitrine score -f story.txt --weights int8 --compare   what small weights cost

surprise is -log2(probability): 1 bit = a coin toss, 10 bits = one in a thousand.
loss is the mean of -ln(probability). perplexity is e^loss: as unsure as a choice
among so many words.`;

/** `vitrine score` with its flags and help. */
export function scoreCommand(run: Run): Command {
  const command = new Command("score")
    .summary("how much each word of a text surprises a model")
    .description(
      "Gives the probability of every token of a text after what stands before it.\nThe text is the argument, a --file, or standard input (a pipe, or -).",
    )
    .argument("[text...]", "the text");
  return addModelFlags(addFileFlag(command, "the text"))
    .addOption(new Option("--context <n>", "look back at most n tokens").argParser(numberIn("--context", { least: 1, whole: true })))
    .addOption(
      new Option("-s, --show <n>", "with --json: the n most probable tokens of every position").argParser(
        numberIn("--show", { least: 0, most: 1000, whole: true }),
      ),
    )
    .option("--compare", "also with f32 weights: how far apart are the two in KL divergence, favourites and perplexity?")
    .option("--json", "JSON Lines: a line for each token, then the totals (docs/json.md)")
    .addHelpText("after", examples)
    .action((words: string[], flags: ScoreFlags) => run((session) => score(session, words, flags)));
}

/** Sums over the tokens that had a prediction. */
class Totals {
  tokens = 0;
  scored = 0;
  /** Sum of -ln p. */
  #nats = 0;
  #bytes = 0;

  add(step: ScoredStep): void {
    this.tokens++;
    if (!("probability" in step)) return;
    this.scored++;
    this.#nats -= step.logprob;
    this.#bytes += Buffer.byteLength(step.text);
  }

  line(reason: "done" | "aborted", seconds: number): ScoreEndLine {
    const loss = this.scored > 0 ? this.#nats / this.scored : null;
    return {
      type: "end",
      reason,
      tokens: this.tokens,
      scored: this.scored,
      loss: finite(loss),
      perplexity: finite(loss === null ? null : Math.exp(loss)),
      bitsPerByte: finite(this.#bytes > 0 ? this.#nats / Math.LN2 / this.#bytes : null),
      seconds,
    };
  }
}

/** JSON has no infinity. */
function finite(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}

function nothingToCompare(): VitrineError {
  return new VitrineError("--compare compares small weights with f32, and none were asked for; add --weights int8, for example");
}

async function score(session: Session, words: readonly string[], flags: ScoreFlags): Promise<number> {
  const text = await givenText(session, words, flags.file);
  if (text === undefined || text === "")
    throw new VitrineError('no text was given; try vitrine score "Once upon a time there was a little girl", or pipe a text in');
  if (flags.compare && flags.weights === "f32") throw nothingToCompare();
  if (session.stop.aborted) return session.isInterrupted() ? interrupted : 0;
  const engine = await openEngine(session, flags);
  let exact: Engine | undefined;
  try {
    if (!engine.info.capabilities.score)
      throw new VitrineError(`${engine.info.name} cannot score: it gives no probabilities for a text of yours; use a local model`);
    checkContext(flags.context, engine.info);
    if (flags.compare && engine.info.weights === "f32") throw nothingToCompare();
    if (flags.compare) exact = await openEngine(session, { ...flags, weights: "f32" });
    const { out } = session;
    const totals = new Totals();
    const comparison = exact && new Comparison(engine.info.weights ?? "?", "f32");
    const asked = { context: flags.context, signal: session.stop };
    const exactSteps = exact?.score(text, asked);
    const begun = performance.now();
    let rows = 0;
    for await (const step of engine.score(text, asked)) {
      totals.add(step);
      const exactStep = await exactSteps?.next();
      if (exactStep && !exactStep.done) comparison?.add(step, exactStep.value);
      if (flags.json) await out.line(JSON.stringify(scoreLine(step, flags.show ?? 0, engine.tokenizer)));
      else {
        if (rows++ === 0) await out.line(headLine(out.terminal));
        await out.line(rowLine(step, engine.info.vocabularySize, out.terminal));
      }
      if (totals.tokens % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const end = totals.line(session.stop.aborted ? "aborted" : "done", (performance.now() - begun) / 1000);
    const compared = comparison?.line();
    if (flags.json && compared) await out.line(JSON.stringify(compared));
    if (flags.json) await out.line(JSON.stringify(end));
    else {
      const summary = `\n${totalsText(end)}\n${compared ? `\n${comparisonText(compared)}\n` : ""}`;
      await out.write(wrapWords(summary, out.terminal.columns() - 1));
    }
    return session.isInterrupted() ? interrupted : 0;
  } finally {
    engine.dispose();
    exact?.dispose();
  }
}

/** How wide each column is, the two spaces before it included; 0 where there is no room for it. */
interface Layout {
  readonly label: number;
  readonly surprise: number;
  readonly rank: number;
  readonly bar: number;
}

const probabilityColumns = 13;
/** A bar this long is 16 bits: one in 65,000. */
const fullScale = 16;

function layoutFor(columns: number): Layout {
  const width = Math.max(20, columns) - 1;
  const label = Math.max(Math.min(10, width - probabilityColumns), Math.min(26, Math.floor(width * 0.25)));
  let room = width - label - probabilityColumns;
  const surprise = room >= 12 ? 12 : 0;
  room -= surprise;
  const rank = surprise > 0 && room >= 9 ? 9 : 0;
  return { label, surprise, rank, bar: rank > 0 ? Math.max(0, room - rank - 2) : 0 };
}

function headLine({ paint, columns }: Terminal): string {
  const { label, surprise, rank } = layoutFor(columns());
  return paint.dim(
    "token".padEnd(label) +
      "probability".padStart(probabilityColumns) +
      "surprise".padStart(surprise).slice(0, surprise) +
      "rank".padStart(rank).slice(0, rank),
  );
}

function rowLine(step: ScoredStep, vocabularySize: number, terminal: Terminal): string {
  const layout = layoutFor(terminal.columns());
  const mark = ellipsis(terminal.unicode);
  const label = padEnd(tokenLabel(step.token, terminal.unicode), layout.label, mark);
  if (!("probability" in step)) return terminal.paint.dim(fitStart(`${label}  nothing stands before it`, Math.max(20, terminal.columns()) - 1, mark));
  const bits = -step.logprob / Math.LN2;
  const numbers = [
    padStart(percent(step.probability), probabilityColumns),
    layout.surprise > 0 ? padStart(`${bits.toFixed(2)} bits`, layout.surprise) : "",
    layout.rank > 0 ? padStart(grouped(step.rank), layout.rank) : "",
  ].join("");
  // Surprise is drawn: teal where the model knew, yellow where it did not.
  const drawn = heat(terminal, Math.min(1, (bits / Math.log2(vocabularySize)) ** 2))(bar(bits, fullScale, layout.bar, terminal.unicode));
  return `${label}${numbers}  ${bits > 0.05 && layout.bar > 0 ? drawn : ""}`.trimEnd();
}

function totalsText({ tokens, scored, loss, perplexity, bitsPerByte }: ScoreEndLine): string {
  if (loss === null) return `${counted(tokens, "token")}: nothing to score, since a prediction needs something before it`;
  return [
    `${counted(scored, "token")} scored`,
    `loss           ${loss.toFixed(3)} (${(loss / Math.LN2).toFixed(2)} bits a token)`,
    ...(perplexity === null ? [] : [`perplexity     ${perplexity < 1000 ? perplexity.toFixed(2) : grouped(Math.round(perplexity))}`]),
    ...(bitsPerByte === null ? [] : [`bits per byte  ${bitsPerByte.toFixed(3)}`]),
  ].join("\n");
}
