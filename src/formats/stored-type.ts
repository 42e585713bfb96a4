/**
 * The number formats a tensor file may store, and their conversion to fp32.
 * The three that weights come in (F32, F16, BF16) are base/dtype.ts's; the others occur as ids, masks and old buffers.
 */
import { bytesPerElement, type FloatType, toFloat32 } from "../base/dtype.ts";
import { internal } from "../base/errors.ts";
import type { TensorInfo } from "./tensor-source.ts";

export type StoredType = TensorInfo["dtype"];

export const storedBytes: Readonly<Record<StoredType, number>> = {
  ...bytesPerElement,
  F64: 8,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Whether weights may be of this type: F32, F16 or BF16. */
export function isFloatType(type: string): type is FloatType {
  return Object.hasOwn(bytesPerElement, type);
}

/** Whether safetensors knows a type of this name. */
export function isStoredType(type: string): type is StoredType {
  return Object.hasOwn(storedBytes, type);
}

/** Decodes little-endian `bytes`, at any alignment. Integers and doubles that fp32 cannot hold are rounded to the nearest it can. */
export function decodeStored(type: StoredType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (isFloatType(type)) return toFloat32(type, bytes);
  if (bytes.length % storedBytes[type] !== 0) throw internal(`decodeStored: ${bytes.length} bytes are not a whole number of ${type} numbers`);
  const buffer = new Uint8Array(bytes).buffer; // aligned
  if (type === "I64") return Float32Array.from(new BigInt64Array(buffer), Number);
  if (type === "U64") return Float32Array.from(new BigUint64Array(buffer), Number);
  if (type === "BOOL") return Float32Array.from(new Uint8Array(buffer), (byte) => (byte === 0 ? 0 : 1));
  return new Float32Array(new views[type](buffer));
}

const views = { F64: Float64Array, I32: Int32Array, U32: Uint32Array, I16: Int16Array, U16: Uint16Array, I8: Int8Array, U8: Uint8Array };
