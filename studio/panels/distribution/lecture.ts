/**
 * The lecture's example of a softmax: seven words with logits chosen by hand, the moves made with them, and then the temperatures.
 * Only numbers: they go through the same softmax as a model's.
 */

export const lectureWords: readonly string[] = ["Dumbledore", "Flitwick", "McGonagall", "Quirrell", "Snape", "Sprout", "Trelawney"];
export const lectureLogits: readonly number[] = [-0.8, -5, 0.5, 1.5, 3.4, -2.3, 2.5];
/** Logits are moved within this on both sides. */
export const lectureRange = 10;

export type Move = { readonly word: number; readonly logit: number } | { readonly temperature: number };

const at = (word: string, logit: number): Move => ({ word: lectureWords.indexOf(word), logit });

/** In the order of the lecture; each builds on those before it. */
export const lectureMoves: readonly Move[] = [
  at("Trelawney", 4),
  at("Snape", 4.2),
  at("McGonagall", 4),
  at("Dumbledore", 6),
  at("Snape", 9.9),
  ...[4, 10, 2, 0, 5, 1, 7].map((temperature) => ({ temperature })),
];

export interface LectureState {
  readonly logits: readonly number[];
  readonly temperature: number;
}

/** After the first `count` moves. */
export function lectureAfter(count: number): LectureState {
  const logits = [...lectureLogits];
  let temperature = 1;
  for (const move of lectureMoves.slice(0, count)) {
    if ("word" in move) logits[move.word] = move.logit;
    else ({ temperature } = move);
  }
  return { logits, temperature };
}
