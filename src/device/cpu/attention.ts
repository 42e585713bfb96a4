/**
 * Rotary positions, caches and attention as calls into kernels/attention.c and elementwise.c.
 * Chooses between blocks of queries (prompts) and single ones (decoding), and checks `past`, which becomes addresses.
 */
import { internal, VitrineError } from "../../base/errors.ts";
import type { AttentionSizes, DeviceBuffer, Kernels } from "../device.ts";
import type { Core } from "./core.ts";
import { floatsAt, integersAt } from "./memory.ts";

/** From so many queries on that share keys, a block of them is faster than one by one: 5 to 7 by sweep, whatever the build and the head. */
const blockFrom = 6;
/** Queries of a block, so that a block's arrays stay on a thread's stack: few when heads are wide. */
const blockRows = (D: number): number => (D <= 256 ? 64 : D <= 512 ? 32 : 16);
const widestHead = 1024;
/** Queries of a block of the backward pass, whose arrays lie in the heap. */
const backwardRows = 64;
/** What arrays of the backward pass may take for more chunks than threads. */
const backwardBytes = 64 * 1024 * 1024;

export function attentionKernels(
  core: Core,
): Pick<Kernels, "rope" | "append" | "attention" | "attentionBackward" | "attentionScores" | "attentionMix"> {
  const { heap, index, slot } = core;

  /** Most positions any sequence has behind it; throws when T more do not fit in `capacity`. */
  const checkPast = (what: string, past: DeviceBuffer, B: number, T: number, capacity: number): number => {
    const word = integersAt(past, B) / 4;
    const { i32 } = heap;
    let most = 0;
    for (let b = 0; b < B; b++) {
      const n = i32[word + b];
      if (n < 0 || n + T > capacity) throw internal(`${what}: ${T} positions after ${n}, where there is room for ${capacity}`);
      if (n > most) most = n;
    }
    return most;
  };

  /** Arguments of all four attention kernels; returns the most keys a sequence has. */
  const prepare = (
    what: string,
    out: number,
    q: number,
    keys: DeviceBuffer | null,
    values: DeviceBuffer | null,
    sizes: AttentionSizes,
    S: number,
  ): number => {
    const { B, T, H, KV, D, capacity, past } = sizes;
    if (KV < 1 || H % KV !== 0) throw internal(`${what}: ${H} query heads over ${KV} key heads`);
    if (D > widestHead) throw new VitrineError(`${what}: heads of ${D} numbers; this device goes to ${widestHead}; use --device reference`);
    const most = checkPast(what, past, B, T, capacity);
    const cache = B * KV * capacity * D;
    const { i32, f32 } = heap;
    i32[slot] = out;
    i32[slot + 1] = q;
    i32[slot + 2] = keys === null ? 0 : floatsAt(keys, cache);
    i32[slot + 3] = values === null ? 0 : floatsAt(values, cache);
    i32[slot + 4] = integersAt(past, B);
    i32[slot + 5] = B;
    i32[slot + 6] = T;
    i32[slot + 7] = H;
    i32[slot + 8] = KV;
    i32[slot + 9] = D;
    i32[slot + 10] = capacity;
    i32[slot + 11] = sizes.window < capacity ? sizes.window : 0; // all of the cache
    f32[slot + 12] = sizes.scale;
    i32[slot + 13] = S;
    i32[slot + 14] = blockRows(D);
    return most + T;
  };

  return {
    rope(out, x, tables, past, B, T, heads, D, rotary) {
      if (rotary % 2 !== 0 || rotary > D) throw internal(`rope: ${rotary} of ${D} numbers turn`);
      const { i32 } = heap;
      i32[slot] = floatsAt(out, B * T * heads * D);
      i32[slot + 1] = floatsAt(x, B * T * heads * D);
      i32[slot + 2] = floatsAt(tables, 0);
      i32[slot + 3] = integersAt(past, B);
      i32[slot + 4] = B;
      i32[slot + 5] = T;
      i32[slot + 6] = heads;
      i32[slot + 7] = D;
      i32[slot + 8] = rotary;
      if (rotary > 0) checkPast("rope", past, B, T, Math.floor(tables.length / rotary));
      core.run(index.rope, core.chunks(2 * B * T * heads * D, B * T));
    },

    append(cache, x, past, B, T, heads, D, capacity) {
      checkPast("append", past, B, T, capacity);
      const { i32 } = heap;
      i32[slot] = floatsAt(cache, B * heads * capacity * D);
      i32[slot + 1] = floatsAt(x, B * T * heads * D);
      i32[slot + 2] = integersAt(past, B);
      i32[slot + 3] = B;
      i32[slot + 4] = T;
      i32[slot + 5] = heads;
      i32[slot + 6] = D;
      i32[slot + 7] = capacity;
      core.run(index.append, core.chunks(B * T * heads * D, B * T));
    },

    attention(out, q, keys, values, sizes) {
      const { B, T, H, KV, D } = sizes;
      const length = B * T * H * D;
      const S = prepare("attention", floatsAt(out, length), floatsAt(q, length), keys, values, sizes, 0);
      const queries = T * (H / KV);
      const work = 2 * length * S;
      if (queries < blockFrom) core.run(index.attention_row, core.chunks(work, B * KV));
      else {
        const items = B * KV * Math.ceil(queries / blockRows(D));
        // One item a chunk: under a causal mask they are of unequal size.
        core.run(index.attention_block, core.chunks(work, items) > 1 ? Math.min(items, 4096) : 1);
      }
    },

    attentionBackward(dQ, dK, dV, dY, q, keys, values, y, sizes) {
      const { B, T, H, KV, D } = sizes;
      const [length, keyLength] = [B * T * H * D, B * T * KV * D];
      const floats = backwardFloats(T, D);
      const most = Math.max(core.threads, Math.floor(backwardBytes / (4 * floats)));
      const chunks = Math.min(core.chunks(5 * length * T, B * KV), most);
      const scratch = core.scratch(4 * floats * chunks);
      const S = prepare("attentionBackward", floatsAt(y, length), floatsAt(q, length), keys, values, sizes, 0);
      if (S !== T) throw internal("attentionBackward: sequences must begin at position 0");
      const { i32 } = heap;
      i32[slot + 14] = backwardRows;
      i32[slot + 15] = floatsAt(dQ, length);
      i32[slot + 16] = floatsAt(dK, keyLength);
      i32[slot + 17] = floatsAt(dV, keyLength);
      i32[slot + 18] = floatsAt(dY, length);
      i32[slot + 19] = scratch;
      i32[slot + 20] = floats;
      core.run(index.attention_backward, chunks);
    },

    attentionScores(out, q, keys, sizes, S) {
      const { B, T, H, D } = sizes;
      if (S > sizes.capacity) throw internal(`attentionScores: ${S} columns, a cache of ${sizes.capacity}`);
      prepare("attentionScores", floatsAt(out, B * H * T * S), floatsAt(q, B * T * H * D), keys, null, sizes, S);
      core.run(index.attention_scores, core.chunks(B * H * T * S * D, B * H * T));
    },

    attentionMix(out, pattern, values, sizes, S) {
      const { B, T, H, D } = sizes;
      if (S > sizes.capacity) throw internal(`attentionMix: ${S} columns, a cache of ${sizes.capacity}`);
      prepare("attentionMix", floatsAt(out, B * T * H * D), floatsAt(pattern, B * H * T * S), null, values, sizes, S);
      core.run(index.attention_mix, core.chunks(B * H * T * S * D, B * H * T));
    },
  };
}

/** Numbers that a chunk of kernels/attention-backward.c needs at most. */
function backwardFloats(T: number, D: number): number {
  const width = Math.ceil(D / 16) * 16;
  return 2 * T * width + backwardRows * (T + 64 + 5 * width + 3) + 16;
}
