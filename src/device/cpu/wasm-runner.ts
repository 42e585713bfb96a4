/**
 * The kernels as WebAssembly, with threads where memory can be shared. The fork and join itself is kernels/pool.h.
 */
import { VitrineError } from "../../base/errors.ts";
import type { CpuHost, CpuThread, KernelBuild } from "./host.ts";
import { makeMemory, type Runner } from "./runner.ts";

interface KernelExports {
  run(kernel: number, args: number, chunks: number): void;
  kernel_names(): number;
  pool_address(): number;
  wake_all(): void;
  readonly __heap_base: WebAssembly.Global;
}

/** Words of `pool` in kernels/pool.h that are written from here. */
const poolWords = { workers: 2, mayWait: 3, spin: 4, stop: 5 };
const stackBytes = 1 << 20;
/** Rounds of looking for work (about 1 ns each) before a thread sleeps. An estimate that works, not swept yet (docs/log.md). */
const spinRounds = 50_000;
/** An estimate that works, not swept yet (docs/log.md). */
const splitAbove = 250_000;

export async function openWasmRunner(host: CpuHost, threads: number, simd: "relaxed" | "simd"): Promise<Runner> {
  if (!hasSimd()) throw new VitrineError("this WebAssembly engine has no SIMD, which Vitrine's kernels need; use a newer one, or --device reference");
  if (simd === "relaxed" && !hasRelaxedSimd())
    throw new VitrineError("relaxed SIMD was asked for, but this WebAssembly engine does not have it; leave the choice to Vitrine");
  const spawnThread = threads > 1 ? host.spawnThread : undefined;
  const build: KernelBuild = `${simd}-${spawnThread === undefined ? "single" : "shared"}`;
  const module = await WebAssembly.compile(await host.loadKernels(build));
  const { memory, limit } = makeMemory(spawnThread !== undefined);
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  const exports = instance.exports as unknown as KernelExports;
  const pool = exports.pool_address() / 4;
  const heapBase = exports.__heap_base.value as number;

  const firstStack = Math.ceil(heapBase / 64) * 64;
  const workers: CpuThread[] = [];
  let start = heapBase;
  if (spawnThread !== undefined) {
    // The workers' stacks lie before the heap. They join when they have started; until then the others do their share.
    start = firstStack + (threads - 1) * stackBytes;
    const missing = start - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    const words = new Int32Array(memory.buffer);
    words[pool + poolWords.workers] = threads - 1;
    words[pool + poolWords.mayWait] = host.canWait ? 1 : 0;
    words[pool + poolWords.spin] = spinRounds;
    for (let stack = firstStack + stackBytes; stack <= start; stack += stackBytes) workers.push(spawnThread({ module, memory, stack }));
  }

  return {
    name: "wasm",
    instructions: simd === "relaxed" ? "relaxed SIMD" : "SIMD",
    threads: spawnThread === undefined ? 1 : threads,
    kernelNames: textAt(memory, exports.kernel_names()),
    memory,
    start,
    limit,
    splitAbove,
    run: exports.run,
    dispose() {
      if (workers.length === 0) return;
      const words = new Int32Array(memory.buffer);
      Atomics.store(words, pool + poolWords.workers, 0);
      Atomics.store(words, pool + poolWords.stop, 1);
      exports.wake_all();
      for (const worker of workers.splice(0)) worker.terminate();
    },
  };
}

/** The zero-terminated text at an address. */
function textAt(memory: WebAssembly.Memory, address: number): string {
  const bytes = new Uint8Array(memory.buffer, address);
  return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
}

/** Whether this engine takes relaxed SIMD: a module with i8x16.relaxed_swizzle and nothing else. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(
    // prettier-ignore
    new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]),
  );
}

/** Whether it takes SIMD at all: a module with i8x16.splat and i8x16.popcnt. */
function hasSimd(): boolean {
  return WebAssembly.validate(
    // prettier-ignore
    new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]),
  );
}
