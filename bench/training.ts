/**
 * Training: forward, backward and an AdamW step, fp32, tokens per second and peak memory, beside PyTorch on the same weights and batches
 * after checking that all of them meet the same losses. Two sizes, both nanoGPT's for characters: "characters" is its configuration for a
 * laptop, "baby" its six-layer one. Every contender runs in a process of its own. PyTorch is Debian's (apt-get install python3-torch
 * libopenblas0-pthread), on one thread and on two, as either may be the faster; _training-torch.py is its side.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { randomFrom } from "../src/base/random.ts";
import { openDeviceOn, surveyDevices } from "../src/device/open.ts";
import { nodeCpuHost } from "../src/host/node-threads.ts";
import { gpt2Config, type Dimensions } from "../src/model/presets.ts";
import { initialModel, initialWeights } from "../src/model/random-weights.ts";
import { AdamW } from "../src/training/optimiser.ts";
import { trainSettings } from "../src/training/settings.ts";
import { trainStep } from "../src/training/step.ts";
import type { TrainOptions } from "../src/training/training.ts";
import { seconds } from "./_engines.ts";
import { countAsOwn, numberOption, peakMemory, root, textOption } from "./_machine.ts";
import {
  compare,
  comparisonData,
  type Comparison,
  figures,
  finish,
  ratio,
  type Spread,
  showComparison,
  showSpread,
  showTable,
  spreadData,
} from "./_report.ts";

export const name = "training";
export const description = "forward + backward + AdamW, tokens/s and peak memory, against PyTorch (--only characters|baby)";

interface Size extends Dimensions {
  readonly batch: number;
  /** Steps of a turn: a second or more of work. */
  readonly turn: number;
  /** Least speed as a multiple of PyTorch's better one, natively. */
  readonly budget: number;
}

const sizes: Readonly<Record<string, Size>> = {
  characters: { layers: 4, heads: 4, width: 128, contextLength: 64, vocabularySize: 65, batch: 12, turn: 12, budget: 1 },
  baby: { layers: 6, heads: 6, width: 384, contextLength: 256, vocabularySize: 65, batch: 16, turn: 1, budget: 1.2 },
};

/** llm.c's C on "baby", 2 threads, as ENGINES.md measured it on this class of machine: a published figure, not part of the run. */
const llmcBaby = 283;

const threads = numberOption("threads", 2);
const seed = 1;
/** Steps whose losses are compared before anything is timed: the second one's weights have moved. */
const agreementSteps = 3;

/** Everything a contender needs, as a file, so that Python reads it too. */
interface Spec extends Size, Required<Pick<TrainOptions, "learningRate" | "beta1" | "beta2" | "epsilon" | "weightDecay" | "clip">> {
  /** Each B rows of T + 1 tokens: inputs and, one further, targets. */
  readonly batches: readonly (readonly (readonly number[])[])[];
  /** fp32 numbers of `tensors`, one after the other. */
  readonly weights: string;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

async function writeSpec(title: string, size: Size): Promise<string> {
  const folder = join(root, "out/bench");
  mkdirSync(folder, { recursive: true });
  const weights = join(folder, `training-${title}.f32`);
  const source = initialWeights(gpt2Config(size), seed);
  const tensors = [...source.tensors.values()].map(({ name: tensor, shape }) => ({ name: tensor, shape }));
  const handle = openSync(weights, "w");
  for (const { name: tensor } of tensors) writeSync(handle, await source.read(tensor));
  closeSync(handle);
  const random = randomFrom(seed);
  const row = (): number[] => Array.from({ length: size.contextLength + 1 }, () => Math.floor(random.next() * size.vocabularySize));
  const batches = Array.from({ length: 4 }, () => Array.from({ length: size.batch }, row));
  const options = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, clip: 1 };
  const spec: Spec = { ...size, ...options, batches, weights, tensors };
  const file = join(folder, `training-${title}.json`);
  writeFileSync(file, JSON.stringify(spec));
  return file;
}

interface Answer {
  readonly seconds: number;
  /** Seconds of all its threads together; foreign load hardly shows in them. */
  readonly processor: number;
  /** Of each step, before its weights moved. */
  readonly losses: readonly number[];
}

/** A contender in a process of its own, which speaks a line of JSON for a line of JSON. */
interface Trainer {
  readonly name: string;
  readonly note: string;
  steps(count: number): Promise<Answer>;
  peakMemory(): number;
  dispose(): void;
}

async function startTrainer(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Trainer> {
  const child: ChildProcess = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
  const stopCounting = countAsOwn(child.pid);
  child.once("exit", stopCounting);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done) throw new Error(`bench: ${program} ${args.join(" ")} ended without an answer`);
    return JSON.parse(line.value);
  };
  const hello = (await answer()) as { name: string; note: string };
  return {
    ...hello,
    steps: async (count) => {
      child.stdin!.write(`${JSON.stringify({ steps: count })}\n`);
      return (await answer()) as Answer;
    },
    peakMemory: () => peakMemory(child.pid),
    dispose: () => void child.kill(),
  };
}

/** The child's part, ours. */
async function serve(file: string, deviceName: string): Promise<void> {
  const spec = JSON.parse(readFileSync(file, "utf8")) as Spec;
  const { batch, learningRate, beta1, beta2, epsilon, weightDecay, clip } = spec;
  const device = await openDeviceOn(nodeCpuHost(), { device: deviceName, threads });
  const config = gpt2Config(spec);
  const model = await initialModel(config, device, seed);
  const options = { steps: 1e6, batch, learningRate, leastLearningRate: learningRate, warmup: 0, beta1, beta2, epsilon, weightDecay, clip };
  const settings = trainSettings(options, config.contextLength);
  const optimiser = new AdamW(device, model.learnable(), settings);
  const ready = spec.batches.map((rows) => {
    const targets = Int32Array.from(rows.flatMap((row) => row.slice(1)));
    return { inputs: rows.map((row) => row.slice(0, -1)), targets, counted: targets.length };
  });
  let step = 0;
  const batches = { next: () => ready[step % ready.length], state: () => randomFrom(seed).state() };
  console.log(JSON.stringify({ name: `vitrine ${device.name}`, note: device.summary }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { steps } = JSON.parse(line) as { steps: number };
    const losses: number[] = [];
    const started = seconds();
    const before = process.cpuUsage();
    for (let i = 0; i < steps; i++, step++) losses.push((await trainStep({ model, optimiser, batches, settings, step: step + 1, saved: "" })).loss);
    const { user, system } = process.cpuUsage(before);
    console.log(JSON.stringify({ seconds: seconds() - started, processor: (user + system) / 1e6, losses }));
  }
}

const cure = "on Debian: apt-get install python3-torch libopenblas0-pthread; PYTHON names another python3";

/** A Python that has PyTorch at its best; undefined, with a line that says how to get one, where there is none. */
function findTorch(): string | undefined {
  for (const python of [process.env.PYTHON, "/usr/bin/python3", "python3"]) {
    if (!python) continue;
    const { status, stdout } = spawnSync(python, [join(root, "bench/_training-torch.py")], { encoding: "utf8" });
    if (status === 0 && stdout.trim() === "ready") return python;
    if (status === 0) console.log(`PyTorch of ${python}: ${stdout.trim()}, left out (${cure})`);
  }
  console.log(`PyTorch: not here (${cure})`);
  return undefined;
}

async function startAll(spec: string, python: string | undefined): Promise<Trainer[]> {
  const usable = surveyDevices(nodeCpuHost()).filter(({ name: each, missing }) => each !== "reference" && missing === undefined);
  const trainers: Trainer[] = [];
  for (const device of textOption("device")?.split(",") ?? usable.map(({ name: each }) => each))
    trainers.push(await startTrainer(process.execPath, [process.argv[1], "--serve", spec, "--as", device, "--threads", String(threads)]));
  if (python !== undefined)
    for (const count of new Set([1, threads])) {
      const env = { OMP_NUM_THREADS: String(count), OPENBLAS_NUM_THREADS: String(count) };
      trainers.push(await startTrainer(python, [join(root, "bench/_training-torch.py"), spec, String(count)], env));
    }
  return trainers;
}

/** The largest difference of a loss from the first trainer's over the first steps. Throws when it is none of rounding. */
async function agree(trainers: readonly Trainer[]): Promise<number> {
  let largest = 0;
  let expected: readonly number[] | undefined;
  for (const trainer of trainers) {
    const { losses } = await trainer.steps(agreementSteps);
    expected ??= losses;
    const difference = Math.max(...losses.map((loss, i) => Math.abs(loss - expected![i])));
    if (!(difference < 1e-3))
      throw new Error(`bench: ${trainer.name} meets the losses ${losses.join(" ")}, ${trainers[0].name} ${expected.join(" ")}`);
    largest = Math.max(largest, difference);
  }
  return largest;
}

async function measure(title: string, size: Size, python: string | undefined): Promise<unknown> {
  const trainers = await startAll(await writeSpec(title, size), python);
  const { layers, heads, width, batch, contextLength, vocabularySize, turn, budget } = size;
  console.log(`\n${title}: ${layers} layers, ${heads} heads, width ${width}, batch ${batch} x ${contextLength}, vocabulary ${vocabularySize}`);
  for (const { name: each, note } of trainers) console.log(`${each}: ${note}`);
  const agreement = await agree(trainers);
  if (trainers.length > 1) console.log(`the losses of ${agreementSteps} steps from the same weights differ by at most ${agreement.toExponential(1)}`);
  const tokens = turn * batch * contextLength;
  const contenders = trainers.map((trainer) => ({
    name: trainer.name,
    measure: async () => {
      const answer = await trainer.steps(turn);
      return { speed: tokens / answer.seconds, thrift: tokens / answer.processor };
    },
  }));
  const comparison = await compare(contenders, { rounds: 5, pause: 200, warmUp: 0 }); // they are warm: agreement was steps too
  showComparison(comparison, [
    { metric: "speed", title: "tok/s" },
    { metric: "thrift", title: "tok per processor second" },
  ]);
  const peaks = trainers.map((trainer) => ({ name: trainer.name, peak: trainer.peakMemory() }));
  for (const trainer of trainers) trainer.dispose();

  const peer = fastest(
    comparison,
    trainers.map(({ name: each }) => each).filter((each) => each.startsWith("PyTorch")),
  );
  const ours = trainers.map(({ name: each }) => each).filter((each) => each.startsWith("vitrine"));
  const ratios = ours.map((each) => ({ name: each, ratio: peer === undefined ? undefined : ratio(comparison, each, peer, "speed") }));
  showTable(
    ["", "peak memory MB", peer === undefined ? "" : `of ${peer}'s speed`],
    peaks.map((row) => [row.name, (row.peak / 1e6).toFixed(0), showSpread(ratios.find((each) => each.name === row.name)?.ratio)]),
  );
  const native = ratios.find((each) => each.name === "vitrine native")?.ratio;
  if (native) console.log(`budget: native ${budget} x PyTorch; ${verdict(native.median >= budget)}`);
  const wasm = title === "baby" ? figures(comparison, "vitrine wasm", "speed") : undefined;
  if (wasm)
    console.log(
      `budget: wasm 2 x llm.c's C, whose published figure is ${llmcBaby} tok/s on this class of machine: ${(wasm.median / llmcBaby).toFixed(2)} x; ${verdict(wasm.median >= 2 * llmcBaby)}`,
    );
  return {
    size,
    agreement,
    comparison: comparisonData(comparison),
    peer: peer ?? null,
    ratios: Object.fromEntries(ratios.map((each) => [each.name, spreadData(each.ratio)])),
    peakMemory: Object.fromEntries(peaks.map((row) => [row.name, row.peak])),
    ...(wasm ? { llmcPublished: llmcBaby, wasmToLlmc: spreadData(scaled(wasm, 1 / llmcBaby)) } : {}),
  };
}

function fastest(comparison: Comparison, names: readonly string[]): string | undefined {
  const speed = (each: string): number => figures(comparison, each, "speed")?.median ?? 0;
  return names.toSorted((a, b) => speed(b) - speed(a))[0];
}

function scaled({ median, low, high }: Spread, by: number): Spread {
  return { median: median * by, low: low * by, high: high * by };
}

function verdict(kept: boolean): string {
  return kept ? "kept" : "MISSED";
}

async function run(): Promise<void> {
  const only = textOption("only");
  if (only !== undefined && sizes[only] === undefined) throw new Error(`bench: --only ${only}; expected ${Object.keys(sizes).join(" or ")}`);
  const python = findTorch();
  const results: Record<string, unknown> = {};
  for (const [title, size] of Object.entries(sizes)) if (only === undefined || only === title) results[title] = await measure(title, size, python);
  finish(name, { threads, results });
}

const spec = textOption("serve");
await (spec === undefined ? run() : serve(spec, textOption("as")!));
