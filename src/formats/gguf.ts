/**
 * Reading GGUF files (version 2 and 3): metadata and tensor table at once, each tensor's bytes only when asked for.
 * Names and shapes are given as ggml has them; gguf-folder.ts shows such a file as a Hugging Face folder, write-gguf.ts is the way back.
 */
import type { ByteSource } from "../base/bytes.ts";
import { toFloat32 } from "../base/dtype.ts";
import { FormatError, internal, quoted } from "../base/errors.ts";
import { elements, type Shape } from "../base/shape.ts";
import { GgufHeaderReader, type GgufValue, HeaderNeedsMore } from "./gguf-header-reader.ts";
import { type GgufType, nameOfType, storedLength, typeNumbered } from "./gguf-type.ts";
import { BLOCK_LENGTH, decodeBlocks, isBlockType } from "./quantised-blocks.ts";
import { tensorNamed } from "./safetensors.ts";
import type { TensorInfo, TensorSource } from "./tensor-source.ts";

/** `dtype` is what reading gives: F32 also for block formats. `shape` has the outermost axis first, as everywhere in Vitrine. */
interface GgufTensor extends TensorInfo {
  readonly type: GgufType;
  /** First byte, counted from the start of the file. */
  readonly start: number;
}

export interface GgufHeader {
  /** The file, for messages. */
  readonly name: string;
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Metadata holds the vocabulary, so it is megabytes; beyond this it is damage. */
const MAX_HEADER_BYTES = 64 * 1024 * 1024;
/** Read at first: most headers whole. */
const FIRST_BYTES = 4 * 1024 * 1024;
/** Elements converted at a time: a multiple of every block length. */
const PIECE = 1 << 21;

/**
 * Reads and checks everything in a GGUF file but its numbers. Does not close the source.
 * Throws FormatError for anything out of order, before anything larger than the file's own header is allocated.
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const most = Math.min(source.size, MAX_HEADER_BYTES);
  for (let length = Math.min(most, FIRST_BYTES); ;) {
    const bytes = await source.read(0, length);
    try {
      return parse(source, new GgufHeaderReader(source.name, bytes, source.size));
    } catch (error) {
      if (!(error instanceof HeaderNeedsMore)) throw error;
      if (error.end > MAX_HEADER_BYTES)
        throw new FormatError(`${source.name}: its header is longer than ${MAX_HEADER_BYTES} bytes; the file is damaged: fetch it again`);
      length = Math.min(most, Math.max(error.end, 4 * length));
    }
  }
}

/** The numbers behind a header, read from `source` (the file the header came from). The result owns `source`. */
export function ggufTensors(source: ByteSource, header: GgufHeader): TensorSource {
  return {
    name: source.name,
    tensors: header.tensors,
    metadata: {},
    read: async (name, start = 0, end) => readTensor(source, tensorNamed(source.name, header.tensors, name), start, end),
    close: () => source.close(),
  };
}

async function readTensor(source: ByteSource, tensor: GgufTensor, start: number, end = elements(tensor.shape)): Promise<Float32Array> {
  const { type, shape, name } = tensor;
  const inside = Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= elements(shape);
  if (!inside) throw internal(`${source.name}: elements ${start} to ${end} of tensor ${quoted(name)}, which has ${elements(shape)}`);

  const unit = isBlockType(type) ? BLOCK_LENGTH : 1;
  const stop = Math.ceil(end / unit) * unit;
  const out = new Float32Array(end - start);
  for (let from = start - (start % unit); from < end; from += PIECE) {
    const to = Math.min(stop, from + PIECE);
    const bytes = await source.read(tensor.start + storedLength(type, from), tensor.start + storedLength(type, to));
    if (bytes.length !== storedLength(type, to - from)) throw new FormatError(`${source.name}: became shorter while it was read; fetch it again`);
    // fp32 is copied as bytes: no second array, and every NaN keeps its bits.
    if (type === "F32") new Uint8Array(out.buffer, (from - start) * 4, bytes.length).set(bytes);
    else {
      const numbers = isBlockType(type) ? decodeBlocks(type, bytes) : toFloat32(type, bytes);
      out.set(numbers.subarray(Math.max(0, start - from), end - from), Math.max(0, from - start));
    }
  }
  return out;
}

function parse(source: ByteSource, reader: GgufHeaderReader): GgufHeader {
  const { name: file } = source;
  if (String.fromCharCode(...reader.bytes(4)) !== "GGUF") throw new FormatError(`${file}: does not begin with "GGUF"; not a GGUF file, or damaged`);
  const version = reader.u32();
  if (version !== 2 && version !== 3) {
    throw new FormatError(`${file}: GGUF version ${version}, supported are 2 and 3; convert the model anew with current tools`);
  }
  const tensorCount = reader.count("tensors", 24); // name length, axes, type, offset: none is shorter
  const valueCount = reader.count("metadata values", 13); // key length, type, one byte

  const values = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = reader.string();
    if (values.has(key)) throw new FormatError(`${file}: metadata key ${quoted(key)} comes twice; the file is damaged: fetch it again`);
    values.set(key, reader.value(reader.u32()));
  }

  const alignment = values.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || !Number.isInteger(alignment) || alignment < 1 || alignment > 1 << 20) {
    throw new FormatError(`${file}: general.alignment is ${String(alignment)}, expected a small power of two; the file is damaged: fetch it again`);
  }
  const claims: Claim[] = [];
  for (let i = 0; i < tensorCount; i++) claims.push(readClaim(file, reader));
  const dataStart = Math.ceil(reader.position / alignment) * alignment;

  const tensors = new Map<string, GgufTensor>();
  for (const claim of claims) {
    if (tensors.has(claim.name)) throw new FormatError(`${file}: tensor ${quoted(claim.name)} comes twice; the file is damaged: fetch it again`);
    tensors.set(claim.name, placed(source, claim, dataStart));
  }
  checkOverlaps(file, tensors);
  return { name: file, values, tensors };
}

/** What the tensor table says about one tensor. */
interface Claim {
  readonly name: string;
  readonly shape: Shape;
  readonly typeNumber: number;
  /** From the start of the data. */
  readonly offset: number;
}

function readClaim(file: string, reader: GgufHeaderReader): Claim {
  const name = reader.string();
  const axes = reader.u32();
  if (axes > 4) throw new FormatError(`${file}: tensor ${quoted(name)} has ${axes} axes, at most 4 exist; the file is damaged: fetch it again`);
  const shape: number[] = [];
  for (let axis = 0; axis < axes; axis++) shape.unshift(reader.u64()); // ggml counts axes from the innermost
  return { name, shape, typeNumber: reader.u32(), offset: reader.u64() };
}

function placed(source: ByteSource, { name, shape, typeNumber, offset }: Claim, dataStart: number): GgufTensor {
  const refuse = (problem: string): never => {
    throw new FormatError(`${source.name}: tensor ${quoted(name)} ${problem}`);
  };
  const type = typeNumbered(typeNumber);
  if (type === undefined) return refuse(`is ${nameOfType(typeNumber)}; supported are F32, F16, BF16, Q8_0 and Q4_0: use such a version of the model`);
  const count = elements(shape);
  if (!Number.isSafeInteger(count)) refuse(`claims ${count} elements; the file is damaged: fetch it again`);
  const row = shape.at(-1) ?? 1;
  if (isBlockType(type) && row % BLOCK_LENGTH !== 0)
    refuse(`is ${type} with rows of ${row}, not a multiple of ${BLOCK_LENGTH}; the file is damaged: fetch it again`);
  const byteLength = storedLength(type, count);
  const start = dataStart + offset;
  if (!(start + byteLength <= source.size)) {
    refuse(`reaches byte ${start + byteLength} of the file, which has only ${source.size}; it is cut short: fetch it again`);
  }
  const kind = isBlockType(type) ? ({ dtype: "F32", blocks: type } as const) : { dtype: type };
  return { name, ...kind, type, shape: Object.freeze(shape), byteLength, start };
}

function checkOverlaps(file: string, tensors: ReadonlyMap<string, GgufTensor>): void {
  let before: GgufTensor | undefined;
  for (const tensor of [...tensors.values()].sort((a, b) => a.start - b.start || a.byteLength - b.byteLength)) {
    if (before && tensor.start < before.start + before.byteLength) {
      throw new FormatError(`${file}: tensors ${quoted(before.name)} and ${quoted(tensor.name)} overlap; the file is damaged: fetch it again`);
    }
    before = tensor;
  }
}
