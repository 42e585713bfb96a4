/**
 * How the tokens of a text are shown as prose. A character split over several tokens (emoji, rare scripts) stands whole in the first of them;
 * line breaks keep a visible mark, so that they can be pointed at.
 */

export interface PieceSource {
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly special: boolean;
}

export interface Piece {
  readonly text: string;
  /** word: as it reads. split: part of the character that stands in a piece before it. special: a mark of the model's own, such as its start of text. */
  readonly kind: "word" | "split" | "special";
}

const replacement = "\u{fffd}";
/** A character has at most four bytes, so a longer run of parts of characters is no character. */
const longestRun = 4;

export function piecesOf(tokens: readonly PieceSource[]): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token.special) pieces.push({ text: token.text, kind: "special" });
    else if (!token.text.includes(replacement)) pieces.push({ text: token.text, kind: "word" });
    else {
      const run = wholeRun(tokens, at);
      pieces.push({ text: run?.text ?? token.text, kind: "word" });
      for (let i = 1; i < (run?.length ?? 1); i++) pieces.push({ text: "·", kind: "split" });
      at += (run?.length ?? 1) - 1;
    }
  }
  return pieces;
}

/** The fewest tokens from `at` on whose bytes are whole characters. */
function wholeRun(tokens: readonly PieceSource[], at: number): { readonly text: string; readonly length: number } | undefined {
  const bytes: number[] = [];
  for (let length = 1; length <= longestRun && at + length <= tokens.length; length++) {
    const token = tokens[at + length - 1];
    if (token.special) return undefined;
    bytes.push(...token.bytes);
    try {
      return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes)), length };
    } catch {
      // not whole yet
    }
  }
  return undefined;
}
