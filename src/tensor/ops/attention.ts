/**
 * Causal attention over a key/value cache, in one call or in the three steps a listener wants to see, and rotary positions.
 * Query and new keys are (B, T, heads, D); caches are (B, KV, capacity, D) buffers that kv-cache.ts of model/ owns.
 */
import { ShapeError } from "../../base/errors.ts";
import { showShape } from "../../base/shape.ts";
import type { AttentionSizes, DeviceBuffer } from "../../device/device.ts";
import { tensorScope } from "../scope.ts";
import { gradientLike, overwrite, refuse, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Turns each head by its position (Su et al. 2021). x: (B, T, heads, D) -> the same; tables (positions, rotary), cosines then sines.
 * Whoever records a tape sees to it that `past` lives as long as the tape (`Tape.hold`).
 */
export function rope(x: Tensor, tables: Tensor, past: DeviceBuffer): Tensor {
  const [B, T, heads, D] = x.shape;
  const rotary = tables.shape[1];
  if (rotary > D) throw new ShapeError(`rope: ${rotary} numbers of a head are to turn, but ${showShape(x.shape)} has only ${D}`);
  const out = empty(x.device, x.shape);
  const { kernels } = x.device;
  kernels.rope(out.buffer, x.buffer, tables.buffer, past, B, T, heads, D, rotary);

  tapeFor(x)?.note(out, [tables], (dY, tape) => {
    const dX = overwrite(dY); // turned back by the same angles
    kernels.ropeBackward(dX.buffer, dY.buffer, tables.buffer, past, B, T, heads, D, rotary);
    tape.give(x, dX);
  });
  return out;
}

/**
 * Every position of a batch that begins at 0 asks, offers and tells, without a cache: causal attention in one op, with a way back.
 * q (B, T, H, D), k and v (B, T, KV, D) -> (B, T, H, D). `sizes.past` is all 0, `sizes.capacity` at least T; as for rope, `past` outlives the tape.
 */
export function selfAttention(q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor {
  using scope = tensorScope();
  const { B, KV, D, capacity } = sizes;
  const keys = empty(q.device, [B, KV, capacity, D]);
  const values = empty(q.device, [B, KV, capacity, D]);
  const { kernels } = q.device;
  const out = empty(q.device, q.shape);
  expectQuery("selfAttention", q, sizes);
  lay(keys.buffer, k, sizes);
  lay(values.buffer, v, sizes);
  kernels.attention(out.buffer, q.buffer, keys.buffer, values.buffer, sizes);

  // With P the pattern and dP = dY v^T: dv = P^T dY, and through the softmax dScores = P (dP - sum(P dP)), dq = dScores k, dk = dScores^T q
  tapeFor(q, k, v)?.note(out, [q, keys, values, out], (dY, tape) => {
    const [dQ, dK, dV] = [gradientLike(q), gradientLike(k), gradientLike(v)];
    kernels.attentionBackward(dQ.buffer, dK.buffer, dV.buffer, dY.buffer, q.buffer, keys.buffer, values.buffer, out.buffer, sizes);
    tape.give(q, dQ);
    tape.give(k, dK);
    tape.give(v, dV);
  });
  return scope.keep(out);
}

/** Writes new keys or values (B, T, heads, D) behind those the cache holds. No way back: gradients go through selfAttention. */
export function append(cache: DeviceBuffer, x: Tensor, sizes: AttentionSizes): void {
  refuse("append", x);
  lay(cache, x, sizes);
}

function lay(cache: DeviceBuffer, x: Tensor, sizes: AttentionSizes): void {
  const [B, T, heads, D] = x.shape;
  x.device.kernels.append(cache, x.buffer, sizes.past, B, T, heads, D, sizes.capacity);
}

/** The weighted mean of the values each query asks for (Vaswani et al. 2017, 3.2.1). q: (B, T, H, D) -> (B, T, H, D). No way back. */
export function attention(q: Tensor, keys: DeviceBuffer, values: DeviceBuffer, sizes: AttentionSizes): Tensor {
  refuse("attention", q);
  expectQuery("attention", q, sizes);
  const out = empty(q.device, q.shape);
  q.device.kernels.attention(out.buffer, q.buffer, keys, values, sizes);
  return out;
}

/** Step 1: how well each key answers each query. -> (B, H, T, S), -Infinity where hidden; softmax makes it the pattern. No way back. */
export function attentionScores(q: Tensor, keys: DeviceBuffer, sizes: AttentionSizes, S: number): Tensor {
  refuse("attentionScores", q);
  expectQuery("attentionScores", q, sizes);
  const out = empty(q.device, [sizes.B, sizes.H, sizes.T, S]);
  q.device.kernels.attentionScores(out.buffer, q.buffer, keys, sizes, S);
  return out;
}

/** Step 3: pattern (B, H, T, S) times values -> (B, T, H, D). No way back. */
export function attentionMix(pattern: Tensor, values: DeviceBuffer, sizes: AttentionSizes): Tensor {
  refuse("attentionMix", pattern);
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
