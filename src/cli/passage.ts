/**
 * The text so far, token by token: which part the model still sees, which part fell out of its context, which word is new.
 * One line of it stands between two charts; bars.ts draws the charts.
 */
import type { Token, Tokenizer } from "../tokenizer/tokenizer.ts";
import { ellipsis, highlight } from "./bars.ts";
import type { Terminal } from "./terminal.ts";
import { escaped } from "./visible.ts";
import { fitEnd, fitStart, widthOf } from "./width.ts";

/** The text of one generation; `add` keeps up with its steps. */
export class Passage {
  /** What each token added to the text. */
  readonly #pieces: string[];
  readonly #promptLength: number;
  #forgotten = 0;

  constructor(prompt: readonly Token[], tokenizer: Tokenizer) {
    const decoder = tokenizer.decoder();
    this.#pieces = prompt.map((token) => decoder.push(token.id));
    this.#promptLength = prompt.length;
  }

  /** `text` is what became readable with a new token; `dropped` tokens fell out of the context to make room for it. */
  add(text: string, dropped: number): void {
    this.#pieces.push(text);
    this.#forgotten += dropped;
  }

  /** Everything written, the prompt included. */
  get text(): string {
    return this.#pieces.join("");
  }

  /**
   * The end of the text on one line of at most `columns`: the new word (`label` if it has no text of its own) highlighted, or in [ ] without colour;
   * what the model no longer sees dim and before a ┆.
   */
  line(terminal: Terminal, columns: number, label: string): string {
    const { paint, unicode, colour } = terminal;
    const fresh = this.#pieces.length > this.#promptLength;
    const last = this.#pieces.length - (fresh ? 1 : 0);
    const show = (from: number, to: number): string => lineOf(this.#pieces.slice(from, to).join(""), unicode);

    const brackets = colour ? 0 : 2;
    const word = fresh
      ? fitStart(this.#pieces[last] === "" ? label : lineOf(this.#pieces[last], unicode), columns - 1 - brackets - 8, ellipsis(unicode))
      : "";
    const room = columns - 1 - (fresh ? widthOf(word) + brackets : 0);
    const forgotten = show(0, Math.min(this.#forgotten, last));
    const bar = forgotten === "" ? "" : unicode ? "┆" : "|";
    const prompt = show(Math.min(this.#forgotten, last), Math.max(this.#forgotten, this.#promptLength));
    const rest = show(Math.max(this.#forgotten, this.#promptLength), last);
    const visible = fitEnd(forgotten + bar + prompt + rest, room, ellipsis(unicode));

    // Colours by counting from the end, since the beginning may have been cut.
    const restAt = Math.max(0, visible.length - rest.length);
    const promptAt = Math.max(0, restAt - prompt.length);
    const painted = paint.dim(visible.slice(0, promptAt)) + paint.hex("#3b9ccc")(visible.slice(promptAt, restAt)) + visible.slice(restAt);
    if (!fresh) return painted;
    return painted + (colour ? highlight(terminal, word) : `[${word}]`);
  }
}

/** On one line: a line break is ⏎. */
function lineOf(text: string, unicode: boolean): string {
  return unicode ? escaped(text.replaceAll("\n", "⏎"), true) : escaped(text, false);
}
