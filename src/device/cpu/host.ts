/**
 * What the CPU device needs from where it runs: its kernels' bytes, and threads. host/node-threads.ts and
 * host/browser-threads.ts provide it; nothing here touches Node or a page.
 */
import type { NativeKernels } from "./native-runner.ts";

/** relaxed: fused multiply-add where the engine has relaxed SIMD; simd: everywhere else. shared: threads; single: none. */
export type KernelBuild = "relaxed-shared" | "simd-shared" | "relaxed-single" | "simd-single";

/** What a thread must do: instantiate `module` on `memory`, set the exported `__stack_pointer` to `stack`, call `thread_main`. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly stack: number;
}

export interface CpuThread {
  /** The thread was told to stop and woken; this ends it even if it did not hear. */
  terminate(): void;
}

/**
 * The native kernels, or why there are none: a clause that can follow "native: " and ends with the cure where there is one.
 * `broken`: they were built and lie there, but cannot be used; who gets another device instead should hear of it.
 */
export type NativeLoad = { readonly kernels: NativeKernels } | { readonly missing: string; readonly broken?: boolean };

export interface CpuHost {
  /** Logical cores that this process may use. */
  readonly cores: number;
  /** May the calling thread sleep? Not in a page's main thread; it then spins. */
  readonly canWait: boolean;
  /** The kernels as tools/build-kernels.mjs made them. Throws VitrineError when they are not there. */
  loadKernels(build: KernelBuild): Promise<Uint8Array<ArrayBuffer>>;
  /** Missing where memory cannot be shared: one thread. Must neither keep the process alive nor print. */
  readonly spawnThread?: (start: ThreadStart) => CpuThread;
  /** Loads the native add-on. Never throws. Missing where there can be none, as in a page. */
  readonly loadNative?: () => NativeLoad;
}
