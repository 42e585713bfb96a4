/**
 * `vitrine tokenize`: the pieces a text is cut into before a model reads it, their ids, bytes and merges.
 */
import { Command, Option } from "commander";
import { VitrineError } from "../../base/errors.ts";
import type { MergeStep, Token, Tokenizer } from "../../tokenizer/tokenizer.ts";
import { highlight } from "../bars.ts";
import { interrupted } from "../errors.ts";
import type { Output } from "../io.ts";
import { tokenLine } from "../json.ts";
import type { MergesLine, TokenEndLine } from "../json.ts";
import { counted, grouped } from "../numbers.ts";
import { addFileFlag } from "../options.ts";
import type { TextFlags } from "../options.ts";
import { givenText } from "../session.ts";
import type { Run, Session } from "../session.ts";
import { drawTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { escaped, hexBytes, piece, tokenLabel } from "../visible.ts";

interface TokenizeFlags extends TextFlags {
  readonly model?: string;
  readonly merges?: boolean;
  readonly bytes?: boolean;
  readonly json?: boolean;
  readonly template: boolean;
}

const examples = `
Examples:
  vitrine tokenize "To date, the cleverest thinker of all time was"
  vitrine tokenize " cleverest" --merges         how it grew, merge by merge
  vitrine tokenize "naïve 東京" --bytes           the bytes behind every token
  vitrine tokenize -f book.txt --json | tail -1  how many tokens a book has
  vitrine tokenize "Hello" -m ./gpt2-tokenizer   a tokenizer alone will do

First line: the pieces with | between them. Second line: their ids.`;

/** `vitrine tokenize` with its flags and help. */
export function tokenizeCommand(run: Run): Command {
  const command = new Command("tokenize")
    .summary("cut a text into the pieces a model reads")
    .description(
      "Cuts a text into tokens: the pieces a model reads, each with its number.\nThe text is the argument, a --file, or standard input (a pipe, or -).",
    )
    .argument("[text...]", "the text");
  return addFileFlag(command, "the text")
    .addOption(new Option("-m, --model <model>", "whose tokenizer: a model or a folder with only a tokenizer (default: the embedded model's)"))
    .option("--merges", "show how each piece is merged from its characters, one by one")
    .option("--bytes", "a table with the bytes of every token")
    .option("--no-template", "leave out the start token that the model's template adds")
    .option("--json", "JSON Lines: a line for each token (docs/json.md)")
    .addHelpText("after", examples)
    .action((words: string[], flags: TokenizeFlags) => run((session) => tokenize(session, words, flags)));
}

async function tokenize(session: Session, words: readonly string[], flags: TokenizeFlags): Promise<number> {
  const text = await givenText(session, words, flags.file);
  if (text === undefined)
    throw new VitrineError('no text was given; try vitrine tokenize "To date, the cleverest thinker of all time was", or pipe a text in');
  if (session.stop.aborted) return session.isInterrupted() ? interrupted : 0;
  const { tokenizer } = await session.models.openTokenizer(flags.model);
  if (flags.merges) await tellMerges(session, tokenizer, text, flags.json === true);
  else await tellTokens(session, tokenizer, text, flags);
  return session.isInterrupted() ? interrupted : 0;
}

async function tellTokens(session: Session, tokenizer: Tokenizer, text: string, flags: TokenizeFlags): Promise<void> {
  const ids = tokenizer.encode(text, { template: flags.template });
  const tokens = function* (): Generator<Token> {
    for (const id of ids) yield tokenizer.token(id);
  };
  if (flags.json) await jsonTokens(session, tokens(), text);
  else if (flags.bytes) await byteTable(session, [...tokens()]);
  else await piecesAndIds(session, tokens, ids);
  const bytes = Buffer.byteLength(text);
  const per = ids.length > 0 ? `, ${(text.length / ids.length).toFixed(1)} characters a token` : "";
  await session.hint(`${counted(ids.length, "token")}, ${counted(text.length, "character")}, ${counted(bytes, "byte")}${per}`);
}

/** How many pieces are written at once: few enough to stop soon after Ctrl-C, many enough to be quick. */
const batch = 4096;

/** Writes `words` with `between`, in batches, as fast as the reader takes them. */
async function writeJoined(session: Session, words: Iterable<string>, between: string): Promise<void> {
  let waiting: string[] = [];
  let isFirst = true;
  const flush = async (): Promise<void> => {
    await session.out.write((isFirst ? "" : between) + waiting.join(between));
    isFirst = false;
    waiting = [];
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (const word of words) {
    waiting.push(word);
    if (waiting.length >= batch) await flush();
    if (session.stop.aborted) return;
  }
  if (waiting.length > 0) await flush();
}

async function piecesAndIds(session: Session, tokens: () => Iterable<Token>, ids: readonly number[]): Promise<void> {
  const { out } = session;
  const { paint, unicode } = out.terminal;
  const shades = [paint.hex("#2f9fb3"), paint.hex("#c98a1b")];
  const painted = function* (): Generator<string> {
    let i = 0;
    for (const token of tokens()) yield shades[i++ % 2](piece(token, unicode));
  };
  await writeJoined(session, painted(), paint.dim("|"));
  await out.line();
  await writeJoined(session, stringsOf(ids), " ");
  await out.line();
}

function* stringsOf(ids: readonly number[]): Generator<string> {
  for (const id of ids) yield String(id);
}

async function byteTable({ out }: Session, tokens: readonly Token[]): Promise<void> {
  const rows = tokens.map((token, i) => [
    grouped(i),
    String(token.id),
    tokenLabel(token, out.terminal.unicode),
    token.special ? "none (special)" : hexBytes(token.bytes),
  ]);
  const columns = [{ title: "position", align: "right" }, { title: "id", align: "right" }, { title: "token" }, { title: "bytes" }] as const;
  for (const line of drawTable(columns, rows, out.terminal)) await out.line(line);
}

async function jsonTokens(session: Session, tokens: Iterable<Token>, text: string): Promise<void> {
  let count = 0;
  const lines = function* (): Generator<string> {
    for (const token of tokens) yield `${JSON.stringify(tokenLine(count++, token))}\n`;
  };
  await writeJoined(session, lines(), "");
  const end: TokenEndLine = { type: "end", tokens: count, characters: text.length, bytes: Buffer.byteLength(text) };
  await session.out.line(JSON.stringify(end));
}

async function tellMerges(session: Session, tokenizer: Tokenizer, text: string, asJson: boolean): Promise<void> {
  const { out } = session;
  const chunks = tokenizer.merges(text);
  if (chunks.length === 0 && text !== "") throw new VitrineError(`--merges: this tokenizer (${tokenizer.kind}) does not merge; leave the flag out`);
  for (const [index, steps] of chunks.entries()) {
    if (session.stop.aborted) return;
    const line: MergesLine = { type: "merges", index, steps };
    await (asJson ? out.line(JSON.stringify(line)) : tellChunk(out, steps));
  }
}

/** One piece of text from its characters to its tokens, a merge a line. */
async function tellChunk(out: Output, steps: readonly MergeStep[]): Promise<void> {
  const { terminal } = out;
  if (steps.length === 0) return;
  const shown = steps.map((step) => step.pieces.map((part) => spelled(part, terminal)));
  await out.line(terminal.paint.bold(shown[0].join("")));
  const widest = Math.max(...shown.map((pieces) => pieces.join(" ").length));
  for (const [i, step] of steps.entries()) await out.line(`  ${mergeLine(shown[i], shown[i - 1], step, widest, terminal)}`);
  await out.line();
}

/** A piece in the vocabulary's own spelling, but for the space, which vocabularies write as Ġ or ▁. */
function spelled(part: string, { unicode }: Terminal): string {
  return escaped(part.replaceAll(/[Ġ▁ ]/g, unicode ? "␣" : "_"), unicode) || '""';
}

function mergeLine(pieces: readonly string[], before: readonly string[] | undefined, step: MergeStep, widest: number, terminal: Terminal): string {
  const { paint } = terminal;
  if (step.at < 0 || before === undefined) return paint.dim(pieces.join(" "));
  const line = pieces.map((part, i) => (i === step.at ? highlight(terminal, part) : part)).join(" ");
  const rule = `rule ${grouped(step.rank + 1)}: ${before[step.at]} + ${before[step.at + 1]}`;
  return `${line}${" ".repeat(Math.max(0, Math.min(widest, 48) - pieces.join(" ").length))}  ${paint.dim(rule)}`;
}
