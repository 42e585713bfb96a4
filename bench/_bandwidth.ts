/**
 * How fast this machine streams memory: the bound of token-by-token decoding, which reads every weight once per token.
 * A sum over a large block by a WebAssembly loop of 16-byte loads, split over threads; no kernel of ours takes part.
 */
import { Worker } from "node:worker_threads";
import { seconds } from "./_engines.ts";
import type { Contender } from "./_report.ts";

const PAGE = 65536;

/** `(i32 from, i32 to) -> i64`: the sum of the bytes in between as 64-bit lanes, 64 bytes a turn on four accumulators (locals 2 to 5). */
function streamModule(pages: number): Uint8Array<ArrayBuffer> {
  const four = [0, 1, 2, 3];
  const loop = [
    [0x03, 0x40], // loop
    four.flatMap((n) => [...get(2 + n), ...get(0), 0xfd, 0, 4, ...unsigned(16 * n), 0xfd, ...unsigned(0xce), 0x21, 2 + n]), // sum n = sum n + load(from + 16 n)
    [...get(0), 0x41, 0xc0, 0, 0x6a, 0x22, 0], // from = from + 64
    [...get(1), 0x49, 0x0d, 0, 0x0b], // while from < to
  ].flat();
  const lanes = [0, 1].flatMap((lane) => four.map((n) => [...get(2 + n), 0xfd, 0x1d, lane]));
  const sum = lanes.flatMap((lane, n) => (n === 0 ? lane : [...lane, 0x7c])); // lane, lane, add, lane, add, ...
  const body = [1, 4, V128, ...loop, ...sum, 0x0b];
  const sections = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    section(1, [1, 0x60, 2, I32, I32, 1, I64]),
    section(2, [1, ...text("m"), ...text("m"), 2, 3, ...unsigned(pages), ...unsigned(pages)]), // shared memory, exactly this large
    section(3, [1, 0]),
    section(7, [1, ...text("sum"), 0, 0]),
    section(10, [1, ...unsigned(body.length), ...body]),
  ];
  return Uint8Array.from(sections.flat());
}

const [I32, I64, V128] = [0x7f, 0x7e, 0x7b];

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}

function section(id: number, bytes: readonly number[]): number[] {
  return [id, ...unsigned(bytes.length), ...bytes];
}

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value)];
}

function get(local: number): number[] {
  return [0x20, local];
}

const workerSource = `
const { parentPort, workerData: { module, memory } } = require("node:worker_threads");
const { sum } = new WebAssembly.Instance(module, { m: { m: memory } }).exports;
parentPort.on("message", ([from, to]) => parentPort.postMessage(String(sum(from, to))));
`;

/** Measures `GB/s` over `bytes` (larger than any cache: the checkpoint's own size is a good choice) with `threads` threads. */
export function bandwidthContender(threads: number, bytes: number): Contender & { dispose(): Promise<void> } {
  const pages = Math.ceil(bytes / (PAGE * threads)) * threads;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  new Uint8Array(memory.buffer).fill(1); // touched, or every page would be the one zero page
  const module = new WebAssembly.Module(streamModule(pages));
  const workers = Array.from({ length: threads }, () => new Worker(workerSource, { eval: true, workerData: { module, memory } }));
  const share = (pages / threads) * PAGE;
  const once = async (): Promise<void> => {
    const sums = await Promise.all(
      workers.map((worker, n) => {
        const answer = new Promise<string>((resolve) => worker.once("message", resolve));
        // oxlint-disable-next-line require-post-message-target-origin -- a Node worker has no origin
        worker.postMessage([n * share, (n + 1) * share]);
        return answer;
      }),
    );
    const expected = String((BigInt(share) / 8n) * 0x0101010101010101n);
    if (sums.some((sum) => sum !== String(BigInt.asIntN(64, BigInt(expected))))) throw new Error("bench: the bandwidth loop added wrongly");
  };
  return {
    name: `memory stream, ${threads} thread${threads === 1 ? "" : "s"}`,
    measure: async () => {
      const started = seconds();
      let turns = 0;
      while (seconds() - started < 0.4) {
        await once();
        turns++;
      }
      return { bandwidth: (turns * pages * PAGE) / (seconds() - started) / 1e9 };
    },
    dispose: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
