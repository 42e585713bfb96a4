/** Test helpers for GGUF: files of any header, honest or not, and models written to memory. */
import { bytesOf } from "../base/bytes.ts";
import { elements, type Shape } from "../base/shape.ts";
import { joined } from "./counted.testing.ts";
import { type GgufHeader, ggufTensors, readGgufHeader } from "./gguf.ts";
import type { GgufType } from "./gguf-type.ts";
import type { TensorSource } from "./tensor-source.ts";
import { type GgufTensorToWrite, type TypedValue, writeGguf } from "./write-gguf.ts";

export function u32(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}

export function u64(value: number | bigint): number[] {
  return [...new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)];
}

export function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...u64(bytes.length), ...bytes];
}

/** What a header claims; counts default to the truth. */
export interface Claims {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly valueCount?: number | bigint;
  /** Key, type number, encoded value. */
  readonly values?: readonly (readonly [key: string, type: number, bytes: readonly number[]])[];
  /** Axes innermost first, as in the file. */
  readonly tensors?: readonly {
    readonly name: string;
    readonly axes: readonly (number | bigint)[];
    readonly type: number;
    readonly offset: number | bigint;
  }[];
  readonly dataBytes?: number;
}

/** The bytes of a file with this header, its data (zeros) aligned to 32. */
export function ggufBytes({ magic = "GGUF", version = 3, values = [], tensors = [], tensorCount, valueCount, dataBytes = 0 }: Claims): Uint8Array {
  const header = [
    ...new TextEncoder().encode(magic),
    ...u32(version),
    ...u64(tensorCount ?? tensors.length),
    ...u64(valueCount ?? values.length),
    ...values.flatMap(([key, type, bytes]) => [...text(key), ...u32(type), ...bytes]),
    ...tensors.flatMap(({ name, axes, type, offset }) => [...text(name), ...u32(axes.length), ...axes.flatMap(u64), ...u32(type), ...u64(offset)]),
  ];
  const file = new Uint8Array(Math.ceil(header.length / 32) * 32 + dataBytes);
  file.set(header);
  return file;
}

export interface OpenGguf extends TensorSource {
  readonly header: GgufHeader;
}

export async function openBytes(bytes: Uint8Array, name = "x.gguf"): Promise<OpenGguf> {
  const source = bytesOf(name, bytes);
  const header = await readGgufHeader(source);
  return { ...ggufTensors(source, header), header };
}

export function tensorOf(name: string, type: GgufType, shape: Shape, values: Float32Array | ((i: number) => number)): GgufTensorToWrite {
  const numbers = typeof values === "function" ? Float32Array.from({ length: elements(shape) }, (_, i) => values(i)) : values;
  return {
    name,
    type,
    shape,
    values: async function* () {
      yield numbers;
    },
  };
}

export async function written(values: ReadonlyMap<string, TypedValue>, tensors: readonly GgufTensorToWrite[]): Promise<Uint8Array> {
  return joined(writeGguf(values, tensors));
}
