/**
 * The compiled kernels on their memory, and the threads that share it: the one place where a kernel is started.
 * Arguments are written into a fixed slot of the heap, so a call makes no garbage. kernels.ts knows what each kernel wants.
 */
import { internal, VitrineError } from "../../base/errors.ts";
import { Heap } from "./heap.ts";
import type { CpuHost, CpuThread, KernelBuild } from "./host.ts";

/** The kernels of kernels/table.h. */
export const kernelNames = [
  "fill",
  "copy",
  "embed",
  "gather_rows",
  "add",
  "layer_norm",
  "rms_norm",
  "pack_rows",
  "pack_columns",
  "pack_outputs_first",
  "pack_inputs_first",
  "unpack",
  "gemm",
  "activate",
  "gate",
  "columns",
  "rope",
  "append",
  "attention_block",
  "attention_row",
  "attention_scores",
  "attention_mix",
  "softmax",
  "cross_entropy",
  "top",
] as const;

export type KernelName = (typeof kernelNames)[number];

interface KernelExports {
  run(kernel: number, args: number, chunks: number): void;
  kernel_names(): number;
  pool_address(): number;
  wake_all?(): void;
  readonly __heap_base: WebAssembly.Global;
}

/** Words of `pool` in kernels/pool.c that are written from here. */
const poolWords = { workers: 2, mayWait: 3, spin: 4, stop: 5 };
const stackBytes = 1 << 20;
const slotBytes = 256;
/** Rounds of looking for work (about 1 ns each) before a thread sleeps. Found by sweep, docs/log.md. */
const spinRounds = 50_000;
/** Multiply-adds below which a call is not worth waking anyone for. Found by sweep, docs/log.md. */
const splitAbove = 250_000;
/** Chunks for each thread, so that a thread the system puts aside holds up little. */
const chunksPerThread = 4;

export class Core {
  readonly heap: Heap;
  readonly threads: number;
  readonly relaxed: boolean;
  readonly index: Readonly<Record<KernelName, number>>;
  /** First word of the argument slot, as an index into heap.i32 and heap.f32. */
  readonly slot: number;
  readonly #args: number;
  readonly #run: KernelExports["run"];
  readonly #exports: KernelExports;
  readonly #pool: number;
  readonly #workers: CpuThread[] = [];
  #scratchAt = 0;
  #scratchBytes = 0;

  private constructor(exports: KernelExports, memory: WebAssembly.Memory, limit: number, relaxed: boolean, threads: number) {
    this.relaxed = relaxed;
    this.threads = threads;
    this.index = checkedNames(exports.kernel_names(), memory);
    this.#exports = exports;
    this.#run = exports.run;
    this.#pool = exports.pool_address() / 4;
    this.heap = new Heap(memory, exports.__heap_base.value as number, limit);
    this.#args = this.heap.allocate(slotBytes);
    this.slot = this.#args / 4;
  }

  static async open(host: CpuHost, threads: number, simd: "relaxed" | "simd"): Promise<Core> {
    const shared = threads > 1 && host.spawnThread !== undefined;
    const build: KernelBuild = `${simd}-${shared ? "shared" : "single"}`;
    const module = await WebAssembly.compile(await host.loadKernels(build));
    const { memory, limit } = makeMemory(shared);
    const instance = await WebAssembly.instantiate(module, { env: { memory } });
    const core = new Core(instance.exports as unknown as KernelExports, memory, limit, simd === "relaxed", shared ? threads : 1);
    if (shared) core.#spawn(host, module);
    return core;
  }

  /** Threads join when they have started; until then the others do their share. */
  #spawn(host: CpuHost, module: WebAssembly.Module): void {
    const stacks = Array.from({ length: this.threads - 1 }, () => this.heap.allocate(stackBytes) + stackBytes);
    const { i32 } = this.heap;
    i32[this.#pool + poolWords.workers] = stacks.length;
    i32[this.#pool + poolWords.mayWait] = host.canWait ? 1 : 0;
    i32[this.#pool + poolWords.spin] = spinRounds;
    for (const stack of stacks) this.#workers.push(host.spawnThread!({ module, memory: this.heap.memory, stack }));
  }

  /** Does all of a kernel whose arguments are in the slot. */
  run(kernel: number, chunks: number): void {
    this.#run(kernel, this.#args, chunks);
  }

  /** Into how many chunks to cut work of so many multiply-adds (or memory words) that has `parts` natural parts. */
  chunks(work: number, parts: number): number {
    if (this.threads === 1 || work < splitAbove || parts < 2) return 1;
    return Math.min(parts, this.threads * chunksPerThread);
  }

  /** Memory for the length of one call. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      if (this.#scratchBytes > 0) this.heap.free(this.#scratchAt, this.#scratchBytes);
      this.#scratchBytes = 0;
      this.#scratchAt = this.heap.allocate(bytes);
      this.#scratchBytes = bytes;
    }
    return this.#scratchAt;
  }

  dispose(): void {
    if (this.#workers.length === 0) return;
    Atomics.store(this.heap.i32, this.#pool + poolWords.workers, 0);
    Atomics.store(this.heap.i32, this.#pool + poolWords.stop, 1);
    this.#exports.wake_all?.();
    for (const worker of this.#workers.splice(0)) worker.terminate();
  }
}

/** As large a memory as the engine grants; browsers on small machines refuse 4 GiB of shared address space. */
function makeMemory(shared: boolean): { memory: WebAssembly.Memory; limit: number } {
  let refusal: unknown;
  for (const maximum of [65536, 32768, 16384, 8192]) {
    try {
      return { memory: new WebAssembly.Memory({ initial: 64, maximum, shared }), limit: maximum * 65536 };
    } catch (error) {
      refusal = error;
    }
  }
  throw new VitrineError("the WebAssembly engine grants no memory, not even 512 MiB; close other programs or pages", {
    blame: "work",
    cause: refusal,
  });
}

/** The kernels' numbers as the compiled module gives them, which must be the ones known here. */
function checkedNames(address: number, memory: WebAssembly.Memory): Record<KernelName, number> {
  const bytes = new Uint8Array(memory.buffer, address);
  const text = new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  const found = text.trimEnd().split("\n");
  const missing = kernelNames.filter((name) => !found.includes(name));
  if (missing.length > 0 || found.length !== kernelNames.length)
    throw internal(
      `the compiled kernels are not this version's (${missing.join(", ") || "too many"}); rebuild them with \`node tools/build-kernels.mjs\``,
    );
  return Object.fromEntries(kernelNames.map((name) => [name, found.indexOf(name)])) as Record<KernelName, number>;
}

/** Whether this engine takes relaxed SIMD: a module with i8x16.relaxed_swizzle and nothing else. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(
    // prettier-ignore
    new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]),
  );
}

/** Whether it takes SIMD at all: a module with i8x16.splat and i8x16.popcnt. */
export function hasSimd(): boolean {
  return WebAssembly.validate(
    // prettier-ignore
    new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]),
  );
}
