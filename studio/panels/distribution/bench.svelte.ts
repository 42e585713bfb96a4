/** What this panel remembers while the visitor looks at another one. The knobs themselves are the studio's. */
import { lectureAfter, lectureMoves } from "./lecture.ts";

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
