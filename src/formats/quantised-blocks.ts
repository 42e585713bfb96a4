/**
 * The block formats of small weights, as GGUF files hold them: 32 numbers share one fp16 scale.
 * Q8_0: scale and 32 signed bytes (34 bytes). Q4_0: scale and 32 nibbles (18 bytes), number i in the low half of byte i,
 * number i + 16 in the high half, each 8 too large. Layout and rounding follow ggml, so other engines read the same weights.
 */
import { fromFloat32, toFloat32 } from "../base/dtype.ts";
import { internal } from "../base/errors.ts";

export type BlockType = "Q8_0" | "Q4_0";

/** Numbers in a block. */
export const BLOCK_LENGTH = 32;

export const blockBytes: Readonly<Record<BlockType, number>> = { Q8_0: 34, Q4_0: 18 };

/** The largest magnitude over the scale: what the scale is found by. */
const steps: Readonly<Record<BlockType, number>> = { Q8_0: 127, Q4_0: 8 };

/** Whether a format keeps its numbers in blocks of 32. */
export function isBlockType(type: string): type is BlockType {
  return type === "Q8_0" || type === "Q4_0";
}

/** The least magnitude whose block's scale no longer rounds to a finite fp16 number. */
export function blockOverflowsFrom(type: BlockType): number {
  return 65520 * steps[type];
}

/**
 * Encodes `values`, a whole number of blocks. Numbers are divided by the fp32 scale, which is rounded to fp16 only when stored,
 * as ggml does. Numbers that came out of blocks go back into them unchanged.
 */
export function encodeBlocks(type: BlockType, values: Float32Array): Uint8Array<ArrayBuffer> {
  if (values.length % BLOCK_LENGTH !== 0) throw internal(`encodeBlocks: ${values.length} numbers are not a whole number of blocks`);
  const blocks = values.length / BLOCK_LENGTH;
  const size = blockBytes[type];
  const out = new Uint8Array(blocks * size);
  const scales = new Float32Array(blocks);
  const encode = type === "Q8_0" ? encodeQ8 : encodeQ4;
  for (let block = 0; block < blocks; block++) scales[block] = encode(values, block * BLOCK_LENGTH, out, block * size + 2);
  const scaleBytes = fromFloat32("F16", scales);
  for (let block = 0; block < blocks; block++) {
    out[block * size] = scaleBytes[2 * block];
    out[block * size + 1] = scaleBytes[2 * block + 1];
  }
  return out;
}

/** Decodes a whole number of blocks. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const size = blockBytes[type];
  if (bytes.length % size !== 0) throw internal(`decodeBlocks: ${bytes.length} bytes are not a whole number of ${type} blocks`);
  const blocks = bytes.length / size;
  const scaleBytes = new Uint8Array(2 * blocks);
  for (let block = 0; block < blocks; block++) {
    scaleBytes[2 * block] = bytes[block * size];
    scaleBytes[2 * block + 1] = bytes[block * size + 1];
  }
  const scales = toFloat32("F16", scaleBytes);
  const out = new Float32Array(blocks * BLOCK_LENGTH);
  for (let block = 0; block < blocks; block++) {
    const at = block * size + 2;
    const to = block * BLOCK_LENGTH;
    const scale = scales[block];
    if (type === "Q8_0") for (let i = 0; i < BLOCK_LENGTH; i++) out[to + i] = scale * ((bytes[at + i] << 24) >> 24);
    else {
      for (let i = 0; i < BLOCK_LENGTH / 2; i++) {
        out[to + i] = scale * ((bytes[at + i] & 15) - 8);
        out[to + i + BLOCK_LENGTH / 2] = scale * ((bytes[at + i] >> 4) - 8);
      }
    }
  }
  return out;
}

/** Scale = largest magnitude / 127; each number rounds to nearest, halves away from zero. Gives the scale. */
function encodeQ8(values: Float32Array, from: number, out: Uint8Array, at: number): number {
  let most = 0;
  for (let i = 0; i < BLOCK_LENGTH; i++) most = Math.max(most, Math.abs(values[from + i]));
  const scale = Math.fround(most / steps.Q8_0);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = 0; i < BLOCK_LENGTH; i++) {
    const x = Math.fround(values[from + i] * inverse);
    out[at + i] = x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5);
  }
  return scale;
}

/** Scale = the number of largest magnitude, with its sign, / -8: it becomes exactly -8, so all 16 steps are used. Gives the scale. */
function encodeQ4(values: Float32Array, from: number, out: Uint8Array, at: number): number {
  let extreme = 0;
  for (let i = 0; i < BLOCK_LENGTH; i++) if (Math.abs(values[from + i]) > Math.abs(extreme)) extreme = values[from + i];
  const scale = Math.fround(extreme / -steps.Q4_0);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  const nibble = (x: number): number => Math.min(15, Math.floor(Math.fround(Math.fround(x * inverse) + 8.5)));
  for (let i = 0; i < BLOCK_LENGTH / 2; i++) out[at + i] = nibble(values[from + i]) | (nibble(values[from + i + BLOCK_LENGTH / 2]) << 4);
  return scale;
}
