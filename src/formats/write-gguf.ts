/**
 * Writing GGUF files (version 3) as a stream: header first, then each tensor at its aligned place.
 * What a model's file holds is gguf-model.ts's and gguf-tokenizer.ts's business; that it appears whole or not at all, the FolderWriter's.
 */
import { fromFloat32, overflowsFrom } from "../base/dtype.ts";
import { quoted, VitrineError } from "../base/errors.ts";
import { elements, type Shape, showShape } from "../base/shape.ts";
import { type GgufType, storedLength, typeNumbers } from "./gguf-type.ts";
import { BLOCK_LENGTH, blockOverflowsFrom, encodeBlocks, isBlockType } from "./quantised-blocks.ts";

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
  readonly type: GgufType;
  /** Outermost axis first, as everywhere in Vitrine. */
  readonly shape: Shape;
  /** All elements in row-major order, in pieces of whole rows; asked for when their turn comes. */
  readonly values: () => AsyncIterable<Float32Array>;
}

/** Where each tensor begins, as a multiple of bytes: the format's default. */
const ALIGNMENT = 32;
/** Elements converted and handed on at a time: a multiple of the block length. */
const BLOCK = 1 << 20;

/** Whether a tensor of this shape can have this type: blocks must not reach from one row into the next. */
export function fitsType(type: GgufType, shape: Shape): boolean {
  return !isBlockType(type) || (shape.at(-1) ?? 1) % BLOCK_LENGTH === 0;
}

/**
 * The bytes of a GGUF file. Numbers round to nearest; what that means in blocks is quantised-blocks.ts's.
 * Throws VitrineError at once for a tensor that cannot be stored as asked; while streaming, when a tensor gives
 * too few or too many numbers, or a finite one too large for its type.
 */
export function writeGguf(values: ReadonlyMap<string, TypedValue>, tensors: readonly GgufTensorToWrite[]): AsyncIterable<Uint8Array> {
  return stream(encodeHeader(values, tensors), tensors);
}

async function* stream(header: Uint8Array, tensors: readonly GgufTensorToWrite[]): AsyncGenerator<Uint8Array, void> {
  yield header;
  for (const { name, type, shape, values } of tensors) {
    const expected = elements(shape);
    let written = 0;
    for await (const piece of values()) {
      written += piece.length;
      if (written > expected) break;
      for (let from = 0; from < piece.length; from += BLOCK) {
        const block = piece.subarray(from, from + BLOCK);
        checkFits(name, type, block);
        yield isBlockType(type) ? encodeBlocks(type, block) : fromFloat32(type, block);
      }
    }
    if (written !== expected) {
      const came = written > expected ? "more" : `only ${written}`;
      throw new VitrineError(`export: tensor ${quoted(name)} of shape ${showShape(shape)} needs ${expected} numbers, ${came} came`);
    }
    const length = storedLength(type, expected);
    if (aligned(length) > length) yield new Uint8Array(aligned(length) - length);
  }
}

function checkFits(name: string, type: GgufType, values: Float32Array): void {
  const limit = isBlockType(type) ? blockOverflowsFrom(type) : overflowsFrom[type];
  if (limit === Infinity) return;
  // A float may be infinite or no number at all; one such number in a block would take its 31 neighbours with it.
  const allowed = isBlockType(type) ? (size: number) => size < limit : (size: number) => !(size >= limit) || size === Infinity;
  for (const value of values) {
    if (!allowed(Math.abs(value))) throw new VitrineError(`export: tensor ${quoted(name)} holds ${value}, which ${type} cannot hold; export as f32`);
  }
}

function encodeHeader(values: ReadonlyMap<string, TypedValue>, tensors: readonly GgufTensorToWrite[]): Uint8Array {
  const header = new ByteWriter();
  header.raw(new TextEncoder().encode("GGUF"));
  header.u32(3);
  header.u64(tensors.length);
  header.u64(values.size);
  for (const [key, value] of values) {
    header.string(key);
    header.value(value);
  }
  const names = new Set<string>();
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    if (names.has(name)) throw new VitrineError(`export: two tensors are called ${quoted(name)}; write each name once`);
    names.add(name);
    if (!fitsType(type, shape)) {
      throw new VitrineError(
        `export: tensor ${quoted(name)} ${showShape(shape)} has rows that are no multiple of ${BLOCK_LENGTH}, so it cannot be ${type}; write it as F16`,
      );
    }
    header.string(name);
    header.u32(shape.length);
    for (const size of shape.toReversed()) header.u64(size); // ggml counts axes from the innermost
    header.u32(typeNumbers[type]);
    header.u64(offset);
    offset = aligned(offset + storedLength(type, elements(shape)));
  }
  header.raw(new Uint8Array(aligned(header.length) - header.length));
  return header.bytes();
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

  raw(bytes: Uint8Array): void {
    const { byteOffset } = this.#room(bytes.length);
    this.#bytes.set(bytes, byteOffset);
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
      this.#f32(value.f32);
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
      for (const number of value.i32s) this.u32(number >>> 0);
    } else {
      this.#list(6, value.f32s.length);
      for (const number of value.f32s) this.#f32(number);
    }
  }

  #f32(value: number): void {
    this.#room(4).setFloat32(0, value, true);
  }

  #list(type: number, count: number): void {
    this.u32(9);
    this.u32(type);
    this.u64(count);
  }

  /** The next `count` bytes. */
  #room(count: number): DataView {
    if (this.length + count > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length + count, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.length += count;
    return new DataView(this.#bytes.buffer, this.length - count, count);
  }
}
