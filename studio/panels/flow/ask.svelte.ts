/** A question to the worker that is asked again whenever what it depends on changes. The last answer stays until the new one is there. */
import { isGivenUp } from "../../engine/engine-client.ts";

export interface Answer<T> {
  readonly value: T | undefined;
  /** A newer one is on its way. */
  readonly waiting: boolean;
  /** Why there is none, in plain words. */
  readonly failure: string;
}

/** To be called while a component is made. `question` gives undefined where there is nothing to ask. */
export function ask<T>(question: () => ((signal: AbortSignal) => Promise<T>) | undefined, pause = 30): Answer<T> {
  let value = $state.raw<T | undefined>(undefined);
  let waiting = $state(false);
  let failure = $state("");

  $effect(() => {
    const work = question();
    if (!work) {
      value = undefined;
      waiting = false;
      return;
    }
    const control = new AbortController();
    waiting = true;
    const timer = setTimeout(() => void run(work, control.signal), pause);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  });

  async function run(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<void> {
    try {
      const found = await work(signal);
      if (signal.aborted) return;
      value = found;
      failure = "";
    } catch (error) {
      if (signal.aborted || isGivenUp(error)) return;
      failure = error instanceof Error ? error.message : String(error);
    }
    waiting = false;
  }

  return {
    get value() {
      return value;
    },
    get waiting() {
      return waiting;
    },
    get failure() {
      return failure;
    },
  };
}
