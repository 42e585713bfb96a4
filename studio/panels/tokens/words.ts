/** The convenient lie: tokens are words. The same text cut at its spaces, and how many tokens each word really is. */

export interface Word {
  readonly text: string;
  /** Tokens that hold some of it; undefined where the tokens do not spell the text byte by byte, or end before it. */
  readonly tokens: number | undefined;
  /** The first of them. */
  readonly first: number;
}

const encoder = new TextEncoder();

/** `pieces`: bytes of the text's first tokens. At most `most` words. */
export function wordsOf(text: string, pieces: readonly Uint8Array[], most: number): { readonly words: readonly Word[]; readonly count: number } {
  const starts = byteStarts(text, pieces);
  const words: Word[] = [];
  let count = 0;
  let first = 0;
  let measured = { characters: 0, bytes: 0 };
  for (const match of text.matchAll(/\S+/g)) {
    count++;
    if (words.length >= most) continue;
    const from = measured.bytes + encoder.encode(text.slice(measured.characters, match.index)).length;
    const to = from + encoder.encode(match[0]).length;
    measured = { characters: match.index + match[0].length, bytes: to };
    let tokens: number | undefined;
    if (starts && to <= starts[starts.length - 1]) {
      while (starts[first + 1] <= from) first++;
      let last = first;
      while (starts[last + 1] < to) last++;
      tokens = last - first + 1;
    }
    words.push({ text: match[0], tokens, first });
  }
  return { words, count };
}

/** Where each piece begins in the text's bytes, and where the last one ends. A space that the tokenizer put before the text does not count. */
function byteStarts(text: string, pieces: readonly Uint8Array[]): readonly number[] | undefined {
  const bytes = encoder.encode(text);
  const all = pieces.flatMap((piece) => [...piece]);
  const added = all.length > 0 && all[0] === 0x20 && bytes[0] !== 0x20 ? 1 : 0;
  for (let i = added; i < all.length; i++) if (all[i] !== bytes[i - added]) return undefined;
  const starts = [-added];
  for (const piece of pieces) starts.push(starts[starts.length - 1] + piece.length);
  return starts;
}
