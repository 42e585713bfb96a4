/**
 * What starts a kernel: the compiled kernels of one build, the memory they work on and the threads that share the work.
 * wasm-runner.ts and native-runner.ts make one each; core.ts builds the device's heap on it and never asks which it is.
 */
import { VitrineError } from "../../base/errors.ts";

export interface Runner {
  readonly name: "wasm" | "native";
  /** What the kernels were compiled for, for people: "relaxed SIMD", "AVX-512". */
  readonly instructions: string;
  /** How many compute, the calling one included. */
  readonly threads: number;
  /** `kernel_names` of kernels/: one a line, in the order of their numbers. */
  readonly kernelNames: string;
  readonly memory: WebAssembly.Memory;
  /** First byte of the memory that is free, and the most bytes it may grow to. */
  readonly start: number;
  readonly limit: number;
  /** Multiply-adds below which a call is not worth waking anyone for. */
  readonly splitAbove: number;
  /** Does all chunks of a kernel whose arguments are at `args`; when it returns they are done. */
  readonly run: (kernel: number, args: number, chunks: number) => void;
  /** The memory grew. */
  readonly grown?: () => void;
  readonly dispose: () => void;
}

/** As large a memory as the engine grants; browsers on small machines refuse 4 GiB of shared address space. */
export function makeMemory(shared: boolean): { readonly memory: WebAssembly.Memory; readonly limit: number } {
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
