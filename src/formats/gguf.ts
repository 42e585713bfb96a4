/**
 * Reading GGUF files (version 2 and 3): metadata and tensor table at once, each tensor's bytes only when asked for.
 * Names and shapes are given as ggml has them; gguf-model.ts translates them to a Hugging Face folder's, write-gguf.ts is the way back.
 */
import type { ByteSource } from "../base/bytes.ts";
import { type FloatType, bytesPerElement, toFloat32 } from "../base/dtype.ts";
import { FormatError, internal, quoted } from "../base/errors.ts";
import { elements, type Shape } from "../base/shape.ts";
import { BLOCK_LENGTH, blockBytes, type BlockType, decodeBlocks } from "./quantised-blocks.ts";
import { tensorNamed } from "./safetensors.ts";
import type { TensorInfo, TensorSource } from "./tensor-source.ts";

export type GgufValue = number | boolean | string | readonly GgufValue[];

export interface GgufFile extends TensorSource {
  readonly values: ReadonlyMap<string, GgufValue>;
}

/** ggml's numbers for the tensor types read here. */
export const tensorTypes: Readonly<Record<FloatType | BlockType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, BF16: 30 };

/** Bytes that `count` numbers take; blocks must be whole. */
export function storedLength(type: FloatType | BlockType, count: number): number {
  return type === "Q8_0" || type === "Q4_0" ? (count / BLOCK_LENGTH) * blockBytes[type] : count * bytesPerElement[type];
}

interface PlacedTensor extends TensorInfo {
  readonly type: FloatType | BlockType;
  readonly start: number;
}

/** Metadata holds the vocabulary, so it is megabytes; beyond this it is damage. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
const MAX_NESTING = 4;
/** Elements converted at a time: a multiple of every block length. */
const PIECE = 1 << 21;

/** Opens a GGUF file, reading its header alone. The result owns `source` and closes it; so does a failure here. Throws FormatError for anything out of order. */
export async function openGguf(source: ByteSource): Promise<GgufFile> {
  try {
    const { values, tensors } = await readGgufHeader(source);
    return {
      name: source.name,
      values,
      tensors,
      metadata: {},
      read: (name, start = 0, end) => readTensor(source, tensorNamed(source.name, tensors, name), start, end),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readTensor(source: ByteSource, tensor: PlacedTensor, start: number, end = elements(tensor.shape)): Promise<Float32Array> {
  if (!(start >= 0 && start <= end && end <= elements(tensor.shape))) throw internal(`${source.name}: elements ${start} to ${end} of ${quoted(tensor.name)}`);
  const unit = tensor.type === "Q8_0" || tensor.type === "Q4_0" ? BLOCK_LENGTH : 1;
  const out = new Float32Array(end - start);
  for (let from = start - (start % unit); from < end; from += PIECE) {
    const to = Math.min(Math.ceil(end / unit) * unit, from + PIECE);
    const bytes = await source.read(tensor.start + storedLength(tensor.type, from), tensor.start + storedLength(tensor.type, to));
    const numbers = unit === 1 ? toFloat32(tensor.type as FloatType, bytes) : decodeBlocks(tensor.type as BlockType, bytes);
    out.set(numbers.subarray(Math.max(0, start - from), end - from), Math.max(0, from - start));
  }
  return out;
}

async function readGgufHeader(source: ByteSource): Promise<{ values: Map<string, GgufValue>; tensors: Map<string, PlacedTensor> }> {
  const reader = new HeaderReader(source);
  const magic = await reader.bytes(4);
  if (String.fromCharCode(...magic) !== "GGUF") throw new FormatError(`${source.name}: does not begin with "GGUF"; not a GGUF file, or damaged`);
  const version = await reader.u32();
  if (version !== 2 && version !== 3) throw new FormatError(`${source.name}: GGUF version ${version}, supported are 2 and 3; convert it anew with current tools`);
  const tensorCount = await reader.u64();
  const valueCount = await reader.u64();

  const values = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = await reader.string();
    if (values.has(key)) throw new FormatError(`${source.name}: metadata key ${quoted(key)} comes twice; the file is damaged`);
    values.set(key, await reader.value(await reader.u32(), 0));
  }

  const alignment = values.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment % 1 !== 0) throw new FormatError(`${source.name}: general.alignment is ${String(alignment)}`);
  const claims: { name: string; shape: Shape; type: number; offset: number }[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = await reader.string();
    const axes = await reader.u32();
    if (axes > 4) throw new FormatError(`${source.name}: tensor ${quoted(name)} has ${axes} axes, at most 4 exist; the file is damaged`);
    const shape: number[] = [];
    for (let axis = 0; axis < axes; axis++) shape.unshift(await reader.u64()); // ggml counts axes from the innermost
    claims.push({ name, shape, type: await reader.u32(), offset: await reader.u64() });
  }
  const dataStart = Math.ceil(reader.position / alignment) * alignment;

  const tensors = new Map<string, PlacedTensor>();
  for (const { name, shape, type, offset } of claims) {
    if (tensors.has(name)) throw new FormatError(`${source.name}: tensor ${quoted(name)} comes twice; the file is damaged`);
    tensors.set(name, placed(source, name, shape, type, dataStart + offset));
  }
  checkOverlaps(source.name, tensors);
  return { values, tensors };
}

function placed(source: ByteSource, name: string, shape: Shape, typeNumber: number, start: number): PlacedTensor {
  const type = (Object.keys(tensorTypes) as (FloatType | BlockType)[]).find((each) => tensorTypes[each] === typeNumber);
  if (type === undefined) {
    throw new FormatError(`${source.name}: tensor ${quoted(name)} has ggml type ${typeNumber}; supported are F32, F16, BF16, Q8_0 and Q4_0: use such a version of the model`);
  }
  const count = elements(shape);
  if (!Number.isSafeInteger(count)) throw new FormatError(`${source.name}: tensor ${quoted(name)} claims ${count} elements; the file is damaged`);
  if ((type === "Q8_0" || type === "Q4_0") && (shape.at(-1) ?? 0) % BLOCK_LENGTH !== 0) {
    throw new FormatError(`${source.name}: tensor ${quoted(name)} is ${type} with rows of ${shape.at(-1)}, not a multiple of ${BLOCK_LENGTH}; the file is damaged`);
  }
  const byteLength = storedLength(type, count);
  if (!Number.isSafeInteger(start) || start + byteLength > source.size) {
    throw new FormatError(`${source.name}: tensor ${quoted(name)} reaches byte ${start + byteLength}, the file ends at ${source.size}; it is cut short: fetch it again`);
  }
  return { name, dtype: type === "Q8_0" || type === "Q4_0" ? "F32" : type, type, shape, byteLength, start };
}

function checkOverlaps(file: string, tensors: ReadonlyMap<string, PlacedTensor>): void {
  let before: PlacedTensor | undefined;
  for (const tensor of [...tensors.values()].sort((a, b) => a.start - b.start || a.byteLength - b.byteLength)) {
    if (before && tensor.start < before.start + before.byteLength) {
      throw new FormatError(`${file}: tensors ${quoted(before.name)} and ${quoted(tensor.name)} overlap; the file is damaged`);
    }
    before = tensor;
  }
}

/** Little-endian numbers, strings and typed values one after the other, read ahead in windows. */
class HeaderReader {
  readonly #source: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;
  position = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async bytes(count: number): Promise<Uint8Array> {
    const { name, size } = this.#source;
    const end = this.position + count;
    if (end > size) throw new FormatError(`${name}: its header wants byte ${end}, the file ends at ${size}; it is cut short or damaged`);
    if (end > MAX_HEADER_BYTES) throw new FormatError(`${name}: its header is longer than ${MAX_HEADER_BYTES} bytes; the file is damaged`);
    if (end > this.#windowStart + this.#window.length) {
      this.#window = await this.#source.read(this.position, Math.min(size, Math.max(end, this.position + (1 << 20))));
      this.#windowStart = this.position;
    }
    const from = this.position - this.#windowStart;
    this.position = end;
    return this.#window.subarray(from, from + count);
  }

  async view(count: number): Promise<DataView> {
    const bytes = await this.bytes(count);
    return new DataView(bytes.buffer, bytes.byteOffset, count);
  }

  async u32(): Promise<number> {
    return (await this.view(4)).getUint32(0, true);
  }

  async u64(): Promise<number> {
    const value = Number((await this.view(8)).getBigUint64(0, true));
    if (!Number.isSafeInteger(value)) throw new FormatError(`${this.#source.name}: a count of ${value} in its header; the file is damaged`);
    return value;
  }

  async string(): Promise<string> {
    return new TextDecoder().decode((await this.bytes(await this.u64())).slice());
  }

  /** A value of a GGUF type: 0-12 as numbered in the specification. */
  async value(type: number, depth: number): Promise<GgufValue> {
    switch (type) {
      case 0:
        return (await this.view(1)).getUint8(0);
      case 1:
        return (await this.view(1)).getInt8(0);
      case 2:
        return (await this.view(2)).getUint16(0, true);
      case 3:
        return (await this.view(2)).getInt16(0, true);
      case 4:
        return this.u32();
      case 5:
        return (await this.view(4)).getInt32(0, true);
      case 6:
        return (await this.view(4)).getFloat32(0, true);
      case 7:
        return (await this.view(1)).getUint8(0) !== 0;
      case 8:
        return this.string();
      case 9:
        return this.array(depth);
      case 10:
        return this.u64();
      case 11:
        return Number((await this.view(8)).getBigInt64(0, true));
      case 12:
        return (await this.view(8)).getFloat64(0, true);
      default:
        throw new FormatError(`${this.#source.name}: a metadata value of type ${type}, which GGUF does not have; the file is damaged`);
    }
  }

  async array(depth: number): Promise<GgufValue[]> {
    if (depth >= MAX_NESTING) throw new FormatError(`${this.#source.name}: metadata lists nested deeper than ${MAX_NESTING}; the file is damaged`);
    const type = await this.u32();
    const count = await this.u64();
    if (count > this.#source.size - this.position) throw new FormatError(`${this.#source.name}: a list of ${count} values in its header; the file is damaged`);
    const list: GgufValue[] = [];
    for (let i = 0; i < count; i++) list.push(await this.value(type, depth + 1));
    return list;
  }
}
