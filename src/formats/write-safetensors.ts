/**
 * Writing safetensors files as a stream: the header first, then one block of numbers after the other.
 * What is written where, and that it appears whole or not at all, is the FolderWriter's job.
 */
import { bytesPerElement, type FloatType, fromFloat32, overflowsFrom } from "../base/dtype.ts";
import { quoted, VitrineError } from "../base/errors.ts";
import { elements, type Shape, showShape } from "../base/shape.ts";
import { MAX_HEADER_BYTES } from "./safetensors-header.ts";

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: FloatType;
  readonly shape: Shape;
  /** All elements in row-major order, at once or in pieces of any length; pieces are asked for only when their turn comes. */
  readonly values: Float32Array | Iterable<Float32Array> | AsyncIterable<Float32Array>;
}

/** Elements converted and handed on at a time. */
const BLOCK = 1 << 20;

/**
 * The bytes of a safetensors file. The header is padded with spaces to a multiple of 8, and tensors of wider numbers come
 * first (else in the order given), so that every tensor is aligned as the format asks. Numbers round to nearest, ties to even.
 * Throws VitrineError at once for bad names and shapes; while streaming, when a tensor gives too few or too many numbers,
 * or a finite one too large for its dtype.
 */
export function writeSafetensors(tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>> = {}): AsyncIterable<Uint8Array> {
  const ordered = tensors.toSorted((a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype]);
  const header = encodeHeader(ordered, metadata);
  return stream(header, ordered);
}

async function* stream(header: Uint8Array, tensors: readonly TensorToWrite[]): AsyncGenerator<Uint8Array, void> {
  yield header;
  for (const tensor of tensors) {
    const { name, dtype, shape, values } = tensor;
    const expected = elements(shape);
    let written = 0;
    for await (const piece of values instanceof Float32Array ? [values] : values) {
      written += piece.length;
      if (written > expected) break;
      for (let from = 0; from < piece.length; from += BLOCK) {
        const block = piece.subarray(from, from + BLOCK);
        checkFits(name, dtype, block);
        yield fromFloat32(dtype, block);
      }
    }
    if (written !== expected) {
      const came = written > expected ? "more" : `only ${written}`;
      throw new VitrineError(`save: tensor ${quoted(name)} of shape ${showShape(shape)} needs ${expected} numbers, ${came} came`);
    }
  }
}

function checkFits(name: string, dtype: FloatType, values: Float32Array): void {
  const limit = overflowsFrom[dtype];
  if (limit === Infinity) return;
  for (const value of values) {
    const size = Math.abs(value);
    if (size >= limit && size !== Infinity)
      throw new VitrineError(`save: tensor ${quoted(name)} holds ${value}, too large for ${dtype}; save it as F32`);
  }
}

function encodeHeader(tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(["__metadata__", metadata]);
  const names = new Set<string>(["__metadata__"]);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name)) {
      const cure = name === "__metadata__" ? "the format keeps it for metadata; rename the tensor" : "write each name once";
      throw new VitrineError(`save: tensor name ${quoted(name)} is taken: ${cure}`);
    }
    names.add(name);
    if (/\p{Surrogate}/u.test(name))
      throw new VitrineError(`save: tensor name ${quoted(name)} holds half a character, which UTF-8 cannot write; rename it`);
    const end = offset + elements(shape) * bytesPerElement[dtype];
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0) || !Number.isSafeInteger(end)) {
      throw new VitrineError(`save: tensor ${quoted(name)} has shape ${showShape(shape)}, expected whole numbers from 0 on`);
    }
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }

  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(json.length / 8) * 8;
  if (length > MAX_HEADER_BYTES)
    throw new VitrineError(`save: the header takes ${length} bytes, the format allows ${MAX_HEADER_BYTES}; use fewer tensors or metadata`);
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}
