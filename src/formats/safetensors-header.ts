/**
 * The header of a safetensors file, checked in full before a byte of data is used:
 * 8 bytes header length (little endian), JSON, then the data, every byte of which belongs to exactly one tensor
 * (format: the README of huggingface/safetensors). Reading data and writing files is safetensors.ts's and write-safetensors.ts's job.
 */
import { type ByteSource, decodeUtf8 } from "../base/bytes.ts";
import { FormatError, nearest, quoted } from "../base/errors.ts";
import { describe, isJsonObject, type JsonObject, parseJsonObject } from "../base/json.ts";
import { type Shape, showShape } from "../base/shape.ts";
import { isStoredType, storedBytes, type StoredType } from "./stored-type.ts";
import type { TensorInfo } from "./tensor-source.ts";

/** The format's own cap on the header's length. */
export const MAX_HEADER_BYTES = 100_000_000;

export interface PlacedTensor extends TensorInfo {
  /** First byte, counted from the start of the file. */
  readonly start: number;
}

export interface SafetensorsHeader {
  /** In the order of the file's data. */
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Types the format knows and nothing here can use; naming them tells the reader that the file is not broken. */
const unsupportedTypes = ["F8_E5M2", "F8_E4M3", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4", "C64"];

/** Reads the header, touching only its bytes. Throws FormatError naming the file, the tensor and the cure. */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const { name, size } = source;
  const lengthBytes = await source.read(0, Math.min(8, size));
  const length = lengthBytes.length === 8 ? Number(new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0, true)) : undefined;
  const problem = headerProblem(length, size);
  if (problem !== undefined || length === undefined) {
    const foreign = foreignFormat(await source.read(0, Math.min(64, size)));
    throw new FormatError(`${name}: ${foreign ?? problem}`);
  }
  const headerName = `${name} (header)`;
  const text = decodeUtf8(headerName, await source.read(8, 8 + length));
  if (!text.startsWith("{")) throw new FormatError(`${name}: its header does not begin with "{"; this is not a safetensors file, or it is damaged`);
  return checkHeader(name, parseJsonObject(headerName, text), 8 + length, size);
}

function headerProblem(length: number | undefined, size: number): string | undefined {
  if (length === undefined) return `${size} bytes, too short for a safetensors file; fetch it again`;
  if (length > MAX_HEADER_BYTES)
    return `claims a header of ${length} bytes, the format allows ${MAX_HEADER_BYTES}; not a safetensors file, or damaged`;
  if (length < 2) return `claims a header of ${length} bytes, "{}" at least was expected; not a safetensors file, or damaged`;
  if (8 + length > size) return `claims a header of ${length} bytes and the file ends after ${size}; it is cut short: fetch it again`;
  return undefined;
}

/** What people meet under this name instead of a safetensors file. Read as a length, the first bytes of each are absurd, so all of them land here. */
function foreignFormat(start: Uint8Array): string | undefined {
  const text = String.fromCharCode(...start.subarray(0, 64));
  if (text.startsWith("version https://git-lfs"))
    return "a Git LFS pointer, not the weights themselves; run `git lfs pull` in its repository, or download the file";
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return "a web page, not weights (a failed download?); fetch it again";
  if (text.startsWith("GGUF")) return "a GGUF file under another name, expected safetensors; use the model's safetensors version";
  if (text.startsWith("PK\u0003\u0004"))
    return "a zip archive (perhaps a PyTorch checkpoint), expected safetensors; convert it with save_pretrained in Python";
  return undefined;
}

function checkHeader(file: string, header: JsonObject, dataStart: number, fileSize: number): SafetensorsHeader {
  const placed: PlacedTensor[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") placed.push(checkTensor(`${file}: tensor ${quoted(name)}`, name, entry, dataStart, fileSize));
  }
  placed.sort((a, b) => a.start - b.start || a.byteLength - b.byteLength);

  // The tensors must tile the data: no byte twice, none unowned.
  let end = dataStart;
  let before = "the header";
  for (const { name, start, byteLength } of placed) {
    if (start < end) throw new FormatError(`${file}: tensor ${quoted(name)} overlaps ${before}; the file is damaged: fetch it again`);
    if (start > end) {
      throw new FormatError(
        `${file}: ${start - end} bytes between ${before} and tensor ${quoted(name)} belong to no tensor; the file is damaged: fetch it again`,
      );
    }
    end = start + byteLength;
    before = `tensor ${quoted(name)}`;
  }
  if (end !== fileSize)
    throw new FormatError(`${file}: ${fileSize - end} bytes after ${before} belong to no tensor; the file is damaged: fetch it again`);

  return { tensors: new Map(placed.map((tensor) => [tensor.name, tensor])), metadata: checkMetadata(file, header["__metadata__"]) };
}

function checkTensor(where: string, name: string, entry: unknown, dataStart: number, fileSize: number): PlacedTensor {
  const refuse = (problem: string): never => {
    throw new FormatError(`${where}: ${problem}`);
  };
  if (!isJsonObject(entry)) return refuse(`${describe(entry)}, expected {"dtype", "shape", "data_offsets"}; the file is damaged: fetch it again`);
  const dtype = checkType(entry["dtype"], refuse);
  const shape = checkShape(entry["shape"], refuse);
  const count = shape.reduce((product, size) => {
    const next = product * size;
    return Number.isSafeInteger(next)
      ? next
      : refuse(`shape ${showShape(shape)} has more elements than can be counted; the file is damaged: fetch it again`);
  }, 1);

  const offsets = entry["data_offsets"];
  if (!Array.isArray(offsets) || offsets.length !== 2 || !isSize(offsets[0]) || !isSize(offsets[1])) {
    return refuse(`data_offsets ${show(offsets)}, expected [begin, end] as two whole numbers; the file is damaged: fetch it again`);
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) refuse(`data_offsets ${show(offsets)} end before they begin; the file is damaged: fetch it again`);
  const byteLength = count * storedBytes[dtype];
  if (end - begin !== byteLength) {
    const spans = `data_offsets ${show(offsets)} span ${end - begin}`;
    refuse(`shape ${showShape(shape)} of ${dtype} takes ${byteLength} bytes, ${spans}; the file is damaged: fetch it again`);
  }
  if (end > fileSize - dataStart) {
    refuse(`ends at byte ${dataStart + end} of the file, which has only ${fileSize}; the file is cut short: fetch it again`);
  }
  return { name, dtype, shape, byteLength, start: dataStart + begin };
}

function checkType(dtype: unknown, refuse: (problem: string) => never): StoredType {
  if (typeof dtype !== "string") return refuse(`dtype is ${describe(dtype)}, expected a name such as "F32"`);
  if (isStoredType(dtype)) return dtype;
  const known = Object.keys(storedBytes);
  if (unsupportedTypes.includes(dtype)) {
    return refuse(`dtype ${quoted(dtype)} is not supported (${known.join(", ")} are); use an F32, F16 or BF16 version of the model`);
  }
  const meant = nearest(dtype, known);
  const guess = meant ? `; did the writer mean "${meant}"? Fetch` : `, expected one of ${known.join(", ")}; fetch`;
  return refuse(`unknown dtype ${quoted(dtype)}${guess} it again, or save it as F32, F16 or BF16`);
}

function checkShape(shape: unknown, refuse: (problem: string) => never): Shape {
  if (Array.isArray(shape) && shape.every(isSize)) return Object.freeze(shape);
  return refuse(`shape ${show(shape)}, expected an array of whole numbers from 0 on; the file is damaged: fetch it again`);
}

/** A whole number that a double holds exactly; larger ones have been rounded by JSON.parse and cannot be believed. */
function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

function checkMetadata(file: string, metadata: unknown): Readonly<Record<string, string>> {
  if (metadata === undefined) return Object.freeze({});
  if (!isJsonObject(metadata))
    throw new FormatError(`${file}: __metadata__ is ${describe(metadata)}, expected an object of texts; the file is damaged: fetch it again`);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== "string")
      throw new FormatError(`${file}: __metadata__ ${quoted(key)} is ${describe(value)}, expected a text; write it as one`);
  }
  return Object.freeze(metadata) as Readonly<Record<string, string>>;
}

function show(value: unknown): string {
  const text = value === undefined ? "missing" : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
