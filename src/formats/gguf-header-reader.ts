/**
 * The elements of a GGUF header, one after the other: little-endian numbers, strings and typed values (gguf.md of ggml).
 * What they must add up to is gguf.ts's business.
 */
import { FormatError } from "../base/errors.ts";

export type GgufValue = number | boolean | string | readonly GgufValue[];

/** Thrown when the header goes on past the bytes at hand, which may be only the beginning of the file. */
export class HeaderNeedsMore extends Error {
  /** One past the last byte wanted. */
  readonly end: number;

  constructor(end: number) {
    super(`header goes on to byte ${end}`);
    this.end = end;
  }
}

const MAX_NESTING = 4;
/** Sixteen times the largest vocabularies in use. */
const MAX_LIST = 1 << 22;

/** GGUF's numbers for its two types of no fixed size. */
const STRING = 8;
const LIST = 9;

/** Reads on from `position`. Throws FormatError for what no GGUF file may say, HeaderNeedsMore past the bytes at hand. */
export class GgufHeaderReader {
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileSize: number;
  // A byte order mark is a token like any other in some vocabularies.
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  position = 0;

  /** `bytes` is the beginning of a file of `fileSize` bytes; `name` is what messages call it. */
  constructor(name: string, bytes: Uint8Array, fileSize: number) {
    this.#name = name;
    this.#bytes = bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice(); // browsers refuse to decode shared memory
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    this.#fileSize = fileSize;
  }

  bytes(count: number): Uint8Array {
    const at = this.#advance(count);
    return this.#bytes.subarray(at, at + count);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** A size or place. Throws FormatError where a double could not hold it. */
  u64(): number {
    const value = Number(this.#view.getBigUint64(this.#advance(8), true));
    if (!Number.isSafeInteger(value)) throw this.#damaged(`says ${value} where a size was expected`);
    return value;
  }

  /** How many things follow, each of at least `least` bytes. Throws FormatError when the file cannot hold them. */
  count(what: string, least: number): number {
    const count = this.u64();
    if (count * least > this.#fileSize - this.position) throw this.#damaged(`claims ${count} ${what}, more than the file can hold`);
    return count;
  }

  string(): string {
    const at = this.position;
    const bytes = this.bytes(this.count("bytes of text", 1));
    try {
      return this.#utf8.decode(bytes);
    } catch (cause) {
      throw this.#damaged(`has text at byte ${at} that is not UTF-8`, cause);
    }
  }

  /** A value of one of GGUF's types, as numbered in its specification. */
  value(type: number, depth = 0): GgufValue {
    switch (type) {
      case 0:
        return this.#view.getUint8(this.#advance(1));
      case 1:
        return this.#view.getInt8(this.#advance(1));
      case 2:
        return this.#view.getUint16(this.#advance(2), true);
      case 3:
        return this.#view.getInt16(this.#advance(2), true);
      case 4:
        return this.u32();
      case 5:
        return this.#view.getInt32(this.#advance(4), true);
      case 6:
        return this.#view.getFloat32(this.#advance(4), true);
      case 7:
        return this.#view.getUint8(this.#advance(1)) !== 0;
      case STRING:
        return this.string();
      case LIST:
        return this.#list(depth);
      case 10:
        return Number(this.#view.getBigUint64(this.#advance(8), true));
      case 11:
        return Number(this.#view.getBigInt64(this.#advance(8), true));
      case 12:
        return this.#view.getFloat64(this.#advance(8), true);
      default:
        throw this.#damaged(`has a value of type ${type}, which GGUF does not know`);
    }
  }

  #list(depth: number): GgufValue[] {
    if (depth >= MAX_NESTING) throw this.#damaged(`has lists nested deeper than ${MAX_NESTING}`);
    const type = this.u32();
    const count = this.count("values in a list", 1);
    if (count > MAX_LIST) throw this.#damaged(`has a list of ${count} values`);
    const list: GgufValue[] = [];
    for (let i = 0; i < count; i++) list.push(this.value(type, depth + 1));
    return list;
  }

  #advance(count: number): number {
    const at = this.position;
    const end = at + count;
    if (end > this.#fileSize) throw new FormatError(`${this.#name}: its header goes on past the end of the file; it is cut short: fetch it again`);
    if (end > this.#bytes.length) throw new HeaderNeedsMore(end);
    this.position = end;
    return at;
  }

  #damaged(problem: string, cause?: unknown): FormatError {
    return new FormatError(`${this.#name}: its header ${problem}; the file is damaged: fetch it again`, { cause });
  }
}
