/**
 * The memory that a long prompt takes: 6 layers, width 384, read in one pass of T positions for T = 1024, 2048 and 4096, each in a process
 * of its own. Linear memory means that a token costs the same however many there are; with a matrix of T x T scores it costs twice as much
 * at twice the length, as it does for whoever listens to the pattern.
 */
import { spawnSync } from "node:child_process";
import { gpt2Config } from "../src/model/presets.ts";
import { randomModel } from "../src/model/random-weights.ts";
import { taps } from "../src/model/taps.ts";
import { openDeviceOn } from "../src/device/open.ts";
import { nodeCpuHost } from "../src/host/node-threads.ts";
import { seconds } from "./_engines.ts";
import { numberOption, numbersOption, peakMemory, textOption } from "./_machine.ts";
import { finish, showTable } from "./_report.ts";

export const name = "long-context";
export const description = "peak memory of reading prompts of 1024, 2048 and 4096 tokens, which must grow linearly";

const layers = 6;
const width = 384;
const heads = 6;
const vocabularySize = 1000;
const threads = numberOption("threads", 2);

interface Reading {
  /** Peak of the process, and of the same process before it read the prompt, in bytes. */
  readonly peak: number;
  readonly before: number;
  readonly seconds: number;
}

/** The child's part: a model of random weights, one pass over T tokens. */
async function read(device: string, T: number, listen: boolean): Promise<Reading> {
  const opened = await openDeviceOn(nodeCpuHost(), { device, threads });
  const model = await randomModel(gpt2Config({ layers, heads, width, vocabularySize, contextLength: 8192 }), opened, 1);
  await model.forward([[1, 2, 3]]).read();
  const before = peakMemory();
  const started = seconds();
  const listeners = listen ? taps(model.config, { "blocks.0.attn.hook_pattern": () => {} }) : undefined;
  await model.forward([Array.from({ length: T }, (_, i) => (i * 7919) % vocabularySize)], { taps: listeners }).read();
  return { peak: peakMemory(), before, seconds: seconds() - started };
}

function readInChild(device: string, T: number, listen: boolean): Reading {
  const request = JSON.stringify([device, T, listen]);
  const { status, stdout, stderr } = spawnSync(process.execPath, [process.argv[1], "--read", request, "--threads", String(threads)], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`bench: reading ${T} tokens on ${device} failed: ${stderr.trim()}`);
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as Reading;
}

/** Keys and values of one position, in bytes. */
const cacheBytes = 2 * layers * width * 4;

export function run(): void {
  const lengths = numbersOption("lengths", [1024, 2048, 4096]);
  const devices = (textOption("device") ?? "native,wasm").split(",");
  const rows = devices.flatMap((device) =>
    [false, true].flatMap((listen) => {
      const readings = lengths.map((T) => readInChild(device, T, listen));
      return lengths.map((T, n) => {
        const perToken = n === 0 ? null : (readings[n].peak - readings[n - 1].peak) / (T - lengths[n - 1]); // what is there anyway falls out
        return { device, listen, T, perToken, ...readings[n] };
      });
    }),
  );
  showTable(
    ["", "T", "peak MB", "of it before the prompt", "KB for each token more", "tok/s"],
    rows.map(({ device, listen, T, peak, before, perToken, seconds: spent }) => [
      `${device}${listen ? ", a layer's pattern heard" : ""}`,
      String(T),
      (peak / 1e6).toFixed(0),
      (before / 1e6).toFixed(0),
      perToken === null ? "" : (perToken / 1e3).toFixed(1),
      (T / spent).toFixed(0),
    ]),
  );
  console.log(
    `keys and values alone: ${(cacheBytes / 1e3).toFixed(1)} KB a token; one head's scores would be ${4 * lengths.at(-1)!} bytes a token at the end`,
  );
  const growth = (device: string): number => {
    const [first, ...later] = rows.filter((row) => row.device === device && !row.listen && row.perToken !== null);
    return Math.max(...later.map(({ perToken }) => perToken! / first.perToken!));
  };
  for (const device of devices)
    console.log(
      `${device}: a later token costs ${growth(device).toFixed(2)} times an earlier one (1 is linear, 2 would be T x T); budget 1.5, ${growth(device) <= 1.5 ? "kept" : "MISSED"}`,
    );
  finish(name, { layers, width, heads, threads, growth: Object.fromEntries(devices.map((device) => [device, growth(device)])), rows });
}

const request = textOption("read");
if (request === undefined) run();
else console.log(JSON.stringify(await read(...(JSON.parse(request) as [string, number, boolean]))));
