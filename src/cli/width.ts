/**
 * How many columns of a terminal a text takes, and cutting it to fit: the job of `wcwidth`, per grapheme.
 * What cannot be printed as it is (control characters and the like) is made visible first, in visible.ts.
 */

/** Unicode 16, East_Asian_Width W and F, from U+1100 up, neighbouring ranges joined. Emoji are found by their property. */
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f], [0x231a, 0x231b], [0x2329, 0x232a], [0x23e9, 0x23ec], [0x23f0, 0x23f0], [0x23f3, 0x23f3], [0x2630, 0x2637], [0x268a, 0x268f],
  [0x2e80, 0x303e], [0x3041, 0x3247], [0x3250, 0xa4cf], [0xa960, 0xa97c], [0xac00, 0xd7a3], [0xf900, 0xfaff], [0xfe10, 0xfe19], [0xfe30, 0xfe6b],
  [0xff01, 0xff60], [0xffe0, 0xffe6], [0x16fe0, 0x18df2], [0x1aff0, 0x1b2fb], [0x1d300, 0x1d356], [0x1d360, 0x1d376], [0x1f200, 0x1f265],
  [0x20000, 0x3fffd],
]; // prettier-ignore

const plain = /^[\x20-\x7e]*$/;
const invisible = /^[\p{Mn}\p{Me}\p{Cc}\p{Cf}\u1160-\u11ff]*$/u;
const emoji = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|[0-9#*]\ufe0f?\u20e3/u;

let segmenter: Intl.Segmenter | undefined;

/** The graphemes (what a reader counts as characters) of a text. */
export function graphemes(text: string): string[] {
  if (plain.test(text)) return text.split("");
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), (part) => part.segment);
}

/** Columns of a text without escape sequences. */
export function widthOf(text: string): number {
  if (plain.test(text)) return text.length;
  return graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0);
}

function graphemeWidth(grapheme: string): number {
  if (invisible.test(grapheme)) return 0;
  if (emoji.test(grapheme)) return 2;
  return isWide(grapheme.codePointAt(0)!) ? 2 : 1;
}

function isWide(code: number): boolean {
  return code >= 0x1100 && wideRanges.some(([first, last]) => code >= first && code <= last);
}

/** The beginning of `text` that fits into `columns`, ending in `mark` if something is missing. */
export function fitStart(text: string, columns: number, mark: string): string {
  if (widthOf(text) <= columns) return text;
  return takeWidth(graphemes(text), columns - widthOf(mark)).join("") + mark;
}

/** The end of `text` that fits into `columns`, beginning with `mark` if something is missing. */
export function fitEnd(text: string, columns: number, mark: string): string {
  if (widthOf(text) <= columns) return text;
  return (
    mark +
    takeWidth(graphemes(text).reverse(), columns - widthOf(mark))
      .reverse()
      .join("")
  );
}

/** As many of the first graphemes as fit. */
function takeWidth(parts: readonly string[], columns: number): string[] {
  let used = 0;
  const end = parts.findIndex((part) => (used += graphemeWidth(part)) > columns);
  return parts.slice(0, end < 0 ? parts.length : end);
}

/** `text` filled up with spaces on the right; cut when it is too long. */
export function padEnd(text: string, columns: number, mark: string): string {
  const fitted = fitStart(text, columns, mark);
  return fitted + " ".repeat(Math.max(0, columns - widthOf(fitted)));
}

/** `text` filled up with spaces on the left; never cut. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - widthOf(text))) + text;
}

/** `text` with line breaks instead of the spaces where a line would not fit. Words longer than a line stay whole. */
export function wrapWords(text: string, columns: number): string {
  return text.split("\n").map((line) => wrapLine(line, columns)).join("\n"); // prettier-ignore
}

function wrapLine(line: string, columns: number): string {
  if (widthOf(line) <= columns) return line;
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(/(?<=\S) /)) {
    const longer = current === "" ? word : `${current} ${word}`;
    if (current !== "" && widthOf(longer) > columns) [lines[lines.length], current] = [current, word];
    else current = longer;
  }
  return [...lines, current].join("\n");
}

/** The lines of `text` at most `columns` wide: broken at spaces, and inside a word that is longer than a line. */
export function foldWords(text: string, columns: number): string[] {
  return wrapWords(text, columns).split("\n").flatMap((line) => cutEvery(line, columns)); // prettier-ignore
}

function cutEvery(line: string, columns: number): string[] {
  const lines: string[] = [];
  let rest = graphemes(line);
  do {
    const part = takeWidth(rest, columns);
    const count = Math.max(1, part.length); // a grapheme wider than the line goes alone
    lines.push(rest.slice(0, count).join(""));
    rest = rest.slice(count);
  } while (rest.length > 0);
  return lines;
}
