/**
 * Memory for buffers and matrices: an allocator over one growing WebAssembly.Memory.
 * Small blocks come from free lists by size class, since every forward pass asks for and returns the same hundred sizes;
 * large ones are fitted best, split and merged. All blocks begin on 64-byte lines. What lies in them is others' business.
 */
import { VitrineError } from "../../base/errors.ts";

const line = 64;
const page = 65536;
/** Blocks up to this size have classes, eight to a doubling (at most an eighth is wasted). */
const largestSmall = 32768;
const slabSize = 262144;
const growthStep = 16 * 1024 * 1024;

export class Heap {
  readonly memory: WebAssembly.Memory;
  /** Views of all memory there is now; take them afresh after anything that may allocate. */
  f32: Float32Array = new Float32Array();
  i32: Int32Array = new Int32Array();

  readonly #limit: number;
  readonly #grown: (() => void) | undefined;
  /** Everything from here on was never handed out, so it is still zero. */
  #end: number;
  #size = 0;
  #inUse = 0;
  readonly #small: number[][] = [];
  #slabAt = 0;
  #slabEnd = 0;
  /** Free large blocks by address; no two touch. */
  readonly #freeAt: number[] = [];
  readonly #freeSize: number[] = [];

  /** `start`: the first free byte; `limit`: where memory may grow to; `grown` is called when it did. */
  constructor(memory: WebAssembly.Memory, start: number, limit: number, grown?: () => void) {
    this.memory = memory;
    this.#grown = grown;
    this.#end = (start + line - 1) & -line;
    this.#limit = limit - page; // so that no address sum wraps around
    this.#view();
  }

  /** Bytes handed out, rounding included. */
  get inUse(): number {
    return this.#inUse;
  }

  /** The address of a fresh block; what is in it is undefined. */
  allocate(bytes: number): number {
    if (bytes > largestSmall) return this.#takeLarge(lines(bytes));
    const index = classOf(bytes);
    const size = sizeOf(index);
    this.#inUse += size;
    const list = this.#small[index];
    if (list !== undefined && list.length > 0) return list.pop()!;
    if (this.#slabAt + size > this.#slabEnd) {
      this.#inUse -= size;
      this.#slabAt = this.#takeLarge(slabSize);
      this.#inUse += size - slabSize;
      this.#slabEnd = this.#slabAt + slabSize;
    }
    const at = this.#slabAt;
    this.#slabAt += size;
    return at;
  }

  allocateZeroed(bytes: number): number {
    const fresh = this.#end;
    const at = this.allocate(bytes);
    const used = Math.min(at + bytes, bytes > largestSmall ? fresh : Infinity);
    if (used > at) this.f32.fill(0, at / 4, Math.ceil(used / 4));
    return at;
  }

  /** Returns a block; `bytes` is what was asked for. */
  free(at: number, bytes: number): void {
    if (bytes > largestSmall) {
      this.#inUse -= lines(bytes);
      this.#giveLarge(at, lines(bytes));
      return;
    }
    const index = classOf(bytes);
    this.#inUse -= sizeOf(index);
    (this.#small[index] ??= []).push(at);
  }

  /** The smallest free block that holds `size`, else new memory. */
  #takeLarge(size: number): number {
    let best = -1;
    for (let i = 0; i < this.#freeSize.length; i++) if (this.#freeSize[i] >= size && (best < 0 || this.#freeSize[i] < this.#freeSize[best])) best = i;
    if (best >= 0) {
      const at = this.#freeAt[best];
      this.#inUse += size;
      if (this.#freeSize[best] === size) {
        this.#freeAt.splice(best, 1);
        this.#freeSize.splice(best, 1);
      } else {
        this.#freeAt[best] += size;
        this.#freeSize[best] -= size;
      }
      return at;
    }
    // A free block at the very end only needs the rest.
    const last = this.#freeAt.length - 1;
    const tail = last >= 0 && this.#freeAt[last] + this.#freeSize[last] === this.#end ? this.#freeSize[last] : 0;
    this.#grow(size - tail, size);
    const at = this.#end - tail;
    if (tail > 0) {
      this.#freeAt.pop();
      this.#freeSize.pop();
    }
    this.#end = at + size;
    this.#inUse += size;
    return at;
  }

  #giveLarge(at: number, size: number): void {
    let low = 0;
    for (let high = this.#freeAt.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#freeAt[middle] < at) low = middle + 1;
      else high = middle;
    }
    const joinsLeft = low > 0 && this.#freeAt[low - 1] + this.#freeSize[low - 1] === at;
    const joinsRight = low < this.#freeAt.length && at + size === this.#freeAt[low];
    if (joinsLeft) {
      this.#freeSize[low - 1] += size + (joinsRight ? this.#freeSize[low] : 0);
      if (joinsRight) {
        this.#freeAt.splice(low, 1);
        this.#freeSize.splice(low, 1);
      }
    } else if (joinsRight) {
      this.#freeAt[low] = at;
      this.#freeSize[low] += size;
    } else {
      this.#freeAt.splice(low, 0, at);
      this.#freeSize.splice(low, 0, size);
    }
  }

  /** Makes `bytes` beyond #end usable; `asked` is for the message. */
  #grow(bytes: number, asked: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#size) return;
    if (needed <= this.#limit) {
      for (const target of [Math.min(this.#limit, needed + Math.max(growthStep, needed >>> 4)), needed]) {
        try {
          this.memory.grow(Math.ceil((target - this.#size) / page));
          this.#view();
          this.#grown?.();
          return;
        } catch {
          // refused: once more with just what is needed
        }
      }
    }
    throw new VitrineError(
      `out of memory: ${megabytes(asked)} more were asked for while ${megabytes(this.#inUse)} are in use, and the WebAssembly heap ` +
        `${needed > this.#limit ? `ends at ${megabytes(this.#limit)}` : "could not grow on this machine"}; ` +
        "use a smaller model or smaller weights (int8 takes about a quarter), or a shorter context or batch",
      { blame: "work" },
    );
  }

  #view(): void {
    const buffer = this.memory.buffer;
    this.#size = Math.min(buffer.byteLength, this.#limit);
    this.f32 = new Float32Array(buffer);
    this.i32 = new Int32Array(buffer);
  }
}

function lines(bytes: number): number {
  return Math.ceil(bytes / line) * line;
}

/** Classes step by 1 line up to 16 lines, then by an eighth of the power of two below. */
function classOf(bytes: number): number {
  const count = Math.max(1, (bytes + line - 1) >>> 6);
  if (count <= 16) return count;
  const power = 31 - Math.clz32(count - 1);
  return 16 + (power - 4) * 8 + ((count - 1 - (1 << power)) >>> (power - 3)) + 1;
}

function sizeOf(index: number): number {
  if (index <= 16) return index * line;
  const power = 4 + ((index - 17) >>> 3);
  return ((1 << power) + ((((index - 17) & 7) + 1) << (power - 3))) * line;
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
