/**
 * Threads: how much faster two and four are than one, on the two loads that matter (a decoding step reads all weights once, a prompt
 * multiplies), and how much slower everything gets when another program takes one core. Budgets: 2 threads >= 1.7 x 1 on products;
 * with one core taken at most 2 x slower, also with more threads than cores.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import type { Device } from "../src/device/device.ts";
import { openDeviceOn, surveyDevices } from "../src/device/open.ts";
import { nodeCpuHost } from "../src/host/node-threads.ts";
import { seconds } from "./_engines.ts";
import { countAsOwn, numberOption, textOption } from "./_machine.ts";
import {
  compare,
  comparisonData,
  type Contender,
  finish,
  ratio,
  type Sample,
  showComparison,
  showSpread,
  spreadData,
  type Spread,
} from "./_report.ts";

export const name = "threads";
export const description = "one, two and four threads, alone and beside a busy neighbour";

const threadCounts = [1, 2, 4];
const turn = numberOption("seconds", 0.4);
const layers = numberOption("layers", 6);

/** Runs `work` for about `turn` seconds; how often a second. */
function rateOf(work: () => void): number {
  work();
  const started = seconds();
  let turns = 0;
  let now = started;
  while ((now = seconds()) - started < turn / 2) {
    work();
    turns++;
  }
  return turns / (now - started);
}

/** A few of GPT-2's layers without their meaning: the same products, norms and activations, one row (a token) or 256 (a prompt). */
function loads(device: Device): () => Sample {
  const C = 768;
  const k = device.kernels;
  const buffer = (width: number): ReturnType<Device["allocate"]> => {
    const made = device.allocate("f32", 256 * width);
    k.fill(made, 0.01);
    return made;
  };
  const [x, qkv, attended, mlp, weight] = [buffer(C), buffer(3 * C), buffer(C), buffer(4 * C), buffer(C)];
  const values = Float32Array.from({ length: 4 * C * C }, (_, i) => 0.02 * Math.sin(i));
  const matrix = (outputs: number, inputs: number): ReturnType<Device["matrix"]> => {
    const made = device.matrix(outputs, inputs);
    device.writeMatrix(made, values.subarray(0, outputs * inputs), { output: 0, outputs, input: 0, inputs, order: "inputs-first" });
    return made;
  };
  const stack = Array.from({ length: layers }, () => ({ qkv: matrix(3 * C, C), out: matrix(C, C), up: matrix(4 * C, C), down: matrix(C, 4 * C) }));
  const step = (rows: number): void => {
    for (const layer of stack) {
      k.layerNorm(x, x, weight, weight, rows, C, 1e-5);
      k.linear(qkv, x, layer.qkv, weight, null, null, rows);
      k.columns(attended, qkv, rows, 3 * C, 0, C);
      k.linear(x, attended, layer.out, weight, null, x, rows);
      k.layerNorm(x, x, weight, weight, rows, C, 1e-5);
      k.linear(mlp, x, layer.up, null, "gelu_new", null, rows);
      k.linear(x, mlp, layer.down, weight, null, x, rows);
    }
  };
  const bytes = stack.flatMap(({ qkv: a, out, up, down }) => [a, out, up, down]).reduce((sum, { byteLength }) => sum + byteLength, 0);
  return () => ({ decode: (bytes * rateOf(() => step(1))) / 1e9, prompt: (2 * 256 * (bytes / 4) * rateOf(() => step(256))) / 1e9 });
}

/** A program that takes a core while it is let: it sleeps between turns. */
function neighbour(): { run(): void; pause(): void; end(): void } {
  const child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  const stopCounting = countAsOwn(child.pid);
  child.kill("SIGSTOP");
  return {
    run: () => void child.kill("SIGCONT"),
    pause: () => void child.kill("SIGSTOP"),
    end: () => {
      child.kill("SIGKILL");
      stopCounting();
    },
  };
}

export async function run(): Promise<void> {
  const host = nodeCpuHost();
  const found = surveyDevices(host).filter(({ name: each, missing }) => each !== "reference" && missing === undefined);
  const names = textOption("device")?.split(",") ?? found.map(({ name: each }) => each);
  const busy = neighbour();
  const title = (device: string, threads: number, taken: boolean): string =>
    `${device}, ${threads} ${threads === 1 ? "thread" : "threads"}${taken ? ", a core taken" : ""}`;
  const contenders: Contender[] = [];
  const devices: Device[] = [];
  for (const each of names)
    for (const threads of threadCounts) {
      const device = await openDeviceOn(host, { device: each, threads });
      const measure = loads(device);
      devices.push(device);
      for (const taken of [false, true])
        contenders.push({
          name: title(each, threads, taken),
          measure: () => {
            if (!taken) return measure();
            busy.run();
            try {
              return measure();
            } finally {
              busy.pause();
            }
          },
        });
    }
  console.log(`${availableParallelism()} cores; ${layers} layers of GPT-2's width, fp32`);
  const comparison = await compare(contenders, { rounds: 7 });
  busy.end();
  showComparison(comparison, [
    { metric: "decode", title: "decode GB/s" },
    { metric: "prompt", title: "prompt GFLOP/s" },
  ]);

  const ratios: Record<string, Spread | null> = {};
  const show = (text: string, values: Spread | undefined): void => {
    if (values === undefined) return;
    ratios[text] = spreadData(values);
    console.log(`${text}: ${showSpread(values)}`);
  };
  console.log("");
  for (const each of names)
    for (const metric of ["decode", "prompt"] as const) {
      for (const threads of threadCounts.slice(1))
        show(`${each}, ${metric}: ${threads} threads / 1`, ratio(comparison, title(each, threads, false), title(each, 1, false), metric));
      for (const threads of threadCounts)
        show(
          `${each}, ${metric}, ${threads} threads: times slower with a core taken`,
          ratio(comparison, title(each, threads, false), title(each, threads, true), metric),
        );
    }
  for (const device of devices) device.dispose();
  finish(name, { layers, ratios, ...(comparisonData(comparison) as object) });
}

await run();
