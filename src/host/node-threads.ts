/**
 * What Node gives the CPU device: the kernels' files and worker threads. Node's sister of browser-threads.ts.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { VitrineError } from "../base/errors.ts";
import type { CpuHost, CpuThread, KernelBuild, ThreadStart } from "../device/cpu/host.ts";
import { loadNative } from "./node-native.ts";

/** Where tools/build-kernels.mjs puts them, seen from src/host/, dist/host/ and a bundle in dist/. */
const kernelFolders = ["../../dist/kernels/", "../kernels/", "./kernels/"];

/** This machine's cores, kernels (WebAssembly and native) and worker threads. */
export function nodeCpuHost(): CpuHost {
  enableRelaxedSimd();
  return { cores: availableParallelism(), canWait: true, loadKernels, spawnThread, loadNative };
}

/** Node 20 has relaxed SIMD behind a flag, which works until the first module is compiled; later Nodes have it anyway. */
function enableRelaxedSimd(): void {
  if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
}

async function loadKernels(build: KernelBuild): Promise<Uint8Array<ArrayBuffer>> {
  const file = `kernels-${build}.wasm`;
  const path = kernelFolders.map((folder) => fileURLToPath(new URL(folder + file, import.meta.url))).find((candidate) => existsSync(candidate));
  if (path === undefined)
    throw new VitrineError(`the compiled kernels are missing (dist/kernels/${file}); build them with \`node tools/build-kernels.mjs\``);
  return new Uint8Array(await readFile(path));
}

/** A string, not a file: it runs alike from TypeScript, from dist/ and out of a bundle. */
const threadSource = `
const { module, memory, stack } = require("node:worker_threads").workerData;
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
exports.__stack_pointer.value = stack;
exports.thread_main();
`;

function spawnThread(start: ThreadStart): CpuThread {
  const worker = new Worker(threadSource, { eval: true, workerData: start, stdin: false, execArgv: [], env: {}, name: "vitrine" });
  worker.unref();
  worker.on("error", () => {}); // the others do its share
  return { terminate: () => void worker.terminate() };
}
