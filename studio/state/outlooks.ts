/** What comes next after a text, asked once: several panels ask the same about the same text. */
import type { EngineClient } from "../engine/engine-client.ts";
import type { Outlook } from "../engine/protocol.ts";

/** Answers kept. */
const most = 64;

export class Outlooks {
  readonly #engine: EngineClient;
  readonly #kept = new Map<string, Promise<Outlook>>();

  constructor(engine: EngineClient) {
    this.#engine = engine;
  }

  /** `given`: how many of the ids were given at once; where the window begins follows from it. */
  after(ids: readonly number[], given: number, context: number): Promise<Outlook> {
    if (ids.length === 0) return Promise.reject(new DOMException("nothing before it", "AbortError"));
    const key = `${given}|${context}|${ids.join(",")}`;
    let found = this.#kept.get(key);
    if (!found) {
      found = this.#engine.call("outlook", [ids, given, context]);
      found.catch(() => this.#kept.delete(key));
      this.#kept.set(key, found);
      if (this.#kept.size > most) this.#kept.delete(this.#kept.keys().next().value!);
    }
    return found;
  }

  forget(): void {
    this.#kept.clear();
  }
}
