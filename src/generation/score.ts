/**
 * What a model would have expected at every position of a given text: one forward pass instead of one per token.
 * Texts longer than the context are read in windows that overlap by half, so from the second window on
 * every prediction stands on at least half a context of what came before it.
 */
import type { KeyValueCache } from "../model/kv-cache.ts";
import type { LanguageModel } from "../model/model.ts";
import type { StreamDecoder, Tokenizer } from "../tokenizer/tokenizer.ts";
import { breather } from "../base/breath.ts";
import { distributionOf } from "./distribution.ts";
import type { ScoredStep, Step } from "./step.ts";
import { checkIds, chunkSize, contextOf } from "./window.ts";

export interface ScoreOptions {
  /** Use at most this many positions. Default: the model's context length. */
  readonly context?: number;
  readonly signal?: AbortSignal;
}

/** Logits held at once: 16 MB, whatever the vocabulary. */
const logitsAtOnce = 2 ** 22;

/**
 * One step per id of `ids`; the first has no prediction behind it. The loss at a position is minus its logprob.
 * A step's `dropped` are the tokens that its window no longer shows, given once, where the window moves.
 * Ends early, without error, when `signal` is aborted. Throws VitrineError for an empty list or ids outside the vocabulary.
 */
export async function* score(
  model: LanguageModel,
  tokenizer: Tokenizer,
  ids: readonly number[],
  options: ScoreOptions = {},
): AsyncGenerator<ScoredStep, void> {
  const context = contextOf(model, options.context);
  checkIds(model, ids);
  const decoder = tokenizer.decoder();
  yield { position: 0, token: tokenizer.token(ids[0]), text: textOf(decoder, ids[0], ids.length === 1) };
  if (ids.length === 1) return;

  const stride = Math.max(1, Math.floor(context / 2));
  const cache = model.cache(1, Math.min(context, ids.length - 1));
  try {
    let next = 1; // the position to be predicted next
    for (let start = 0; next < ids.length; start += stride) {
      let dropped = start === 0 ? [] : ids.slice(start - stride, start).map((id) => tokenizer.token(id));
      const end = Math.min(start + context, ids.length - 1); // nothing is asked about what follows the last id
      for await (const logits of predictions(model, cache, ids.slice(start, end), next - 1 - start, options.signal)) {
        const id = ids[next];
        const distribution = distributionOf(logits);
        const probability = distribution.probability(id);
        const step: Step = {
          position: next,
          token: tokenizer.token(id),
          text: textOf(decoder, id, next === ids.length - 1),
          probability,
          logprob: distribution.logprob(id),
          rank: distribution.rank(id),
          sampledFrom: probability,
          distribution,
          filtered: distribution,
          dropped,
        };
        dropped = [];
        next++;
        yield step;
      }
      if (options.signal?.aborted) return;
    }
  } finally {
    cache.dispose();
  }
}

/** Logits (V,) after each of `ids` from index `from` on; what stands before it is only read. Stops when `signal` is aborted. */
async function* predictions(
  model: LanguageModel,
  cache: KeyValueCache,
  ids: readonly number[],
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Float32Array, void> {
  const V = model.config.vocabularySize;
  const rows = Math.min(chunkSize, Math.max(1, Math.floor(logitsAtOnce / V)));
  const breathe = breather();
  cache.truncate(0);
  for (let at = 0; at < ids.length;) {
    await breathe();
    if (signal?.aborted) return;
    const wanted = at >= from;
    const end = wanted ? Math.min(at + rows, ids.length) : Math.min(at + chunkSize, from);
    const tensor = model.forward([ids.slice(at, end)], { cache, logits: wanted ? "all" : "last" });
    let logits: Float32Array | undefined;
    try {
      if (wanted) logits = await tensor.read();
    } finally {
      tensor.dispose();
    }
    if (logits !== undefined) for (let row = 0; row < end - at; row++) yield logits.slice(row * V, (row + 1) * V); // copies: a kept step must not keep the chunk
    at = end;
  }
}

function textOf(decoder: StreamDecoder, id: number, last: boolean): string {
  return last ? decoder.push(id) + decoder.end() : decoder.push(id);
}
