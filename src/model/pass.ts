/**
 * One forward pass before its first layer: tokens checked and padded, the cache made ready, positions and listeners laid out.
 * The layers (layers.ts) and the families (gpt2.ts, llama.ts) read it.
 */
import { VitrineError } from "../base/errors.ts";
import type { AttentionSizes, Device } from "../device/device.ts";
import { dropout } from "../tensor/ops/scale.ts";
import { adopt } from "../tensor/scope.ts";
import { recording } from "../tensor/tape.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import { DeviceCache } from "./kv-cache.ts";
import type { KeyValueCache } from "./kv-cache.ts";
import { ear, silence } from "./taps.ts";
import type { Ear } from "./taps.ts";
import type { ForwardOptions, Training } from "./model.ts";

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
  /** Null while a tape records: keys and values then live as long as their gradients need them. */
  readonly cache: DeviceCache | null;
  readonly logits: "last" | "all";
  /** Listeners on names outside the blocks. */
  readonly tap: Ear;
  /** Listeners on the names of one block. */
  block(layer: number): Ear;
  /** Blocks are computed again on the way back. */
  readonly recompute: boolean;
  /** Whether `drop` does anything. */
  readonly drops: boolean;
  /** Drops numbers of x if the pass was asked to (ForwardOptions.training). Each site drops others; the same ones each time. */
  drop(x: Tensor, site: DropSite): Tensor;
}

/** Where numbers are dropped: GPT-2's embedding and residual dropout (Radford et al. 2018). */
export type DropSite = "embedding" | { readonly layer: number; readonly part: "attention" | "mlp" };

/**
 * Checks the request and lays everything out; what it allocates belongs to the caller's scope.
 * Padding stands behind the real tokens, so causal attention never lets a real token see it, and the next pass overwrites it in the cache.
 * Throws VitrineError for an empty batch or sequence, ids outside the vocabulary, a foreign cache, a full context,
 * and for what a recording tape cannot follow.
 */
export function beginPass(device: Device, config: ModelConfig, tokens: readonly (readonly number[])[], options: ForwardOptions): Pass {
  const { heads: H, kvHeads: KV, headDimension: D } = config;
  const B = tokens.length;
  const counts = tokens.map((sequence) => sequence.length);
  const T = Math.max(...counts);
  checkTokens(config, tokens);

  const tape = recording();
  if (tape) checkRecorded(options);
  let cache: DeviceCache | null = null;
  if (options.cache) cache = ownCache(options.cache, device, config, B);
  else if (!tape) cache = adopt(new DeviceCache(device, config, B, config.contextLength));
  const limit = Math.min(cache?.capacity ?? Infinity, config.contextLength);
  const past = Int32Array.from({ length: B }, (_, b) => cache?.lengths[b] ?? 0);
  for (let b = 0; b < B; b++)
    if (past[b] + counts[b] > limit)
      throw new VitrineError(
        `forward: ${counts[b]} tokens after ${past[b]} do not fit the context of ${limit}; give at most ${limit - past[b]}, or drop the oldest`,
      );
  const S = Math.max(...past) + T;
  cache?.reserve(S);
  const pastTensor = tensor(device, past);
  tape?.hold(pastTensor.retain());

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
    sizes: { B, T, H, KV, D, capacity: cache?.room ?? T, past: pastTensor.buffer, window: config.attentionWindow, scale: 1 / Math.sqrt(D) },
    cache,
    logits: options.logits ?? "last",
    tap: taps ? ear(taps, "") : silence,
    block: taps ? (layer) => ear(taps, `blocks.${layer}.`) : () => silence,
    recompute: tape !== undefined && !taps && options.training?.recompute === true, // listeners hear each activation once
    drops: (options.training?.dropout ?? 0) !== 0,
    drop: dropper(options.training),
  };
}

function dropper(training: Training | undefined): Pass["drop"] {
  if (!training || training.dropout === 0) return (x) => x;
  const { dropout: rate, seed } = training;
  return (x, site) => {
    const number = site === "embedding" ? 0 : 1 + 2 * site.layer + (site.part === "mlp" ? 1 : 0);
    return dropout(x, rate, mix(seed ^ mix(number + 1)));
  };
}

/** The finaliser of MurmurHash3: seeds of neighbouring sites and passes have nothing in common afterwards. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

function checkRecorded({ cache, logits }: ForwardOptions): void {
  if (cache) throw new VitrineError("forward: gradients go through whole sequences; call it without a cache while a tape records");
  if (logits !== "all") throw new VitrineError('forward: gradients go through the logits of all positions; pass logits: "all" while a tape records');
}

/** Position of every new token, (B, T) i32; padding stands at 0. Where positions are embedded. */
export function positionIds(pass: Pass): Tensor {
  const positions = new Int32Array(pass.B * pass.T);
  for (let b = 0; b < pass.B; b++) for (let t = 0; t < pass.counts[b]; t++) positions[b * pass.T + t] = (pass.cache?.lengths[b] ?? 0) + t;
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
