/**
 * The ids a model can see, and their keys and values. Reads new ids in chunks so that a long prompt can be abandoned half-way.
 * Sliding forgets the oldest ids and reads the kept ones again from position 0: positions are part of every key, so nothing else
 * equals a run on the kept ids alone.
 */
import { VitrineError } from "../base/errors.ts";
import type { KeyValueCache } from "../model/kv-cache.ts";
import type { LanguageModel } from "../model/model.ts";
import { breather } from "../base/breath.ts";

/** Positions per forward pass while reading: enough to keep the matrix kernels busy, little enough to stop within a moment. */
export const chunkSize = 256;

/** What a model sees of a growing text: its last ids, at most `size`, and the cache of those it has read. The caller disposes it. */
export class ContextWindow {
  /** The most ids it holds. */
  readonly size: number;
  readonly #model: LanguageModel;
  readonly #cache: KeyValueCache;
  readonly #breathe: () => Promise<void> | undefined = breather();
  readonly #ids: number[] = [];
  /** How many of the ids are in the cache. */
  #read = 0;

  constructor(model: LanguageModel, size: number) {
    this.size = size;
    this.#model = model;
    this.#cache = model.cache(1, size);
  }

  get length(): number {
    return this.#ids.length;
  }

  /**
   * Adds ids at the end. When there are too many, drops the oldest: at least `slideBy` of them, and enough that the rest fits.
   * Returns the dropped ids, oldest first.
   */
  push(ids: readonly number[], slideBy: number): number[] {
    for (const id of ids) this.#ids.push(id);
    const excess = this.#ids.length - this.size;
    if (excess <= 0) return [];
    const dropped = this.#ids.splice(0, Math.max(excess, Math.min(slideBy, this.#ids.length - 1)));
    this.#cache.truncate(0);
    this.#read = 0;
    return dropped;
  }

  /** Logits (V,) of what follows the last id; undefined when `signal` was aborted on the way. */
  logits(): Promise<Float32Array>;
  logits(signal: AbortSignal | undefined): Promise<Float32Array | undefined>;
  async logits(signal?: AbortSignal): Promise<Float32Array | undefined> {
    for (;;) {
      await this.#breathe();
      if (signal?.aborted) return undefined;
      const end = Math.min(this.#read + chunkSize, this.#ids.length);
      const last = this.#model.forward([this.#ids.slice(this.#read, end)], { cache: this.#cache });
      this.#read = end;
      try {
        if (end === this.#ids.length) return await last.read();
      } finally {
        last.dispose();
      }
    }
  }

  dispose(): void {
    this.#cache.dispose();
  }
}

/** The context length to use: the model's, or the shorter one asked for. Throws VitrineError for any other. */
export function contextOf(model: LanguageModel, asked: number | undefined): number {
  const most = model.config.contextLength;
  if (asked === undefined) return most;
  if (Number.isInteger(asked) && asked >= 1 && asked <= most) return asked;
  throw new VitrineError(`context: ${asked} positions asked for; this model has 1 to ${most}`);
}

/** Throws VitrineError unless there is at least one id and all are in the model's vocabulary. */
export function checkIds(model: LanguageModel, ids: readonly number[]): void {
  const V = model.config.vocabularySize;
  if (ids.length === 0) throw new VitrineError("the prompt is empty: a model predicts what follows something; give it text, or its start token's id");
  for (const id of ids) {
    if (!Number.isInteger(id) || id < 0 || id >= V)
      throw new VitrineError(`prompt: token id ${id}; this model's ids are integers from 0 to ${V - 1}`);
  }
}
