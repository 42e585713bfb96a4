/**
 * The streams a command talks through: text to stdout, talk to stderr, a prompt from stdin, Ctrl-C.
 * A reader that goes away (a closed pipe) is no error: the command just stops working for it.
 */
import type { Readable, Writable } from "node:stream";
import { VitrineError } from "../base/errors.ts";
import type { Environment, Screen, Terminal } from "./terminal.ts";
import { terminalOf } from "./terminal.ts";

export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & Screen;
  readonly stderr: Writable & Screen;
  readonly env: Environment;
  /** Calls `listener` at the first Ctrl-C; gives a function that stops listening. Default: the process's SIGINT. */
  readonly onInterrupt?: (listener: () => void) => () => void;
}

/** One stream to write to. After the reader has gone, writing does nothing. */
export class Output {
  readonly terminal: Terminal;
  readonly #stream: Writable;
  readonly #gone = new AbortController();
  #failure: VitrineError | undefined;
  /** Whether the last character written ended a line. */
  #atLineStart = true;

  constructor(stream: Writable & Screen, env: Environment) {
    this.terminal = terminalOf(stream, env);
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => this.#fail(error));
    stream.on("close", () => this.#gone.abort());
  }

  /** Aborted when nobody reads any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Why writing failed, when it was more than a reader who had enough. */
  get failure(): VitrineError | undefined {
    return this.#failure;
  }

  get atLineStart(): boolean {
    return this.#atLineStart;
  }

  /** Resolves when the stream takes more, so that a slow reader slows the writer down instead of filling memory. */
  write(text: string): Promise<void> {
    if (text === "" || this.#gone.signal.aborted) return Promise.resolve();
    this.#atLineStart = text.endsWith("\n");
    if (this.#stream.write(text)) return Promise.resolve();
    return this.#settled((done) => this.#stream.once("drain", done));
  }

  line(text = ""): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** Ends a line that was begun. */
  async endLine(): Promise<void> {
    if (!this.#atLineStart) await this.write("\n");
  }

  /** Resolves when everything written has left the process, or nobody wants it. */
  flush(): Promise<void> {
    if (this.#gone.signal.aborted) return Promise.resolve();
    return this.#settled((done) =>
      this.#stream.write("", (error) => {
        if (error) this.#fail(error); // told here before it is an event
        done();
      }),
    );
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED" && error.code !== "EOF") {
      this.#failure ??= new VitrineError(`cannot write the output: ${error.message}`, { blame: "work", cause: error });
    }
    this.#gone.abort();
  }

  #settled(wait: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#gone.signal.removeEventListener("abort", done);
        resolve();
      };
      this.#gone.signal.addEventListener("abort", done, { once: true });
      wait(done);
    });
  }
}

/** Signals this close together, in milliseconds, are one key press: npx and the terminal both pass it on. */
const samePress = 300;

/** What the process does about Ctrl-C and SIGTERM: one ends the work cleanly, a later one finds the default again and kills. */
export function processInterrupt(listener: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const off = (): void => {
    clearTimeout(timer);
    process.off("SIGINT", hear).off("SIGTERM", hear);
  };
  const hear = (): void => {
    if (timer !== undefined) return;
    timer = setTimeout(off, samePress).unref();
    listener();
  };
  process.on("SIGINT", hear).on("SIGTERM", hear);
  return off;
}

/** A text beyond this is an endless pipe or device, or more than memory holds. */
const longestText = 256 * 2 ** 20;

/** All of a stream as text: UTF-8, a leading byte order mark left out. */
export async function readAll(stream: Readable, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  const stop = (): void => void stream.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of stream) {
      text += typeof chunk === "string" ? chunk : decoder.decode(chunk as Uint8Array, { stream: true });
      if (text.length > longestText) throw new VitrineError(`the text is longer than ${longestText / 2 ** 20} million characters; cut it into parts`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
  return text + decoder.decode();
}
