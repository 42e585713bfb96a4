/**
 * Counting the pieces of large texts on several threads, for BPE training in Node. The files are parted at seams, each thread counts
 * parts as they come, and the tables are added up: the counts are those of one thread. What a part is and how it is counted is
 * tokenizer/train-pieces.ts's. This module is also what the threads run.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import type { Blame } from "../base/errors.ts";
import { VitrineError, internal } from "../base/errors.ts";
import { PieceCounter, countRange, seamAfter } from "../tokenizer/train-pieces.ts";
import type { Cutting, PieceTotals, ReadingOptions } from "../tokenizer/train-pieces.ts";
import { PieceTable } from "../tokenizer/train-table.ts";
import type { PieceTableData } from "../tokenizer/train-table.ts";
import { countPieces } from "../tokenizer/train.ts";
import type { CountPieces } from "../tokenizer/train.ts";
import { openFile } from "./node-files.ts";

export interface PieceThreadsOptions {
  /** Default: one for each core. */
  readonly threads?: number;
  /** Bytes of a part. For tests. */
  readonly part?: number;
  /** The compiled module that threads run. For tests; default: this one, where it is found. */
  readonly module?: URL;
}

/** A thread is worth starting for so much text. */
const PART = 1 << 24;

interface Part {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

type FromThread =
  | { readonly kind: "bytes"; readonly bytes: number }
  | { readonly kind: "next" }
  | { readonly kind: "counted"; readonly table: PieceTableData; readonly totals: PieceTotals }
  | { readonly kind: "failed"; readonly message: string; readonly blame: Blame | undefined };

/**
 * A way of counting for `trainBpe` that reads its files, which must be those of `paths`, on several threads. Small texts, one core,
 * or a program that was bundled without this module's file are counted on this thread.
 */
export function countOnThreads(
  paths: readonly string[],
  { threads = availableParallelism(), part = PART, module = threadModule() }: PieceThreadsOptions = {},
): CountPieces {
  return async (files, cutting, options) => {
    const total = files.reduce((sum, { size }) => sum + size, 0);
    const useful = Math.min(threads, Math.ceil(total / part));
    if (useful < 2 || module === undefined) return countPieces(files, cutting, options);

    const parts = (async function* (): AsyncGenerator<Part, void> {
      for (const [i, file] of files.entries()) {
        for (let from = 0; from < file.size;) {
          const to = from + part >= file.size ? file.size : await seamAfter(file, from + part, cutting);
          yield { path: paths[i], from, to };
          from = to;
        }
      }
    })();
    const table = new PieceTable();
    const totals = { bytes: 0, pieces: 0, invalidBytes: 0 };
    const stop = new AbortController();
    const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    try {
      const counting = Array.from({ length: useful }, () => countOnThread(module, parts, cutting, { ...options, signal }));
      for (const counted of await Promise.all(counting)) {
        table.addAll(counted.table);
        totals.bytes += counted.totals.bytes;
        totals.pieces += counted.totals.pieces;
        totals.invalidBytes += counted.totals.invalidBytes;
      }
    } finally {
      stop.abort(); // where one failed, the others need not go on
    }
    return { table, ...totals };
  };
}

/** As tsc compiles it, seen from dist/host/, from a bundle in dist/cli/ and from src/host/ or out/run/. */
function threadModule(): URL | undefined {
  const file = "piece-threads.js";
  if (basename(fileURLToPath(import.meta.url)) === file) return new URL(import.meta.url);
  return ["../host/", "../../dist/host/"].map((folder) => new URL(folder + file, import.meta.url)).find((url) => existsSync(url));
}

interface Counted {
  readonly table: PieceTableData;
  readonly totals: PieceTotals;
}

/** One thread, given parts until there are none. */
function countOnThread(
  module: URL,
  parts: AsyncGenerator<Part, void>,
  cutting: Cutting,
  { signal, onBytes, block }: ReadingOptions,
): Promise<Counted> {
  const start: ThreadStart = { task, cutting, block };
  const worker = new Worker(module, { workerData: start, stdin: false, execArgv: [], env: {}, name: "vitrine pieces" });
  return new Promise<Counted>((resolve, reject) => {
    const stopped = (): void => reject(new VitrineError("tokenizer training was stopped", { blame: "work", cause: signal?.reason }));
    if (signal?.aborted) stopped();
    signal?.addEventListener("abort", stopped, { once: true });
    worker.on("error", reject);
    worker.on("exit", () => reject(internal("a counting thread ended early")));
    worker.on("message", (message: FromThread) => {
      switch (message.kind) {
        case "bytes":
          onBytes?.(message.bytes);
          break;
        case "next":
          parts.next().then(({ value }) => worker.postMessage(value ?? "end", []), reject);
          break;
        case "counted":
          resolve(message);
          break;
        case "failed":
          reject(message.blame === undefined ? new Error(message.message) : new VitrineError(message.message, { blame: message.blame }));
          break;
        default:
          message satisfies never;
      }
    });
  }).finally(() => worker.terminate());
}

/** How a thread knows that it is one of ours. */
const task = "vitrine: count pieces";

interface ThreadStart {
  readonly task: typeof task;
  readonly cutting: Cutting;
  readonly block: number | undefined;
}

function isThreadStart(data: unknown): data is ThreadStart {
  return typeof data === "object" && data !== null && (data as Partial<ThreadStart>).task === task;
}

if (!isMainThread && isThreadStart(workerData)) serve(workerData);

/** What a thread does. */
function serve({ cutting, block }: ThreadStart): void {
  const port = parentPort!;
  const tell = (message: FromThread, transfer?: ArrayBuffer[]): void => port.postMessage(message, transfer);
  const counter = new PieceCounter(cutting, new PieceTable());

  const count = async ({ path, from, to }: Part): Promise<void> => {
    const source = await openFile(path);
    if (source === undefined) throw new VitrineError(`${path}: there is no such file any more; check the path`);
    try {
      await countRange(source, from, to, counter, { block, onBytes: (bytes) => tell({ kind: "bytes", bytes }) });
    } finally {
      await source.close();
    }
    tell({ kind: "next" });
  };
  port.on("message", (part: Part | "end") => {
    if (part === "end") {
      const table = counter.table.data();
      tell({ kind: "counted", table, totals: counter.totals }, [table.keys.buffer, table.ends.buffer, table.counts.buffer]);
      return;
    }
    count(part).catch((error: unknown) => {
      tell({
        kind: "failed",
        message: error instanceof Error ? error.message : String(error),
        blame: error instanceof VitrineError ? error.blame : undefined,
      });
    });
  });
  tell({ kind: "next" });
}
