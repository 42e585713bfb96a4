/**
 * One forward pass before its first layer: tokens checked and padded, the cache made ready, positions and listeners laid out.
 * The layers (layers.ts) and the families (gpt2.ts, llama.ts) read it.
 */
import { VitrineError } from "../base/errors.ts";
import type { AttentionSizes, Device } from "../device/device.ts";
import { adopt } from "../tensor/scope.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import { DeviceCache } from "./kv-cache.ts";
import type { KeyValueCache } from "./kv-cache.ts";
import { ear, silence } from "./taps.ts";
import type { Ear } from "./taps.ts";
import type { ForwardOptions } from "./model.ts";

export interface Pass {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly B: number;
  /** New positions of the longest sequence; the others are padded behind their end. */
  readonly T: number;
  /** Positions up to the last new one: what scores and patterns are wide. */
  readonly S: number;
  /** (B, T) i32; padding is token 0. */
  readonly ids: Tensor;
  /** New tokens per sequence, padding left out. */
  readonly counts: readonly number[];
  readonly sizes: AttentionSizes;
  readonly cache: DeviceCache;
  readonly logits: "last" | "all";
  /** Listeners on names outside the blocks. */
  readonly tap: Ear;
  /** Listeners on the names of one block. */
  block(layer: number): Ear;
}

/**
 * Checks the request and lays everything out; what it allocates belongs to the caller's scope.
 * Padding stands behind the real tokens, so causal attention never lets a real token see it, and the next pass overwrites it in the cache.
 * Throws VitrineError for an empty batch or sequence, ids outside the vocabulary, a foreign cache, or a full context.
 */
export function beginPass(device: Device, config: ModelConfig, tokens: readonly (readonly number[])[], options: ForwardOptions): Pass {
  const { heads: H, kvHeads: KV, headDimension: D } = config;
  const B = tokens.length;
  const counts = tokens.map((sequence) => sequence.length);
  const T = Math.max(...counts);
  checkTokens(config, tokens);

  const cache = options.cache ? ownCache(options.cache, device, config, B) : adopt(new DeviceCache(device, config, B, config.contextLength));
  const limit = Math.min(cache.capacity, config.contextLength);
  const past = new Int32Array(cache.lengths);
  for (let b = 0; b < B; b++)
    if (past[b] + counts[b] > limit)
      throw new VitrineError(
        `forward: ${counts[b]} tokens after ${past[b]} do not fit the context of ${limit}; give at most ${limit - past[b]}, or drop the oldest`,
      );
  const S = Math.max(...past) + T;
  cache.reserve(S);

  const ids = new Int32Array(B * T);
  for (let b = 0; b < B; b++) ids.set(tokens[b], b * T);

  const taps = options.taps;
  return {
    device,
    config,
    B,
    T,
    S,
    ids: tensor(device, ids, [B, T]),
    counts,
    sizes: { B, T, H, KV, D, capacity: cache.room, past: tensor(device, past).buffer, window: config.attentionWindow, scale: 1 / Math.sqrt(D) },
    cache,
    logits: options.logits ?? "last",
    tap: taps ? ear(taps, "") : silence,
    block: taps ? (layer) => ear(taps, `blocks.${layer}.`) : () => silence,
  };
}

/** Position of every new token, (B, T) i32; padding stands at 0. Where positions are embedded. */
export function positionIds(pass: Pass): Tensor {
  const positions = new Int32Array(pass.B * pass.T);
  for (let b = 0; b < pass.B; b++) for (let t = 0; t < pass.counts[b]; t++) positions[b * pass.T + t] = pass.cache.lengths[b] + t;
  return tensor(pass.device, positions, [pass.B, pass.T]);
}

/** The row of each sequence's last real token among the B T rows, (B,) i32. */
export function lastRows(pass: Pass): Tensor {
  return tensor(
    pass.device,
    Int32Array.from(pass.counts, (count, b) => b * pass.T + count - 1),
  );
}

function checkTokens(config: ModelConfig, tokens: readonly (readonly number[])[]): void {
  if (tokens.length === 0) throw new VitrineError("forward: an empty batch; give at least one sequence of token ids");
  for (const sequence of tokens) {
    if (sequence.length === 0)
      throw new VitrineError("forward: an empty sequence; every sequence needs at least one token (the start token, if nothing else)");
    for (const id of sequence)
      if (!Number.isInteger(id) || id < 0 || id >= config.vocabularySize)
        throw new VitrineError(
          `forward: token id ${id} is outside the vocabulary of ${config.vocabularySize} (0 to ${config.vocabularySize - 1}); was it made by another model's tokenizer?`,
        );
  }
}

function ownCache(cache: KeyValueCache, device: Device, config: ModelConfig, B: number): DeviceCache {
  if (!(cache instanceof DeviceCache) || !cache.fits(device, config))
    throw new VitrineError("forward: this cache belongs to another model; make one with model.cache()");
  if (cache.B !== B) throw new VitrineError(`forward: ${B} sequences with a cache for ${cache.B}; make one with model.cache(${B})`);
  return cache;
}
