/**
 * The CPU device: kernels/*.c as WebAssembly on one heap, with threads where memory can be shared.
 * What it needs from Node or a page comes in as a CpuHost.
 */
import { internal, VitrineError } from "../../base/errors.ts";
import type { Device, DeviceBuffer, MatrixBlock } from "../device.ts";
import { Core, hasRelaxedSimd, hasSimd } from "./core.ts";
import type { CpuHost } from "./host.ts";
import { cpuKernels } from "./kernels.ts";
import { CpuBuffer, CpuMatrix, floatsAt, integersAt, type Live } from "./memory.ts";
import { readMatrix, writeMatrix } from "./products.ts";

export type { CpuHost, CpuThread, KernelBuild, ThreadStart } from "./host.ts";

export interface CpuOptions {
  readonly host: CpuHost;
  /** How many threads compute, the calling one included. Default: one for each core. */
  readonly threads?: number;
  /** Default: relaxed where the engine has it. */
  readonly simd?: "relaxed" | "simd";
}

/** More would only wait for each other. */
const mostThreads = 64;

/** Compiles the kernels and starts the threads. Throws VitrineError when the kernels are missing or SIMD is. */
export async function openCpu(options: CpuOptions): Promise<Device> {
  const { host } = options;
  const threads = options.threads ?? Math.min(host.cores, mostThreads);
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new VitrineError(`threads: ${threads}; expected a whole number from 1 to 1024`);
  if (!hasSimd()) throw new VitrineError("this WebAssembly engine has no SIMD, which Vitrine's kernels need; use a newer one, or --device reference");
  if (options.simd === "relaxed" && !hasRelaxedSimd())
    throw new VitrineError("relaxed SIMD was asked for, but this WebAssembly engine does not have it; leave the choice to Vitrine");
  const simd = options.simd ?? (hasRelaxedSimd() ? "relaxed" : "simd");
  const core = await Core.open(host, Math.min(threads, mostThreads), simd);
  return deviceOf(core, simd);
}

function deviceOf(core: Core, simd: "relaxed" | "simd"): Device {
  const { heap } = core;
  const live: Live = { buffers: 0, matrices: 0, bytes: 0 };
  const addressOf = (buffer: DeviceBuffer, length: number): number =>
    buffer.dtype === "f32" ? floatsAt(buffer, length) : integersAt(buffer, length);

  return {
    name: "wasm",
    summary: `wasm, ${simd === "relaxed" ? "relaxed SIMD" : "SIMD"}, ${core.threads} ${core.threads === 1 ? "thread" : "threads"}`,
    threads: core.threads,
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

    matrix: (outputs, inputs) => new CpuMatrix(heap, live, outputs, inputs),
    writeMatrix(matrix, values, block) {
      checkBlock(matrix.outputs, matrix.inputs, values.length, block);
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

function checkBlock(outputs: number, inputs: number, values: number, block: MatrixBlock): void {
  const inside = block.output >= 0 && block.input >= 0 && block.output + block.outputs <= outputs && block.input + block.inputs <= inputs;
  if (!inside) throw internal(`writeMatrix: block ${JSON.stringify(block)} is outside (${outputs}, ${inputs})`);
  if (values !== block.outputs * block.inputs) throw internal(`writeMatrix: ${values} numbers for block ${JSON.stringify(block)}`);
}
