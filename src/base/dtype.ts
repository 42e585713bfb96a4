/**
 * Number formats on disk, and their conversion to the fp32 that everything computes in.
 * Names are safetensors' own. Typed arrays are little-endian like the files: so is every machine that runs JavaScript today.
 */
import { internal } from "./errors.ts";

export type FloatType = "F32" | "F16" | "BF16";

export const bytesPerElement: Readonly<Record<FloatType, number>> = { F32: 4, F16: 2, BF16: 2 };

/**
 * Decodes little-endian `bytes` of `type` into a fresh Float32Array, one number each.
 * `bytes` may start at any alignment. Exact: every fp16 and bf16 number is an fp32 number.
 */
export function toFloat32(type: FloatType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const length = bytes.length / bytesPerElement[type];
  if (!Number.isInteger(length)) throw internal(`toFloat32: ${bytes.length} bytes are not a whole number of ${type} numbers`);
  const out = new Float32Array(length);
  if (type === "F32") {
    new Uint8Array(out.buffer).set(bytes);
    return out;
  }
  const halves = new Uint16Array(length);
  new Uint8Array(halves.buffer).set(bytes);
  const bits = new Uint32Array(out.buffer);
  if (type === "BF16") for (let i = 0; i < length; i++) bits[i] = halves[i] << 16;
  else {
    const table = (halfTable ??= makeHalfTable());
    for (let i = 0; i < length; i++) bits[i] = table[halves[i]];
  }
  return out;
}

/** Encodes fp32 numbers as little-endian bytes of `type`, rounding to nearest, ties to even. */
export function fromFloat32(type: FloatType, values: Float32Array): Uint8Array<ArrayBuffer> {
  if (type === "F32") return new Uint8Array(new Float32Array(values).buffer);
  const bits = new Uint32Array(new Float32Array(values).buffer);
  const convert = type === "BF16" ? toBrainHalf : toHalf;
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = convert(bits[i]);
  return new Uint8Array(out.buffer);
}

/**
 * The least magnitude that no longer rounds to a finite number of `type`: half a step past the largest.
 * Infinity for F32, which holds everything we compute.
 */
export const overflowsFrom: Readonly<Record<FloatType, number>> = {
  F32: Infinity,
  F16: 65520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
};

let halfTable: Uint32Array | undefined;

/** fp32 bits of each of the 65,536 fp16 numbers. */
function makeHalfTable(): Uint32Array {
  const table = new Uint32Array(65536);
  const value = new Float32Array(1);
  const bits = new Uint32Array(value.buffer);
  for (let half = 0; half < 65536; half++) {
    const sign = half & 0x8000 ? 0x80000000 : 0;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) table[half] = (sign | 0x7f800000 | (fraction << 13)) >>> 0;
    else if (exponent === 0) {
      value[0] = fraction * 2 ** -24; // subnormal
      table[half] = (sign | bits[0]) >>> 0;
    } else table[half] = (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  }
  return table;
}

/** fp32 bits -> bf16 bits: the upper half, rounded. */
function toBrainHalf(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 64; // keep NaN a NaN
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** fp32 bits -> fp16 bits. */
function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds past 65504: infinity
  if (magnitude < 0x33000001) return sign; // at most half of the least subnormal: zero
  if (magnitude < 0x38800000) {
    const shift = 126 - (magnitude >>> 23); // subnormal: 2^-24 steps
    const fraction = (magnitude & 0x7fffff) | 0x800000;
    return sign | roundShift(fraction, shift);
  }
  return sign | roundShift(magnitude - 0x38000000, 13);
}

/** x / 2^shift, to nearest, ties to even. */
function roundShift(x: number, shift: number): number {
  const floor = x >>> shift;
  const rest = x & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return floor + (rest > half || (rest === half && (floor & 1) === 1) ? 1 : 0);
}
