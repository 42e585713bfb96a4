/**
 * Matrix multiplication, the work that prefill and training are made of: our kernels in each build against OpenBLAS
 * and the WebAssembly of jax-js and TensorFlow.js, on GPT-2's projection (256 tokens, 768 x 768), fp32. Budgets on one thread: native reaches 0.9 of OpenBLAS on the same instruction set,
 * WebAssembly with relaxed SIMD 0.45 of its AVX2 kernels. Training's products with the same matrix, for its input and for the matrix
 * itself, are to keep 0.85 of the forward one's speed, there and on a training batch (4,096 tokens, 384 to 1,536).
 *
 * On a machine with AVX-512 OpenBLAS runs twice: as it would choose, and with the other of its AVX2 (Haswell) and AVX-512
 * (SkylakeX) kernels; its choice goes by a list of processors, and WebAssembly has 128-bit vectors whatever the machine has.
 */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { Device } from "../src/device/device.ts";
import { openDeviceOn, surveyDevices } from "../src/device/open.ts";
import { nodeCpuHost } from "../src/host/node-threads.ts";
import { seconds } from "./_engines.ts";
import { machineInfo, numberOption } from "./_machine.ts";
import { peer, peerVersion } from "./_peers.ts";
import { compare, comparisonData, type Contender, finish, ratio, showComparison, showSpread, spreadData, type Spread } from "./_report.ts";

export const name = "gemm";
export const description = "matrix multiplication, GFLOP/s, each build on one and two threads, against OpenBLAS, jax-js and TensorFlow.js";

const M = numberOption("rows", 256);
const K = numberOption("inputs", 768);
const N = numberOption("outputs", 768);
const batch = { rows: 4096, inputs: 384, outputs: 1536 };
const threadCounts = [1, numberOption("threads", Math.min(2, availableParallelism()))].filter((count, at, all) => all.indexOf(count) === at);

const a = Float32Array.from({ length: M * K }, (_, i) => Math.sin(i));
const w = Float32Array.from({ length: K * N }, (_, i) => Math.cos(0.7 * i));

/** GFLOP/s over about 0.3 s of calls of so many multiply-adds. */
function speedOf(call: () => void, multiplyAdds = M * N * K): number {
  const started = seconds();
  let calls = 0;
  let now = started;
  while ((now = seconds()) - started < 0.3) {
    call();
    calls++;
  }
  return (2 * multiplyAdds * calls) / (now - started) / 1e9;
}

/** The same for calls that are done only when awaited. */
async function speedOfAwaited(call: () => Promise<void>): Promise<number> {
  const started = seconds();
  let calls = 0;
  let now = started;
  while ((now = seconds()) - started < 0.3) {
    await call();
    calls++;
  }
  return (2 * M * N * K * calls) / (now - started) / 1e9;
}

interface Engine extends Contender {
  product(): Promise<Float32Array>;
  dispose(): void;
}

/** One of our builds: WebAssembly by its SIMD, native by its instruction set. */
type Build = { readonly device: "wasm"; readonly simd: "relaxed" | "simd" } | { readonly device: "native"; readonly instructionSet: string };

function builds(): Build[] {
  const native = surveyDevices(nodeCpuHost()).find(({ name }) => name === "native")!;
  if (native.missing !== undefined) console.log(`native: left out, ${native.missing}`);
  const sets = (native.instructionSets ?? []).toReversed().map((instructionSet): Build => ({ device: "native", instructionSet }));
  return [...sets, { device: "wasm", simd: "relaxed" }, { device: "wasm", simd: "simd" }];
}

function nameOf(build: Build, threads: number): string {
  return `${build.device} ${build.device === "wasm" ? build.simd : build.instructionSet}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** A linear layer's three products: forward, and the gradients of its input and of its matrix. */
function layerOn(device: Device, { rows, inputs, outputs }: typeof batch, xs: Float32Array, ws: Float32Array) {
  const [x, y] = [device.allocate("f32", rows * inputs), device.allocate("f32", rows * outputs)];
  const [dX, dY] = [device.allocate("f32", rows * inputs), device.allocate("f32", rows * outputs)];
  const [weights, dW] = [device.matrix(outputs, inputs), device.matrix(outputs, inputs)];
  device.write(x, xs);
  device.kernels.fill(dY, 1e-3);
  device.writeMatrix(weights, ws, { output: 0, outputs, input: 0, inputs, order: "inputs-first" });
  return {
    y,
    linear: (): void => device.kernels.linear(y, x, weights, null, null, null, rows),
    dX: (): void => device.kernels.linearBackwardInput(dX, dY, weights, rows),
    dW: (): void => device.kernels.linearBackwardWeights(dW, dY, x, rows),
  };
}

async function ours(build: Build, threads: number): Promise<Engine> {
  const device = await openDeviceOn(nodeCpuHost(), { ...build, threads });
  const layer = layerOn(device, { rows: M, inputs: K, outputs: N }, a, w);
  const { rows, inputs, outputs } = batch;
  const wide = layerOn(device, batch, new Float32Array(rows * inputs).fill(0.5), new Float32Array(inputs * outputs).fill(0.01));
  const measure = (): Record<string, number> => ({
    linear: speedOf(layer.linear),
    dX: speedOf(layer.dX),
    dW: speedOf(layer.dW),
    batch: speedOf(wide.linear, rows * inputs * outputs),
    batchDX: speedOf(wide.dX, rows * inputs * outputs),
    batchDW: speedOf(wide.dW, rows * inputs * outputs),
  });
  return {
    name: nameOf(build, threads),
    measure,
    product: async () => {
      layer.linear();
      return (await device.read(layer.y)) as Float32Array;
    },
    dispose: () => device.dispose(),
  };
}

interface Koffi {
  load(path: string): { func(declaration: string): (...args: unknown[]) => unknown };
}

/** One copy of the library, with kernels for `core` ("" = its own choice), used with each thread count. */
function openblas(koffi: Koffi, library: string, core: string): Engine[] {
  let path = library;
  const folder = mkdtempSync(join(tmpdir(), "vitrine-gemm-"));
  if (core !== "") {
    path = join(folder, "libopenblas-copy.so"); // under another name it is loaded beside the first
    copyFileSync(library, path);
    process.env.OPENBLAS_CORETYPE = core;
  }
  const blas = koffi.load(path);
  const setThreads = blas.func("void openblas_set_num_threads(int)");
  const coreName = blas.func("const char *openblas_get_corename()")() as string;
  const sgemm = blas.func("void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, _Out_ float *, int)");
  delete process.env.OPENBLAS_CORETYPE;
  rmSync(folder, { recursive: true, force: true });
  const out = new Float32Array(M * N);
  const linear = (): void => void sgemm(101, 111, 111, M, N, K, 1, a, K, w, N, 0, out, N); // row-major, neither transposed
  return threadCounts.map((threads) => ({
    name: `OpenBLAS ${coreName}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    measure: () => {
      setThreads(threads);
      return { linear: speedOf(linear) };
    },
    product: async () => {
      setThreads(threads);
      linear();
      return out.slice();
    },
    dispose: () => {},
  }));
}

/** What is used of @jax-js/jax. An array is spent by its use; `ref` spares it. */
interface Jax {
  init(device: "wasm"): Promise<unknown>;
  defaultDevice(device: "wasm"): unknown;
  readonly numpy: { array(values: Float32Array): JaxArray; matmul(x: JaxArray, y: JaxArray): JaxArray };
}
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  blockUntilReady(): Promise<unknown>;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** Its WebAssembly kernels, on one thread: its threads are a page's workers, which Node does not have. */
async function jaxJs(): Promise<Engine | undefined> {
  (globalThis as { navigator?: object }).navigator ??= {}; // it looks for WebGPU there, and Node 20 has none
  const jax = await peer<Jax>("@jax-js/jax");
  if (!jax) return undefined;
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const { array, matmul } = jax.numpy;
  const [x, y] = [array(a).reshape([M, K]), array(w).reshape([K, N])];
  const linear = async (): Promise<void> => {
    const product = matmul(x.ref, y.ref);
    await product.blockUntilReady();
    product.dispose();
  };
  return {
    name: `${peerVersion("@jax-js/jax")} wasm, 1 thread`,
    measure: async () => ({ linear: await speedOfAwaited(linear) }),
    product: () => matmul(x.ref, y.ref).data(),
    dispose: () => [x, y].forEach((each) => each.dispose()),
  };
}

/** What is used of @tensorflow/tfjs and its WebAssembly backend, which computes before matMul returns. */
interface TensorFlow {
  setBackend(name: "wasm"): Promise<boolean>;
  tensor2d(values: Float32Array, shape: [number, number]): TensorFlowTensor;
  matMul(x: TensorFlowTensor, y: TensorFlowTensor): TensorFlowTensor;
}
interface TensorFlowTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

async function tensorFlow(): Promise<Engine | undefined> {
  const tf = await peer<TensorFlow>("@tensorflow/tfjs");
  const backend = tf && (await peer<{ getThreadsCount(): number }>("@tensorflow/tfjs-backend-wasm"));
  if (!tf || !backend) return undefined;
  if (!(await tf.setBackend("wasm"))) {
    console.log("@tensorflow/tfjs-backend-wasm: does not start here, left out");
    return undefined;
  }
  const [x, y] = [tf.tensor2d(a, [M, K]), tf.tensor2d(w, [K, N])];
  const threads = backend.getThreadsCount();
  return {
    name: `${peerVersion("@tensorflow/tfjs")} wasm, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    measure: () => ({ linear: speedOf(() => tf.matMul(x, y).dispose()) }),
    product: async () => {
      const product = tf.matMul(x, y);
      const values = await product.data();
      product.dispose();
      return values;
    },
    dispose: () => [x, y].forEach((each) => each.dispose()),
  };
}

/** Debian's package `libopenblas0`, or the system's own place for it. */
function findOpenblas(): string | undefined {
  for (const folder of ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"])
    for (const inner of [join(folder, "openblas-pthread"), folder])
      if (existsSync(inner)) {
        const file = readdirSync(inner).find((each) => /^libopenblas.*\.so/.test(each));
        if (file !== undefined) return join(inner, file);
      }
  return undefined;
}

export async function run(): Promise<void> {
  const engines: Engine[] = [];
  for (const build of builds()) for (const threads of threadCounts) engines.push(await ours(build, threads));
  const koffi = await peer<Koffi>("koffi");
  const library = findOpenblas();
  if (library === undefined) console.log("OpenBLAS: not installed, left out (Debian: apt-get install libopenblas0)");
  if (koffi && library) {
    const chosen = openblas(koffi, library, "");
    engines.push(...chosen);
    if (machineInfo().vector.includes("avx512f"))
      engines.push(...openblas(koffi, library, /Haswell|Zen/i.test(chosen[0].name) ? "SkylakeX" : "Haswell"));
  }
  const others = [await jaxJs(), await tensorFlow()].filter((engine) => engine !== undefined);
  engines.push(...others);

  const products = await Promise.all(engines.map((engine) => engine.product()));
  let difference = 0;
  for (const product of products) product.forEach((value, i) => (difference = Math.max(difference, Math.abs(value - products[0][i]))));
  console.log(`${M} x ${K} x ${N} fp32; products agree within ${difference.toExponential(1)}`);
  if (!(difference < 1e-3 * Math.sqrt(K))) throw new Error("bench: the products differ");

  const comparison = await compare(engines, { rounds: 7 });
  showComparison(comparison, [
    { metric: "linear", title: "linear GFLOP/s" },
    { metric: "dX", title: "dX" },
    { metric: "dW", title: "dW" },
    { metric: "batch", title: `${batch.rows} x ${batch.inputs} -> ${batch.outputs}` },
    { metric: "batchDX", title: "dX" },
    { metric: "batchDW", title: "dW" },
  ]);

  const ratios: Record<string, Spread | null> = {};
  const show = (title: string, values: Spread | undefined): void => {
    if (values === undefined) return;
    ratios[title] = spreadData(values);
    console.log(`${title}: ${showSpread(values)}`);
  };
  console.log("");
  const peers = engines.filter((engine) => (engine.name.startsWith("OpenBLAS") || others.includes(engine)) && engine.name.endsWith("1 thread"));
  for (const build of builds()) {
    const [one, more] = threadCounts.map((threads) => nameOf(build, threads));
    for (const { name: other } of peers) show(`${one} / ${other}`, ratio(comparison, one, other, "linear"));
    if (more !== undefined) show(`${more} / 1 thread`, ratio(comparison, more, one, "linear"));
    for (const each of [one, more].filter((other) => other !== undefined)) {
      show(`${each}: dX / linear`, ratio(comparison, each, each, "dX", "linear"));
      show(`${each}: dW / linear`, ratio(comparison, each, each, "dW", "linear"));
      show(`${each}: dX / linear, batch`, ratio(comparison, each, each, "batchDX", "batch"));
      show(`${each}: dW / linear, batch`, ratio(comparison, each, each, "batchDW", "batch"));
    }
  }
  for (const engine of engines) engine.dispose();
  finish(name, { M, K, N, ratios, ...(comparisonData(comparison) as object) });
}

await run();
