/**
 * What a page or a worker gives the CPU device: the kernels by fetch, and threads where the page is cross-origin isolated.
 * The browser's sister of node-threads.ts.
 */
import { VitrineError } from "../base/errors.ts";
import type { CpuHost, CpuThread, ThreadStart } from "../device/cpu/host.ts";

export interface BrowserCpuOptions {
  /** The address of the folder with the kernels' files. Default: `kernels/` beside this script. */
  readonly kernels?: string | URL;
}

/** This page's cores, kernels and threads; one core and no threads where it is not cross-origin isolated. */
export function browserCpuHost(options: BrowserCpuOptions = {}): CpuHost {
  const folder = new URL(options.kernels ?? "./kernels/", import.meta.url);
  const isolated = globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== "undefined";
  return {
    cores: isolated ? (globalThis.navigator?.hardwareConcurrency ?? 1) : 1,
    canWait: typeof document === "undefined", // a page's main thread may not sleep
    loadKernels: (build) => keptKernels(new URL(`kernels-${build}.wasm`, folder)),
    spawnThread: isolated ? spawnThread : undefined,
  };
}

/** Fetched once for all devices: a model that is here can be opened when the network is gone. */
const kernels = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

function keptKernels(address: URL): Promise<Uint8Array<ArrayBuffer>> {
  const known = kernels.get(address.href);
  if (known) return known;
  const loading = loadKernels(address);
  kernels.set(address.href, loading);
  loading.catch(() => kernels.delete(address.href));
  return loading;
}

async function loadKernels(address: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(address).catch((cause: unknown) => {
    throw new VitrineError(`the compiled kernels did not load from ${address.href}; serve the package's dist/kernels there, or give its address`, {
      blame: "work",
      cause,
    });
  });
  if (!response.ok)
    throw new VitrineError(
      `the compiled kernels are not at ${address.href} (${response.status}); serve the package's dist/kernels there, or give its address`,
    );
  return new Uint8Array(await response.arrayBuffer());
}

const threadSource = `
onmessage = ({ data: { module, memory, stack } }) => {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.__stack_pointer.value = stack;
  exports.thread_main();
  close();
};
`;

/** Kept for all threads: revoking it while a worker still loads is a race in some browsers. */
let threadAddress: string | undefined;

function spawnThread(start: ThreadStart): CpuThread {
  threadAddress ??= URL.createObjectURL(new Blob([threadSource], { type: "text/javascript" }));
  const worker = new Worker(threadAddress, { name: "vitrine" });
  worker.addEventListener("error", (event) => event.preventDefault()); // the others do its share
  worker.postMessage(start, []);
  return { terminate: () => worker.terminate() };
}
