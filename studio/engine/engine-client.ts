/**
 * The page's side of the engine: typed calls to the worker, and the pure functions of the library that sliders need at once,
 * so that the page computes a softmax with the very code that the worker, the command and the server use.
 * The only file of the page that imports src/ (protocol.ts has its types).
 */
import type { Answer, Ask, CallName, EngineCalls } from "./protocol.ts";

export { distributionOf, divergence, presetConfig, presetNames, randomFrom, retemper, sampler, tally } from "../../src/exports.ts";
export type { CompleteDistribution } from "../../src/exports.ts";

/** A message of the engine's own, in plain words; `internal` ones are our bugs. */
export class EngineError extends Error {
  readonly internal: boolean;

  constructor(message: string, internal: boolean) {
    super(message);
    this.internal = internal;
  }
}

export interface EngineEvents {
  progress?(done: number, total: number): void;
  note?(note: string): void;
}

export class EngineClient {
  readonly #worker: Worker;
  readonly #events: EngineEvents;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  #next = 0;
  /** Why no call can ever be answered. */
  #broken: string | undefined;

  constructor(events: EngineEvents = {}) {
    this.#events = events;
    const page = new URL("./", document.baseURI).href;
    this.#worker = new Worker(new URL("./engine-worker.ts", import.meta.url), { type: "module", name: page });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => this.#hear(data));
    this.#worker.addEventListener("error", (event) => {
      if (!(event instanceof ErrorEvent)) this.#broken = "the engine's worker did not start; reload the page when there is network";
      this.#fail(this.#broken ?? event.message);
    });
  }

  /** Asks the worker. Rejects with EngineError; with an AbortError when `signal` gives the call up. */
  call<Name extends CallName>(call: Name, args: Parameters<EngineCalls[Name]>, signal?: AbortSignal): Promise<ReturnType<EngineCalls[Name]>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(new DOMException("given up", "AbortError"));
        return;
      }
      if (this.#broken !== undefined) {
        reject(new EngineError(this.#broken, false));
        return;
      }
      const id = this.#next++;
      const giveUp = (): void => {
        this.#waiting.delete(id);
        this.#send({ cancel: id });
        reject(new DOMException("given up", "AbortError"));
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      const done = (): void => signal?.removeEventListener("abort", giveUp);
      this.#waiting.set(id, {
        resolve: (value) => (done(), resolve(value as ReturnType<EngineCalls[Name]>)),
        reject: (error) => (done(), reject(error)),
      });
      this.#send({ id, call, args });
    });
  }

  dispose(): void {
    this.#worker.terminate();
    this.#fail("the engine was closed");
  }

  #send(ask: Ask): void {
    this.#worker.postMessage(ask, []);
  }

  #hear(answer: Answer): void {
    if ("progress" in answer) this.#events.progress?.(answer.progress.done, answer.progress.total);
    else if ("note" in answer) this.#events.note?.(answer.note);
    else {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("error" in answer) waiting?.reject(new EngineError(answer.error, answer.internal));
      else waiting?.resolve(answer.value);
    }
  }

  #fail(message: string): void {
    for (const { reject } of this.#waiting.values()) reject(new EngineError(message, true));
    this.#waiting.clear();
  }
}

/** True for the error of a call that was given up: nobody needs to hear of it. */
export function isGivenUp(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
