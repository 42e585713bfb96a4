/**
 * Stop strings, found across token boundaries.
 * Text that may be the beginning of a stop string is held back until it is certain; generate.ts decides what ending means.
 */
import { VitrineError } from "../base/errors.ts";

export interface Stopper {
  /** Takes the next piece of text and gives what is certainly not part of a stop string. Once `stopped`, `text` ended just before the string. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** What was held back, when no more text will come. */
  end(): string;
}

/**
 * Stops before the earliest occurrence of any of `stops`. Every character comes out at most once and in order.
 * Throws VitrineError for an empty stop string.
 */
export function stopper(stops: readonly string[]): Stopper {
  for (const stop of stops) {
    if (typeof stop !== "string" || stop === "")
      throw new VitrineError(`stop: ${JSON.stringify(stop)} is not a stop string; expected at least one character`);
  }
  let held = "";
  return {
    push: (text) => {
      held += text;
      const found = firstOf(held, stops);
      const certain = found >= 0 ? found : held.length - unsure(held, stops);
      const out = held.slice(0, certain);
      held = found >= 0 ? "" : held.slice(certain);
      return { text: out, stopped: found >= 0 };
    },
    end: () => {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

/** Where the earliest stop string begins; -1 when there is none. */
function firstOf(text: string, stops: readonly string[]): number {
  let first = -1;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at >= 0 && (first < 0 || at < first)) first = at;
  }
  return first;
}

/** Length of the longest end of `text` that begins some stop string. */
function unsure(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
