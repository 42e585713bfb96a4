/**
 * Writing GGUF files (version 3) as a stream: header first, then each tensor at its aligned place.
 * What a model's file holds is gguf-model.ts's business.
 */
import { type FloatType, fromFloat32 } from "../base/dtype.ts";
import { quoted, VitrineError } from "../base/errors.ts";
import { elements, type Shape, showShape } from "../base/shape.ts";
import { storedLength, tensorTypes } from "./gguf.ts";
import { BLOCK_LENGTH, type BlockType, encodeBlocks } from "./quantised-blocks.ts";

/** A metadata value with the type it is stored in. */
export type TypedValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly i32s: readonly number[] }
  | { readonly f32s: readonly number[] };

export interface GgufTensorToWrite {
  readonly name: string;
  readonly type: FloatType | BlockType;
  /** Outermost axis first, as everywhere in Vitrine. */
  readonly shape: Shape;
  /** All elements in row-major order, in pieces of whole rows. */
  readonly values: () => AsyncIterable<Float32Array>;
}

const ALIGNMENT = 32;

/** The bytes of a GGUF file. Throws VitrineError when a tensor cannot be stored as asked, or gives the wrong count of numbers. */
export async function* writeGguf(values: ReadonlyMap<string, TypedValue>, tensors: readonly GgufTensorToWrite[]): AsyncGenerator<Uint8Array, void> {
  for (const { name, type, shape } of tensors) {
    if ((type === "Q8_0" || type === "Q4_0") && (shape.at(-1) ?? 0) % BLOCK_LENGTH !== 0) {
      throw new VitrineError(`export: tensor ${quoted(name)} ${showShape(shape)} has rows that are no multiple of ${BLOCK_LENGTH}, so it cannot be ${type}; export as f16`);
    }
  }
  const header = new ByteWriter();
  header.raw(new TextEncoder().encode("GGUF"));
  header.u32(3);
  header.u64(tensors.length);
  header.u64(values.size);
  for (const [key, value] of values) {
    header.string(key);
    header.value(value);
  }
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    header.string(name);
    header.u32(shape.length);
    for (const size of shape.toReversed()) header.u64(size);
    header.u32(tensorTypes[type]);
    header.u64(offset);
    offset = aligned(offset + storedLength(type, elements(shape)));
  }
  header.raw(new Uint8Array(aligned(header.length) - header.length));
  yield header.bytes();

  for (const tensor of tensors) {
    let written = 0;
    for await (const piece of tensor.values()) {
      written += piece.length;
      yield tensor.type === "Q8_0" || tensor.type === "Q4_0" ? encodeBlocks(tensor.type, piece) : fromFloat32(tensor.type, piece);
    }
    const expected = elements(tensor.shape);
    if (written !== expected) throw new VitrineError(`export: tensor ${quoted(tensor.name)} needs ${expected} numbers, ${written} came`);
    const length = storedLength(tensor.type, expected);
    if (aligned(length) > length) yield new Uint8Array(aligned(length) - length);
  }
}

function aligned(position: number): number {
  return Math.ceil(position / ALIGNMENT) * ALIGNMENT;
}

/** Appends little-endian values to a growing run of bytes. */
class ByteWriter {
  #bytes = new Uint8Array(1 << 16);
  length = 0;

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #room(count: number): DataView {
    if (this.length + count > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length + count, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.length += count;
    return new DataView(this.#bytes.buffer, this.length - count, count);
  }

  raw(bytes: Uint8Array): void {
    const view = this.#room(bytes.length);
    new Uint8Array(view.buffer, view.byteOffset, bytes.length).set(bytes);
  }

  u32(value: number): void {
    this.#room(4).setUint32(0, value, true);
  }

  u64(value: number): void {
    this.#room(8).setBigUint64(0, BigInt(value), true);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  value(value: TypedValue): void {
    if ("u32" in value) {
      this.u32(4);
      this.u32(value.u32);
    } else if ("f32" in value) {
      this.u32(6);
      this.#room(4).setFloat32(0, value.f32, true);
    } else if ("bool" in value) {
      this.u32(7);
      this.raw(Uint8Array.of(value.bool ? 1 : 0));
    } else if ("string" in value) {
      this.u32(8);
      this.string(value.string);
    } else if ("strings" in value) {
      this.#list(8, value.strings.length);
      for (const text of value.strings) this.string(text);
    } else if ("i32s" in value) {
      this.#list(5, value.i32s.length);
      for (const number of value.i32s) this.#room(4).setInt32(0, number, true);
    } else {
      this.#list(6, value.f32s.length);
      for (const number of value.f32s) this.#room(4).setFloat32(0, number, true);
    }
  }

  #list(type: number, count: number): void {
    this.u32(9);
    this.u32(type);
    this.u64(count);
  }
}
