/**
 * Named arrays in files, read on demand: what safetensors (and later GGUF) offer to model loading.
 */
import type { Shape } from "../base/shape.ts";
import type { FloatType } from "../base/dtype.ts";
import type { BlockType } from "./quantised-blocks.ts";

export interface TensorInfo {
  readonly name: string;
  /** safetensors' name of the number format; loading weights accepts FloatType only. */
  readonly dtype: FloatType | "I64" | "I32" | "I16" | "I8" | "U8" | "BOOL" | "F64" | "U16" | "U32" | "U64";
  /** Blocks of 32 that the file holds the numbers in (GGUF); `dtype` is then what reading gives. */
  readonly blocks?: BlockType;
  readonly shape: Shape;
  /** Bytes on disk. */
  readonly byteLength: number;
}

export interface TensorSource {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * Elements `start` to `end` (flat, row-major; default all) as fp32. Integer tensors are converted too; throws FormatError for an unknown name.
   * A source may put them into `into`, which is long enough, and give that part of it.
   */
  read(name: string, start?: number, end?: number, into?: Float32Array): Promise<Float32Array>;
  close(): Promise<void>;
}
