/** A question to the worker that is asked again whenever what it depends on changes. The last answer stays until the new one is there. */
import { isGivenUp } from "../../engine/engine-client.ts";

export class Answer<T> {
  value: T | undefined = $state.raw(undefined);
  waiting: boolean = $state(false);
  failure: string = $state("");
}

/** To be called while a component is made. `question` gives undefined where there is nothing to ask. */
export function ask<T>(question: () => ((signal: AbortSignal) => Promise<T>) | undefined, pause = 30): Answer<T> {
  const answer = new Answer<T>();
  $effect(() => {
    const work = question();
    if (!work) {
      answer.value = undefined;
      answer.waiting = false;
      return;
    }
    const control = new AbortController();
    answer.waiting = true;
    const timer = setTimeout(() => void run(), pause);
    async function run(): Promise<void> {
      try {
        const value = await work!(control.signal);
        if (control.signal.aborted) return;
        answer.value = value;
        answer.failure = "";
      } catch (error) {
        if (control.signal.aborted || isGivenUp(error)) return;
        answer.failure = error instanceof Error ? error.message : String(error);
      }
      answer.waiting = false;
    }
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  });
  return answer;
}
