/**
 * Logits after any text, at the price of what is new in it: the cache keeps the beginning that two questions share.
 * Typing, branching and undoing in the studio all ask about texts that differ only at their end.
 */
import type { KeyValueCache, LanguageModel } from "../../src/exports.ts";

/** Positions per forward pass, so that a long text can be given up half-way. */
const chunk = 256;

export class Reader {
  readonly #model: LanguageModel;
  readonly #cache: KeyValueCache;
  #held: readonly number[] = [];

  constructor(model: LanguageModel) {
    this.#model = model;
    this.#cache = model.cache(1);
  }

  /** (V,) of what follows `ids`, at most the context length of them. Undefined when given up. */
  async logits(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array | undefined> {
    let read = shared(this.#held, ids);
    read = Math.min(read, ids.length - 1); // the last one is read again: its logits are not kept
    this.#cache.truncate(read);
    this.#held = ids.slice(0, read);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve)); // messages, such as one that gives this up, are heard
      if (signal?.aborted) return undefined;
      const end = Math.min(read + chunk, ids.length);
      const logits = this.#model.forward([ids.slice(read, end)], { cache: this.#cache });
      read = end;
      this.#held = ids.slice(0, read);
      try {
        if (end === ids.length) return await logits.read();
      } finally {
        logits.dispose();
      }
    }
  }

  dispose(): void {
    this.#cache.dispose();
  }
}

function shared(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
