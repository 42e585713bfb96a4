/**
 * What every command works with: its streams, the models it can open, and the moment it should stop.
 */
import { createReadStream } from "node:fs";
import { quoted, VitrineError } from "../base/errors.ts";
import type { Io } from "./io.ts";
import { Output, processInterrupt, readAll } from "./io.ts";
import type { Models } from "./models.ts";
import { wrapWords } from "./width.ts";

export interface Session {
  readonly io: Io;
  /** Text: what a program or a file wants. */
  readonly out: Output;
  /** Talk: what a person wants to know beside it. */
  readonly talk: Output;
  readonly models: Models;
  /** Aborted by Ctrl-C, or when nobody reads the output any more. */
  readonly stop: AbortSignal;
  readonly isInterrupted: () => boolean;
  /** A line for people, only where one is watching. */
  hint(text: string): Promise<void>;
  /** A line about what happened to the request, also where nobody is watching: logs should have it. */
  notice(text: string): Promise<void>;
}

/** Opens a session; the function given back ends its listening to Ctrl-C. */
export function openSession(io: Io, models: Models): { session: Session; close: () => void } {
  const out = new Output(io.stdout, io.env);
  const talk = io.stderr === io.stdout ? out : new Output(io.stderr, io.env);
  const interrupt = new AbortController();
  const close = (io.onInterrupt ?? processInterrupt)(() => interrupt.abort());
  const notice = async (text: string): Promise<void> => {
    const { isTTY, paint, columns } = talk.terminal;
    await talk.line(isTTY ? paint.dim(wrapWords(text, columns() - 1)) : text);
  };
  const session: Session = {
    io,
    out,
    talk,
    models,
    stop: AbortSignal.any([interrupt.signal, out.gone]),
    isInterrupted: () => interrupt.signal.aborted,
    hint: async (text) => {
      if (talk.terminal.isTTY) await notice(text);
    },
    notice,
  };
  return { session, close };
}

/** Runs a command's work with an open session and keeps its exit code. */
export type Run = (work: (session: Session) => Promise<number>) => Promise<void>;

/** How long to wait for a prompt from a silent pipe before saying what we wait for. */
const silence = 1500;

/**
 * The text a command was given: as words, as `--file`, as `-` for standard input, or from a pipe when nothing was named.
 * Undefined when there is none, which happens only at a terminal. One line break at the end of a file or pipe is left out, since tools add one.
 */
export async function givenText(session: Session, words: readonly string[], file: string | undefined): Promise<string | undefined> {
  if (file !== undefined && words.length > 0) throw new VitrineError(`a text and --file ${quoted(file)} were both given; give one of them`);
  if (file !== undefined && file !== "-") return withoutLastBreak(await readTextFile(file, session.stop));
  if (words.length > 0 && !(words.length === 1 && words[0] === "-")) return words.join(" ");
  const asked = file === "-" || words.length === 1;
  if (session.io.stdin.isTTY && !asked) return undefined;
  return withoutLastBreak(await readStdin(session));
}

async function readStdin({ io, talk, stop }: Session): Promise<string> {
  const hint = setTimeout(() => void talk.line("(reading the text from standard input; end it with Ctrl-D)"), silence);
  io.stdin.once("data", () => clearTimeout(hint));
  try {
    return await readAll(io.stdin, stop);
  } finally {
    clearTimeout(hint);
  }
}

async function readTextFile(path: string, stop: AbortSignal): Promise<string> {
  try {
    return await readAll(createReadStream(path), stop);
  } catch (error) {
    if (error instanceof VitrineError) throw new VitrineError(`--file ${quoted(path)}: ${error.message}`, { cause: error });
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EISDIR"
          ? "it is a folder"
          : code === "EACCES"
            ? "no permission to read it"
            : (error as Error).message;
    throw new VitrineError(`--file ${quoted(path)}: ${why}; check the path`, { cause: error });
  }
}

function withoutLastBreak(text: string): string {
  return text.replace(/\r?\n$/, "");
}
