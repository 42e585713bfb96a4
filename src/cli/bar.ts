/**
 * One horizontal bar, an eighth of a column exact: what was drawn from, and beside it what the model itself thought.
 * Which bars stand under each other is bars.ts.
 */
import type { Terminal } from "./terminal.ts";

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Teal and yellow: the ends of the scale of probability. */
const teal = [0x5c, 0xd0, 0xb3] as const;
const yellow = [0xff, 0xdd, 0x33] as const;

/** A style by probability, teal for 0 to yellow for 1. The square root gives small probabilities a share of the scale. */
export function heat(terminal: Terminal, p: number): (text: string) => string {
  const t = Math.sqrt(Math.min(1, Math.max(0, p)));
  const [r, g, b] = teal.map((low, i) => Math.round(low + (yellow[i] - low) * t));
  return terminal.paint.rgb(r, g, b);
}

/** A plain bar of `value` on a scale that ends at `full`, at most `columns` long and cut there. */
export function bar(value: number, full: number, columns: number, unicode: boolean): string {
  const length = Math.min(columns, (value / full) * columns);
  if (!unicode) return "#".repeat(Math.round(length));
  const steps = Math.round(length * 8);
  return "█".repeat(Math.floor(steps / 8)) + eighths[steps % 8];
}

/** A plain bar in two parts: what is common to both probabilities, and the difference with the sign of who has more. */
export interface BarParts {
  /** The smaller of the two. */
  readonly solid: string;
  /** What temperature, filters or penalties gave (drawn > own). */
  readonly gained: string;
  /** What they took away (drawn < own). */
  readonly lost: string;
}

/**
 * The bar of a probability that was changed from `own` to `drawn`: solid up to the smaller one, then ▓ for what was gained or ░ for what was lost.
 * Together never longer than `columns`. Where both are equal it is the plain bar.
 */
export function changedBar(own: number, drawn: number, full: number, columns: number, unicode: boolean): BarParts {
  const cells = (value: number): number => Math.min(columns, Math.round((value / full) * columns));
  if (drawn > own) {
    const solid = (unicode ? "█" : "#").repeat(cells(own));
    return { solid, gained: (unicode ? "▓" : "+").repeat(cells(drawn) - cells(own)), lost: "" };
  }
  const solid = bar(drawn, full, columns, unicode);
  return { solid, gained: "", lost: (unicode ? "░" : ".").repeat(Math.max(0, cells(own) - solid.length)) };
}

/** The first of 1, 0.5, 0.25, 0.1, 0.05 ... that still holds `largest`, so that flat distributions fill the width too. The axis says which. */
export function scaleFor(largest: number): number {
  let full = 1;
  for (let power = 1; power > 1e-6; power /= 10) {
    for (const part of [1, 0.5, 0.25]) {
      if (largest > part * power) return full;
      full = part * power;
    }
  }
  return full;
}
