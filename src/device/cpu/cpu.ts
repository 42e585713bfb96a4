/**
 * The CPU device: kernels/*.c on one heap, as WebAssembly or as a native add-on, with threads.
 * What it needs from Node or a page comes in as a CpuHost; which build to take is ../open.ts's choice.
 */
import { internal, VitrineError } from "../../base/errors.ts";
import type { Device, DeviceBuffer } from "../device.ts";
import { checkBlock } from "../matrix-format.ts";
import { Core } from "./core.ts";
import type { CpuHost } from "./host.ts";
import { cpuKernels } from "./kernels.ts";
import { CpuBuffer, CpuMatrix, floatsAt, integersAt, type Live } from "./memory.ts";
import { openNativeRunner, type NativeKernels } from "./native-runner.ts";
import { readMatrix, writeMatrix } from "./products.ts";
import { hasRelaxedSimd, openWasmRunner } from "./wasm-runner.ts";

export interface CpuOptions {
  readonly host: CpuHost;
  /** How many threads compute, the calling one included. Default: one for each core. */
  readonly threads?: number;
  /** WebAssembly only. Default: relaxed where the engine has it. */
  readonly simd?: "relaxed" | "simd";
}

export interface NativeOptions {
  readonly host: Pick<CpuHost, "cores">;
  readonly native: NativeKernels;
  readonly threads?: number;
  /** Default: the best that this processor has. */
  readonly instructionSet?: string;
}

/** More would only wait for each other. */
const mostThreads = 64;

/** Compiles the kernels and starts the threads. Throws VitrineError when the kernels are missing or SIMD is. */
export async function openCpu(options: CpuOptions): Promise<Device> {
  const { host, simd = hasRelaxedSimd() ? "relaxed" : "simd" } = options;
  return deviceOf(new Core(await openWasmRunner(host, threadsOf(options), simd)));
}

/** Throws VitrineError for an instruction set that is not there. */
export function openNative(options: NativeOptions): Device {
  return deviceOf(new Core(openNativeRunner(options.native, threadsOf(options), options.instructionSet)));
}

function threadsOf({ host, threads = host.cores }: Pick<NativeOptions, "host" | "threads">): number {
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new VitrineError(`threads: ${threads}; expected a whole number from 1 to 1024`);
  return Math.min(threads, mostThreads);
}

function deviceOf(core: Core): Device {
  const { heap, threads } = core;
  const live: Live = { buffers: 0, matrices: 0, bytes: 0 };

  return {
    name: core.name,
    summary: `${core.name}, ${core.instructions}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    threads,
    kernels: cpuKernels(core),

    allocate: (dtype, length) => new CpuBuffer(heap, live, dtype, length),
    write(buffer, values, at = 0) {
      if (at < 0) throw internal(`write at ${at}`);
      const word = addressOf(buffer, at + values.length) / 4 + at;
      if (buffer.dtype === "f32") heap.f32.set(values, word);
      else heap.i32.set(values, word);
    },
    async read(buffer, at = 0, length = buffer.length - at) {
      if (at < 0 || length < 0) throw internal(`read of ${length} numbers at ${at}`);
      const word = addressOf(buffer, at + length) / 4 + at;
      return buffer.dtype === "f32"
        ? new Float32Array(heap.f32.subarray(word, word + length))
        : new Int32Array(heap.i32.subarray(word, word + length));
    },

    matrix: (outputs, inputs, format = "f32") => new CpuMatrix(heap, live, outputs, inputs, format),
    writeMatrix(matrix, values, block) {
      checkBlock(matrix, values.length, block);
      writeMatrix(core, matrix, values, block);
    },
    async readMatrix(matrix, output = 0, outputs = matrix.outputs - output) {
      if (output < 0 || outputs < 0 || output + outputs > matrix.outputs)
        throw internal(`readMatrix of rows ${output} to ${output + outputs} of ${matrix.outputs}`);
      return readMatrix(core, matrix, output, outputs);
    },

    memory: () => ({ ...live }),
    dispose: () => core.dispose(),
  };
}

function addressOf(buffer: DeviceBuffer, length: number): number {
  return buffer.dtype === "f32" ? floatsAt(buffer, length) : integersAt(buffer, length);
}
