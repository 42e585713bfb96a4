/**
 * A line that says how far something long has come: bar, amount, rate, time left. Redrawn in place, and only for a person to see.
 * Short work (under two seconds) draws nothing.
 */
import { bar } from "./bar.ts";
import type { Output } from "./io.ts";
import { bytes, duration, grouped } from "./numbers.ts";
import { fitStart, widthOf } from "./width.ts";

export interface ProgressOptions {
  readonly title: string;
  readonly unit: "bytes" | "weights" | "tokens";
  /** Silence at the beginning, in milliseconds. */
  readonly after?: number;
  /** Milliseconds, for tests. */
  readonly now?: () => number;
}

export interface ProgressState {
  readonly done: number;
  readonly total: number;
  /** A second; default: the average since the beginning. */
  readonly rate?: number;
  readonly secondsLeft?: number;
  /** Said after the numbers, for example the file under way. */
  readonly detail?: string;
}

const redrawEvery = 100;
/** Columns of a bar that is worth more than a detail. */
const leastBar = 10;

/** One progress line on one output. `update` as often as you like, `clear` before anything else is written. */
export class Progress {
  readonly #output: Output;
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  readonly #begun: number;
  #drawn = -Infinity;
  #shown = false;

  constructor(output: Output, options: ProgressOptions) {
    this.#output = output;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#begun = this.#now();
  }

  update(state: ProgressState): void {
    const now = this.#now();
    if (!this.#output.terminal.isTTY || now - this.#begun < (this.#options.after ?? 2000) || now - this.#drawn < redrawEvery) return;
    this.#drawn = now;
    this.#shown = true;
    void this.#output.write(`\r${this.#line(state, (now - this.#begun) / 1000)}\x1b[K`);
  }

  /** Takes the line away, so that what comes next begins on a clean one. */
  clear(): void {
    if (this.#shown) void this.#output.write("\r\x1b[K");
    this.#shown = false;
  }

  #line(state: ProgressState, seconds: number): string {
    const { done, total, rate = seconds > 0 ? done / seconds : 0 } = state;
    const { terminal } = this.#output;
    const left = state.secondsLeft ?? (rate > 0 ? (total - done) / rate : undefined);
    const share = total > 0 ? Math.min(1, done / total) : 0;
    const amount = this.#options.unit === "bytes" ? bytes : grouped;
    const percent = `${Math.floor(100 * share)} %`.padStart(5);
    const between = terminal.unicode ? " · " : ", ";
    const numbers = [
      `${amount(done)} of ${amount(total)}`,
      ...(rate > 0 ? [`${amount(Math.round(rate))}/s`] : []),
      ...(left !== undefined && done < total ? [`${duration(Math.max(0, left))} left`] : []),
    ].join(between);
    const columns = terminal.columns() - 1;
    const text = `${this.#options.title} ${percent}  ${numbers}`;
    const free = columns - widthOf(text) - 1;
    const detail = state.detail === undefined ? "" : between + state.detail;
    const shown = free - widthOf(detail) >= leastBar ? text + detail : text; // the bar matters more than the detail
    const barColumns = Math.min(24, columns - widthOf(shown) - 1);
    const drawn = barColumns < 3 ? "" : terminal.paint.rgb(0x5c, 0xd0, 0xb3)(bar(share, 1, barColumns, terminal.unicode).padEnd(barColumns)) + " ";
    return drawn + fitStart(shown, columns - (drawn === "" ? 0 : barColumns + 1), terminal.unicode ? "…" : "...");
  }
}
