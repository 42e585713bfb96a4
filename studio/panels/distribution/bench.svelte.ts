/** What this panel remembers while the visitor looks at another one. The knobs themselves are the studio's. */
import type { Told } from "../../state/asked.ts";
import { studio } from "../../state/studio.svelte.ts";
import { views } from "../../state/views.svelte.ts";
import { highest } from "./curve.ts";
import { lectureAfter, lectureMoves, lectureRange, lectureWords } from "./lecture.ts";

/** The lecture's example has knobs of its own, so that playing with it leaves the text alone. */
class Lecture {
  logits: readonly number[] = $state.raw(lectureAfter(0).logits);
  temperature: number = $state(1);
  topK: number = $state(0);
  topP: number = $state(1);
  minP: number = $state(0);
  /** How many of the lecture's moves were made. */
  moves: number = $state(0);

  goTo(count: number): void {
    this.moves = Math.max(0, Math.min(lectureMoves.length, count));
    const { logits, temperature } = lectureAfter(this.moves);
    Object.assign(this, { logits, temperature, topK: 0, topP: 1, minP: 0 });
  }

  set(word: number, logit: number): void {
    this.logits = this.logits.with(word, logit);
  }
}

class Bench {
  mode: "model" | "lecture" = $state("model");
  view: "bars" | "steps" = $state("bars");
  /** The axis of shares: up to 100 %, or up to the largest one. */
  axis: "whole" | "largest" = $state("whole");
  /** Rows added by searching. */
  pinned: readonly number[] = $state.raw([]);
  /** Its share is drawn on the curve beside the top token's. */
  followed: number | undefined = $state(undefined);
  readonly lecture: Lecture = new Lecture();
  #model: string | undefined;

  /** Ids mean other tokens in another model. */
  belongsTo(model: string): void {
    if (this.#model !== undefined && this.#model !== model) {
      this.pinned = [];
      this.followed = undefined;
    }
    this.#model = model;
  }
}

export const bench = new Bench();

/** Rows added by searching that an address holds. */
const mostPinned = 24;

views.describe("distribution", {
  tell: () => ({ mode: bench.mode, view: bench.view, axis: bench.axis, ...(bench.mode === "lecture" ? tellLecture() : tellModel()) }),
  take: (asked) => {
    bench.mode = asked.one("mode", ["model", "lecture"]) ?? bench.mode;
    bench.view = asked.one("view", ["bars", "steps"]) ?? bench.view;
    bench.axis = asked.one("axis", ["whole", "largest"]) ?? bench.axis;
    const { lecture } = bench;
    const lastId = (bench.mode === "lecture" ? lectureWords.length : (studio.model?.info.vocabularySize ?? 0)) - 1;
    bench.followed = asked.whole("follow", 0, lastId);
    if (bench.mode === "model") {
      bench.pinned = [...new Set(asked.wholes("pinned", 0, lastId, mostPinned))];
      return;
    }
    lecture.moves = asked.whole("moves", 0, lectureMoves.length) ?? lecture.moves;
    const logits = asked.numbers("logits", -lectureRange, lectureRange, lectureWords.length);
    if (logits?.length === lectureWords.length) lecture.logits = logits;
    lecture.temperature = asked.number("t", 0, highest) ?? lecture.temperature;
    lecture.topK = asked.whole("k", 0, 1e6) ?? lecture.topK;
    lecture.topP = asked.number("tp", 0.01, 1) ?? lecture.topP;
    lecture.minP = asked.number("mp", 0, 1) ?? lecture.minP;
  },
});

function tellModel(): Readonly<Record<string, Told>> {
  return { follow: bench.followed, pinned: bench.pinned.length > 0 ? bench.pinned.slice(-mostPinned) : undefined };
}

function tellLecture(): Readonly<Record<string, Told>> {
  const { moves, logits, temperature, topK, topP, minP } = bench.lecture;
  const plain = lectureAfter(0);
  return {
    follow: bench.followed,
    moves: moves === 0 ? undefined : moves,
    logits: logits.every((logit, word) => logit === plain.logits[word]) ? undefined : logits,
    t: temperature === plain.temperature ? undefined : temperature,
    k: topK === 0 ? undefined : topK,
    tp: topP === 1 ? undefined : topP,
    mp: minP === 0 ? undefined : minP,
  };
}
