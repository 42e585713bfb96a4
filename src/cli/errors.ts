/**
 * From whatever was thrown to one line for people and an exit code: 0 done, 1 the work failed, 2 the request was wrong.
 */
import { VitrineError } from "../base/errors.ts";

export interface Verdict {
  readonly message: string;
  readonly exitCode: number;
}

/** Ctrl-C, as shells expect it: 128 + SIGINT. */
export const interrupted = 130;

/**
 * A VitrineError speaks for itself. Everything else is a bug of ours, said so, and without its stack unless VITRINE_DEBUG is set.
 */
export function verdictOn(error: unknown): Verdict {
  if (error instanceof VitrineError) return { message: error.message, exitCode: error.blame === "work" ? 1 : 2 };
  if (isOutOfMemory(error)) return { message: `out of memory: ${error.message}; use a smaller model or a shorter --context`, exitCode: 1 };
  const said = error instanceof Error ? error.message : String(error);
  const message = said.startsWith("internal:") ? said : `internal: ${said}`;
  return { message: `${message}; this is a bug of ours, please report it with the command (VITRINE_DEBUG=1 shows where)`, exitCode: 1 };
}

function isOutOfMemory(error: unknown): error is Error {
  return error instanceof RangeError && /allocat|memory|Array buffer|Invalid typed array length/i.test(error.message);
}

/** The stack with its causes, for VITRINE_DEBUG. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause) || String(error.cause)}`;
  return (error.stack ?? error.message) + cause;
}
