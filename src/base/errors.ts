/**
 * The errors Vitrine raises on purpose.
 * A message says the operation, what came, what was expected, and the cure; doors print `message` alone.
 * Anything that is not a VitrineError is a bug of ours and is shown as `internal: ...`.
 */

/** Whose fault it is decides the exit code: "request" (2: asked wrongly, bad file) or "work" (1: disk full, network down). */
export type Blame = "request" | "work";

/** An error raised on purpose, whose message people read as it is. `blame` decides the exit code; `cause` is what it came from. */
export class VitrineError extends Error {
  override readonly name: string = "VitrineError";
  readonly blame: Blame;

  constructor(message: string, options: { blame?: Blame; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.blame = options.blame ?? "request";
  }
}

/** Shapes that do not fit together. */
export class ShapeError extends VitrineError {
  override readonly name = "ShapeError";
}

/** A file or folder from outside that does not keep its format's rules. */
export class FormatError extends VitrineError {
  override readonly name = "FormatError";
}

/** A broken promise inside Vitrine: please report it. */
export function internal(message: string): Error {
  return new Error(`internal: ${message}`);
}

/** Text from outside as it may stand in a message: in quotes, on one line, not endless. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}

/**
 * The candidate nearest to `word` for "did you mean ...?": the one it begins (from three letters on), else the one fewest
 * typing slips away (a letter wrong, missing, extra, or two swapped). Undefined when more than about a third of the letters differ.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const typed = word.toLowerCase();
  const limit = Math.ceil(typed.length / 3);
  let best: string | undefined;
  let bestSlips = limit + 1;
  for (const candidate of candidates) {
    const meant = candidate.toLowerCase();
    const begins = typed.length >= 3 && meant.startsWith(typed);
    if (!begins && Math.abs(meant.length - typed.length) > limit) continue;
    const slips = begins ? Math.min(1, meant.length - typed.length) : slipsBetween(typed, meant);
    if (slips < bestSlips && slips < Math.max(typed.length, 1)) [best, bestSlips] = [candidate, slips];
  }
  return best;
}

/** Optimal string alignment distance (Levenshtein with swaps of neighbours), three rows of memory. */
function slipsBetween(a: string, b: string): number {
  let twoUp: number[] = [];
  let up = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(up[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1), up[j] + 1, row[j - 1] + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], twoUp[j - 2] + 1);
    }
    [twoUp, up] = [up, row];
  }
  return up[b.length];
}
