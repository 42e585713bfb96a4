/**
 * The devices that every device and model test runs on: `reference` first, which the others are compared with,
 * then the CPU device in each of its builds. Where the WebAssembly kernels are not built the tests fail and say how to build them;
 * native ones are tested where they were built (native-runner.test.ts fails when there is a compiler and they were not).
 */
import { loadNative } from "../host/node-native.ts";
import { nodeCpuHost } from "../host/node-threads.ts";
import { openCpu, openNative } from "./cpu/cpu.ts";
import type { Device } from "./device.ts";
import { openReference } from "./reference/reference.ts";

export interface TestDevice {
  readonly name: string;
  readonly open: () => Promise<Device>;
}

const wasm =
  (simd: "relaxed" | "simd", threads: number): TestDevice["open"] =>
  () =>
    openCpu({ host: nodeCpuHost(), simd, threads });

/** As in a page that may not share memory. */
const unshared =
  (simd: "relaxed" | "simd"): TestDevice["open"] =>
  () =>
    openCpu({ host: { ...nodeCpuHost(), spawnThread: undefined }, simd, threads: 1 });

const native = loadNative();
const openNativeSet =
  (instructionSet: string, threads: number): TestDevice["open"] =>
  async () => {
    if ("missing" in native) throw new Error(native.missing);
    return openNative({ host: nodeCpuHost(), native: native.kernels, instructionSet, threads });
  };
const instructionSets = "missing" in native ? [] : native.kernels.instructionSets;

export const devices: readonly TestDevice[] = [
  { name: "reference", open: async () => openReference() },
  { name: "wasm, SIMD, 1 thread", open: wasm("simd", 1) },
  { name: "wasm, SIMD, 2 threads", open: wasm("simd", 2) },
  { name: "wasm, SIMD, memory not shared", open: unshared("simd") },
  { name: "wasm, relaxed SIMD, 1 thread", open: wasm("relaxed", 1) },
  { name: "wasm, relaxed SIMD, 2 threads", open: wasm("relaxed", 2) },
  { name: "wasm, relaxed SIMD, memory not shared", open: unshared("relaxed") },
  ...instructionSets.map((set) => ({ name: `native, ${set}, 1 thread`, open: openNativeSet(set, 1) })),
  ...instructionSets.slice(-1).map((set) => ({ name: `native, ${set}, 2 threads`, open: openNativeSet(set, 2) })),
];

/** Devices that must agree to the last bit: one build on one thread, on several, and on memory that is not shared. */
export const threadPairs: readonly { readonly name: string; readonly open: readonly TestDevice["open"][] }[] = [
  { name: "wasm, SIMD, on 1, 2 and 3 threads", open: [wasm("simd", 1), wasm("simd", 2), wasm("simd", 3), unshared("simd")] },
  { name: "wasm, relaxed SIMD, on 1, 2 and 3 threads", open: [wasm("relaxed", 1), wasm("relaxed", 2), wasm("relaxed", 3), unshared("relaxed")] },
  ...instructionSets.map((set) => ({
    name: `native, ${set}, on 1, 2, 3 and 7 threads`,
    open: [1, 2, 3, 7].map((threads) => openNativeSet(set, threads)),
  })),
];
