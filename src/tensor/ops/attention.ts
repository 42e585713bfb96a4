/**
 * Causal attention over a key/value cache, in one call or in the three steps a listener wants to see, and rotary positions.
 * Query and new keys are (B, T, heads, D); caches are (B, KV, capacity, D) buffers that kv-cache.ts of model/ owns.
 */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import type { AttentionSizes, DeviceBuffer } from "../../device/device.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** Turns each head by its position (Su et al. 2021). x: (B, T, heads, D) -> the same; tables (positions, rotary), cosines then sines. */
export function rope(x: Tensor, tables: Tensor, past: DeviceBuffer): Tensor {
  const [B, T, heads, D] = x.shape;
  const rotary = tables.shape[1];
  if (rotary > D) throw new ShapeError(`rope: ${rotary} numbers of a head are to turn, but ${showShape(x.shape)} has only ${D}`);
  const out = empty(x.device, x.shape);
  x.device.kernels.rope(out.buffer, x.buffer, tables.buffer, past, B, T, heads, D, rotary);
  return out;
}

/** Writes new keys or values (B, T, heads, D) behind those the cache holds. */
export function append(cache: DeviceBuffer, x: Tensor, sizes: AttentionSizes): void {
  const [B, T, heads, D] = x.shape;
  x.device.kernels.append(cache, x.buffer, sizes.past, B, T, heads, D, sizes.capacity);
}

/** The weighted mean of the values each query asks for (Vaswani et al. 2017, 3.2.1). q: (B, T, H, D) -> (B, T, H, D). */
export function attention(q: Tensor, keys: DeviceBuffer, values: DeviceBuffer, sizes: AttentionSizes): Tensor {
  expectQuery("attention", q, sizes);
  const out = empty(q.device, q.shape);
  q.device.kernels.attention(out.buffer, q.buffer, keys, values, sizes);
  return out;
}

/** Step 1: how well each key answers each query. -> (B, H, T, S), -Infinity where hidden; softmax makes it the pattern. */
export function attentionScores(q: Tensor, keys: DeviceBuffer, sizes: AttentionSizes, S: number): Tensor {
  expectQuery("attentionScores", q, sizes);
  const out = empty(q.device, [sizes.B, sizes.H, sizes.T, S]);
  q.device.kernels.attentionScores(out.buffer, q.buffer, keys, sizes, S);
  return out;
}

/** Step 3: pattern (B, H, T, S) times values -> (B, T, H, D). */
export function attentionMix(pattern: Tensor, values: DeviceBuffer, sizes: AttentionSizes): Tensor {
  const { B, T, H, D } = sizes;
  const out = empty(pattern.device, [B, T, H, D]);
  pattern.device.kernels.attentionMix(out.buffer, pattern.buffer, values, sizes, pattern.shape[3]);
  return out;
}

function expectQuery(op: string, q: Tensor, { B, T, H, D }: AttentionSizes): void {
  const shape = q.shape;
  if (shape.length !== 4 || shape[0] !== B || shape[1] !== T || shape[2] !== H || shape[3] !== D)
    throw new ShapeError(`${op}: the query is ${showShape(shape)}, expected (B, T, H, D) = ${showShape([B, T, H, D])}`);
}
