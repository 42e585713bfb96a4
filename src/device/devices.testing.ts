/**
 * The devices that every device and model test runs on: `reference` first, which the others are compared with,
 * then the CPU device in each of its builds. Where the kernels are not built the tests fail and say how to build them.
 */
import { nodeCpuHost } from "../host/node-threads.ts";
import { openCpu } from "./cpu/cpu.ts";
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

export const devices: readonly TestDevice[] = [
  { name: "reference", open: async () => openReference() },
  { name: "wasm, SIMD, 1 thread", open: wasm("simd", 1) },
  { name: "wasm, SIMD, 2 threads", open: wasm("simd", 2) },
  { name: "wasm, SIMD, memory not shared", open: unshared("simd") },
  { name: "wasm, relaxed SIMD, 1 thread", open: wasm("relaxed", 1) },
  { name: "wasm, relaxed SIMD, 2 threads", open: wasm("relaxed", 2) },
  { name: "wasm, relaxed SIMD, memory not shared", open: unshared("relaxed") },
];

/** Devices that must agree to the last bit: one build on one thread, on several, and on memory that is not shared. */
export const threadPairs: readonly { readonly name: string; readonly open: readonly TestDevice["open"][] }[] = [
  { name: "wasm, SIMD, on 1, 2 and 3 threads", open: [wasm("simd", 1), wasm("simd", 2), wasm("simd", 3), unshared("simd")] },
  { name: "wasm, relaxed SIMD, on 1, 2 and 3 threads", open: [wasm("relaxed", 1), wasm("relaxed", 2), wasm("relaxed", 3), unshared("relaxed")] },
];
