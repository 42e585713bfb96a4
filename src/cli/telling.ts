/**
 * Three ways to tell about a generation as it happens: the text alone, the text with every distribution, JSON Lines.
 * Drawing is bars.ts and passage.ts, the objects are json.ts.
 */
import type { EndReason, Engine, GenerateEnd, GenerateOptions, Step } from "../engine/engine.ts";
import type { Token } from "../tokenizer/tokenizer.ts";
import { drawBars, ellipsis } from "./bars.ts";
import { generateEndLine, perSecond, promptLine, stepLine } from "./json.ts";
import { counted, duration, rate } from "./numbers.ts";
import { Passage } from "./passage.ts";
import type { Session } from "./session.ts";
import { chartOf, describeSampling } from "./show.ts";
import type { Terminal } from "./terminal.ts";
import { escaped, harmless, tokenLabel } from "./visible.ts";
import { fitEnd, fitStart, wrapWords } from "./width.ts";

export interface Told {
  readonly session: Session;
  readonly engine: Engine;
  readonly prompt: string;
  /** What the model reads for it. */
  readonly tokens: readonly Token[];
  /** Its beginning, where the context is too short for it. */
  readonly cut: readonly Token[];
  readonly options: GenerateOptions & { readonly seed: number };
  /** Whether the prompt is printed before its continuation. */
  readonly echo: boolean;
}

export interface Telling {
  begin(): Promise<void>;
  step(step: Step): Promise<void>;
  end(end: GenerateEnd): Promise<void>;
}

/** The text as it comes. In a terminal the prompt is coloured and control characters are shown instead of obeyed; a pipe gets the text itself. */
export function plainTelling(told: Told): Telling {
  const { session, prompt, cut, echo } = told;
  const { out, talk } = session;
  /** Both show up in one window, where a notice must not break a line of the text. */
  const mixed = out.terminal.isTTY && talk.terminal.isTTY;
  const printable = (text: string): string => (out.terminal.isTTY ? harmless(text) : text);
  const forgotten = new Forgotten();
  let printed = 0;
  let noticeWaits = false;
  return {
    begin: async () => {
      if (cut.length > 0) await session.notice(`(${droppedNotice(cut, talk.terminal)})`);
      if (echo) await out.write(promptColour(out.terminal, printable(prompt)));
    },
    step: async (step) => {
      noticeWaits = (forgotten.add(step) && cut.length === 0) || noticeWaits;
      if (noticeWaits && (!mixed || out.atLineStart || /^\s/.test(step.text))) {
        noticeWaits = false; // not in the middle of a word
        if (mixed) await out.endLine();
        await session.notice(`(${droppedNotice(forgotten.first, talk.terminal)})`);
      }
      printed += step.text.length;
      await out.write(printable(step.text));
    },
    end: async (end) => {
      await out.write(printable(end.text.slice(printed)));
      await out.endLine();
      await tellEnd(told, end, forgotten);
    },
  };
}

/** For every word: the distribution it was drawn from, then the text with the word in it. At the end the whole text. */
export function showTelling(told: Told, show: number): Telling {
  const { session, engine, tokens, options } = told;
  const { out } = session;
  const { terminal } = out;
  const passage = new Passage(tokens, engine.tokenizer);
  const forgotten = new Forgotten();
  let number = 0;
  let printed = 0;
  return {
    begin: async () => {
      const how = describeSampling(options);
      if (how !== "") await out.line(legend(how, terminal));
      await out.line(
        passage.line(terminal, terminal.columns(), "") || terminal.paint.dim(tokens.map((token) => tokenLabel(token, terminal.unicode)).join("")),
      );
    },
    step: async (step) => {
      const columns = terminal.columns();
      forgotten.add(step);
      const lines = drawBars(
        chartOf(step, ++number, show, engine.tokenizer, engine.info.vocabularySize, options, terminal.unicode),
        terminal,
        columns,
      );
      if (step.dropped.length > 0) lines.unshift(terminal.paint.dim(wrapWords(droppedLine(step.dropped, terminal, columns), columns - 1)));
      printed += step.text.length;
      passage.add(step.text, step.dropped.length);
      lines.push(passage.line(terminal, columns, tokenLabel(step.token, terminal.unicode)));
      await out.write(`\n${lines.join("\n")}\n`);
    },
    end: async (end) => {
      passage.add(end.text.slice(printed), 0);
      if (number > 0) {
        await out.write(
          `\n${terminal.paint.dim((terminal.unicode ? "═" : "=").repeat(terminal.columns() - 1))}\n${terminal.isTTY ? wrapWords(harmless(passage.text), terminal.columns() - 1) : passage.text}`,
        );
        await out.endLine();
      }
      await tellEnd(told, end, forgotten);
    },
  };
}

/** JSON Lines on stdout and nothing else. */
export function jsonTelling(told: Told, show: number): Telling {
  const { session, engine, prompt, tokens, options } = told;
  const write = (line: object): Promise<void> => session.out.line(JSON.stringify(line));
  return {
    begin: () => write(promptLine(prompt, tokens, engine.info, options.seed)),
    step: (step) => write(stepLine(step, show, engine.tokenizer)),
    end: (end) => write(generateEndLine(end)),
  };
}

function promptColour(terminal: Terminal, text: string): string {
  return text === "" ? "" : terminal.paint.hex("#3b9ccc")(text);
}

/** How to read bars of two kinds. */
function legend(how: string, { unicode, paint, columns }: Terminal): string {
  const [solid, raised, lowered] = unicode ? ["█", "▓", "░"] : ["#", "+", "."];
  return paint.dim(fitStart(`${solid} as the model has it  ${raised} raised, ${lowered} lowered by ${how}`, columns() - 1, ellipsis(unicode)));
}

/** What fell out of the context so far. */
class Forgotten {
  readonly #first: Token[] = [];
  #count = 0;

  /** True the first time that something fell out. */
  add({ dropped }: Step): boolean {
    if (dropped.length === 0) return false;
    const isFirst = this.#count === 0;
    if (isFirst) this.#first.push(...dropped);
    this.#count += dropped.length;
    return isFirst;
  }

  get count(): number {
    return this.#count;
  }

  /** What fell out the first time. */
  get first(): readonly Token[] {
    return this.#first;
  }
}

function droppedNotice(dropped: readonly Token[], terminal: Terminal): string {
  const more = "; more will follow";
  return droppedLine(dropped, terminal, terminal.columns() - more.length - 2) + more;
}

/** `fell out of the context: "Once upon a time"`. */
function droppedLine(dropped: readonly Token[], terminal: Terminal, columns: number): string {
  const words = `${counted(dropped.length, "token")} fell out of the context: `;
  const text = escaped(dropped.map((token) => token.text).join(""), terminal.unicode);
  return `${words}"${fitEnd(text, Math.max(12, columns - words.length - 3), ellipsis(terminal.unicode))}"`;
}

const reasons: Readonly<Record<EndReason, string>> = {
  length: "stopped at --max-tokens",
  stop: "stopped before the --stop text",
  "end-of-text": "the model ended the text",
  "context-full": "the context is full",
  aborted: "interrupted",
};

async function tellEnd({ session, options }: Told, end: GenerateEnd, forgotten: Forgotten): Promise<void> {
  const speed = end.seconds > 0 ? ` (${rate(perSecond(end.tokens, end.seconds))} tokens/s)` : "";
  const how = describeSampling(options);
  const parts = [
    `${counted(end.tokens, "token")} in ${duration(end.seconds)}${speed}`,
    reasons[end.reason],
    ...(how === "" ? [] : [how]),
    ...(forgotten.count > 0 ? [`${counted(forgotten.count, "token")} fell out of the context`] : []),
    ...(options.temperature === 0 ? [] : [`--seed ${options.seed} gives it again`]),
  ];
  await session.hint(parts.join(session.talk.terminal.unicode ? " · " : ", "));
}
