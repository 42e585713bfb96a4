/**
 * The block formats of small weights, as GGUF files hold them: 32 numbers share one fp16 scale.
 * Q8_0: scale and 32 signed bytes (34 bytes). Q4_0: scale and 32 nibbles (18 bytes), number i in the low half of byte i,
 * number i + 16 in the high half, each 8 too large. Layout and rounding follow ggml, so other engines read the same weights.
 */
import { type FloatType, fromFloat32, toFloat32 } from "../base/dtype.ts";
import { internal } from "../base/errors.ts";

export type BlockType = "Q8_0" | "Q4_0";

/** Numbers in a block. */
export const BLOCK_LENGTH = 32;

export const blockBytes: Readonly<Record<BlockType, number>> = { Q8_0: 34, Q4_0: 18 };

const SCALE: FloatType = "F16";

/** Encodes `values`, a whole number of blocks. Numbers are divided by the fp32 scale, which is rounded to fp16 only when stored, as ggml does. */
export function encodeBlocks(type: BlockType, values: Float32Array): Uint8Array<ArrayBuffer> {
  if (values.length % BLOCK_LENGTH !== 0) throw internal(`encodeBlocks: ${values.length} numbers are not a whole number of blocks`);
  const blocks = values.length / BLOCK_LENGTH;
  const out = new Uint8Array(blocks * blockBytes[type]);
  const scales = new Float32Array(blocks);
  const encode = type === "Q8_0" ? encodeQ8 : encodeQ4;
  for (let block = 0; block < blocks; block++) {
    const numbers = values.subarray(block * BLOCK_LENGTH, (block + 1) * BLOCK_LENGTH);
    scales[block] = encode(numbers, out, block * blockBytes[type] + 2);
  }
  const scaleBytes = fromFloat32(SCALE, scales);
  for (let block = 0; block < blocks; block++) out.set(scaleBytes.subarray(2 * block, 2 * block + 2), block * blockBytes[type]);
  return out;
}

/** Decodes a whole number of blocks. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const size = blockBytes[type];
  if (bytes.length % size !== 0) throw internal(`decodeBlocks: ${bytes.length} bytes are not a whole number of ${type} blocks`);
  const blocks = bytes.length / size;
  const scaleBytes = new Uint8Array(2 * blocks);
  for (let block = 0; block < blocks; block++) scaleBytes.set(bytes.subarray(block * size, block * size + 2), 2 * block);
  const scales = toFloat32(SCALE, scaleBytes);
  const out = new Float32Array(blocks * BLOCK_LENGTH);
  for (let block = 0; block < blocks; block++) {
    const at = block * size + 2;
    const to = block * BLOCK_LENGTH;
    if (type === "Q8_0") for (let i = 0; i < BLOCK_LENGTH; i++) out[to + i] = scales[block] * ((bytes[at + i] << 24) >> 24);
    else {
      for (let i = 0; i < BLOCK_LENGTH / 2; i++) {
        out[to + i] = scales[block] * ((bytes[at + i] & 15) - 8);
        out[to + i + BLOCK_LENGTH / 2] = scales[block] * ((bytes[at + i] >> 4) - 8);
      }
    }
  }
  return out;
}

/** Scale = largest magnitude / 127; each number rounds to nearest, halves away from zero. */
function encodeQ8(numbers: Float32Array, out: Uint8Array, at: number): number {
  let most = 0;
  for (const x of numbers) most = Math.max(most, Math.abs(x));
  const scale = Math.fround(most / 127);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = 0; i < BLOCK_LENGTH; i++) {
    const x = Math.fround(numbers[i] * inverse);
    out[at + i] = Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
  }
  return scale;
}

/** Scale = the number of largest magnitude, with its sign, / -8: it becomes exactly -8, so all 16 steps are used. */
function encodeQ4(numbers: Float32Array, out: Uint8Array, at: number): number {
  let extreme = 0;
  for (const x of numbers) if (Math.abs(x) > Math.abs(extreme)) extreme = x;
  const scale = Math.fround(extreme / -8);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  const nibble = (x: number): number => Math.min(15, Math.floor(Math.fround(Math.fround(x * inverse) + 8.5)));
  for (let i = 0; i < BLOCK_LENGTH / 2; i++) out[at + i] = nibble(numbers[i]) | (nibble(numbers[i + BLOCK_LENGTH / 2]) << 4);
  return scale;
}
