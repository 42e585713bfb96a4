/**
 * A language model that is a small function of the ids it can see, for testing the loop without any arithmetic of networks.
 * Its logits depend on every visible id and its position, so a wrong window, cache or order cannot go unnoticed.
 */
import type { ModelConfig } from "../model/config.ts";
import type { KeyValueCache } from "../model/kv-cache.ts";
import type { LanguageModel } from "../model/model.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Token, Tokenizer } from "../tokenizer/tokenizer.ts";

export interface FakeModel extends LanguageModel {
  /** Tensors and caches not yet given back. */
  readonly live: { tensors: number; caches: number };
  /** Lengths of the forward passes so far. */
  readonly passes: number[];
}

/** (V,) logits after `ids`, from position 0 on. */
export function fakeLogits(ids: readonly number[], V: number): Float32Array {
  let hash = 2166136261;
  ids.forEach((id, position) => (hash = Math.imul(hash ^ (id + 131 * position + 7), 16777619)));
  return Float32Array.from({ length: V }, (_, v) => {
    let x = Math.imul(hash ^ (v * 2654435761), 2246822519);
    x = Math.imul(x ^ (x >>> 13), 3266489917);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 29 - 4;
  });
}

export function fakeModel(contextLength: number, vocabularySize: number, eosIds: readonly number[] = []): FakeModel {
  const live = { tensors: 0, caches: 0 };
  const passes: number[] = [];
  const held = new Map<KeyValueCache, number[]>();

  const cache = (_B = 1, capacity = contextLength): KeyValueCache => {
    const ids: number[] = [];
    live.caches++;
    const made: KeyValueCache = {
      B: 1,
      capacity,
      get lengths() {
        return [ids.length];
      },
      truncate: (length) => void (ids.length = length),
      dispose: () => void (held.delete(made) && live.caches--),
    };
    held.set(made, ids);
    return made;
  };

  const forward: LanguageModel["forward"] = ([tokens], options = {}) => {
    const before = options.cache === undefined ? [] : held.get(options.cache)!;
    if (tokens.length === 0) throw new Error("fake: no tokens");
    if (before.length + tokens.length > Math.min(contextLength, options.cache?.capacity ?? contextLength))
      throw new Error("fake: the context would overflow");
    passes.push(tokens.length);
    const rows: number[] = [];
    tokens.forEach((id, at) => {
      before.push(id);
      if (options.logits === "all" || at === tokens.length - 1) rows.push(...fakeLogits(before, vocabularySize));
    });
    live.tensors++;
    let disposed = false;
    const tensor = {
      read: async () => Float32Array.from(rows),
      dispose: () => {
        if (!disposed) live.tensors--;
        disposed = true;
      },
    };
    return tensor as unknown as Tensor;
  };

  const config = { modelType: "fake", contextLength, vocabularySize, eosIds } as unknown as ModelConfig;
  return { config, forward, cache, live, passes, parameterCount: 0, dispose: () => {} } as unknown as FakeModel;
}

const token = (id: number): Token => {
  const bytes = id < 256 ? Uint8Array.of(id) : new Uint8Array();
  return { id, bytes, text: id < 256 ? new TextDecoder().decode(bytes) : `<${id}>`, special: id >= 256 };
};
const decoder: Tokenizer["decoder"] = () => {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  return { push: (id) => (id < 256 ? utf8.decode(Uint8Array.of(id), { stream: true }) : ""), end: () => utf8.decode() };
};

/** Ids are UTF-8 bytes; those above 255 are special tokens. */
export function byteTokenizer(vocabularySize = 256): Tokenizer {
  return {
    kind: "byte-level-bpe",
    vocabularySize,
    bosId: undefined,
    eosId: undefined,
    encode: (text) => Array.from(new TextEncoder().encode(text)),
    decode: (ids) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids.filter((id) => id < 256))),
    decoder,
    token,
    idOf: () => undefined,
    merges: () => [],
  };
}

/** All steps of a generator, and what it returned. */
export async function collect<S, R>(generator: AsyncGenerator<S, R>): Promise<{ steps: S[]; end: R }> {
  const steps: S[] = [];
  for (;;) {
    const result = await generator.next();
    if (result.done) return { steps, end: result.value };
    steps.push(result.value);
  }
}
