/**
 * The errors Vitrine raises on purpose.
 * A message says the operation, what came, what was expected, and the cure; doors print `message` alone.
 * Anything that is not a VitrineError is a bug of ours and is shown as `internal: ...`.
 */

/** Whose fault it is decides the exit code: "request" (2: asked wrongly, bad file) or "work" (1: disk full, network down). */
export type Blame = "request" | "work";

export class VitrineError extends Error {
  override readonly name: string = "VitrineError";
  readonly blame: Blame;

  constructor(message: string, options: { blame?: Blame; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
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

/**
 * The candidate nearest to `word` by edit distance, for "did you mean ...?".
 * Undefined when nothing is near enough (more than a third of the letters differ).
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance with one row of memory. */
function editDistance(a: string, b: string): number {
  const row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    let diagonal = row[0];
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const substituted = diagonal + (a[i - 1] === b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = Math.min(substituted, row[j] + 1, row[j - 1] + 1);
    }
  }
  return row[b.length];
}
