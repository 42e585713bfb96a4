/**
 * The small real model, through every door: tokens per second of the whole generate path on stories260K, the time from starting
 * the command to its first word, and the most memory that loading a large checkpoint takes.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadModel, type LocalEngine } from "vitrine";
import { gpt2Small, randomCheckpoint, weightBytes } from "./_checkpoint.ts";
import { largestIndex, seconds } from "./_engines.ts";
import { hasFlag, numberOption, peakMemory, root, textOption } from "./_machine.ts";
import { compare, comparisonData, type Contender, figures, finish, ratio, showComparison, showSpread, showTable, spreadData } from "./_report.ts";

export const name = "stories";
export const description = "stories260K: tokens/s of the whole generate path; start to first word of the command; peak memory of loading";

/** Tokens of one text: most of the model's 512 positions, so that attention has its share. */
const LENGTH = 400;

const threads = numberOption("threads", 1); // the model is too small for a second one to help

export async function run(): Promise<void> {
  const stories = join(root, "../shared/data/stories260K");
  if (!existsSync(stories)) console.log("stories260K: not at ../shared/data/stories260K, so its speed and the command's start are left out");
  const only = textOption("only");
  const wanted = (part: string): boolean => (only === undefined || part === only) && (part === "memory" || existsSync(stories));
  const speed = wanted("speed") ? await generationSpeed(stories) : undefined;
  const start = wanted("start") ? await commandStart(stories) : undefined;
  const memory = wanted("memory") ? loadingMemory() : undefined;
  finish(name, { model: "stories260K", threads, tokens: LENGTH, speed, start, memory });
}

async function generationSpeed(folder: string): Promise<unknown> {
  const engine = await loadModel(folder, { threads });
  console.log(`stories260K on ${engine.info.device}; llama2.c published 8,292 tok/s for this model on another machine`);
  const prompt = await engine.tokenize("Once upon a time");
  const ids = prompt.map(({ id }) => id);
  const comparison = await compare(
    [
      tokensPerSecond("generate, temperature 1", () => generate(engine, ids, 0)),
      tokensPerSecond("generate + top 20", () => generate(engine, ids, 20)),
      tokensPerSecond("forward and cache, greedy", () => forward(engine, ids)),
    ],
    { rounds: 7, pause: 20, warmUp: 6 }, // some thousand tokens: V8 compiles what runs often in stages
  );
  showComparison(comparison, [{ metric: "speed", title: "tok/s" }]);
  const top = ratio(comparison, "generate, temperature 1", "generate + top 20", "speed");
  console.log(`a token with its 20 most probable takes ${showSpread(top)} times as long; budget 1.05 (bench decode measures it more closely)`);
  engine.dispose();
  return { ...(comparisonData(comparison) as object), top: spreadData(top) };
}

/** Repeats a text of LENGTH tokens for at least 0.4 s. */
function tokensPerSecond(name: string, once: () => Promise<void>): Contender {
  return {
    name,
    measure: async () => {
      const started = seconds();
      let turns = 0;
      while (seconds() - started < 0.4) {
        await once();
        turns++;
      }
      return { speed: (turns * LENGTH) / (seconds() - started) };
    },
  };
}

async function generate(engine: LocalEngine, ids: readonly number[], top: number): Promise<void> {
  let steps = 0;
  for await (const step of engine.generate(ids, { maxTokens: LENGTH, stopIds: [], seed: 1 })) {
    steps++;
    if (top > 0 && step.distribution.top(top).length !== top) throw new Error("bench: too few candidates");
  }
  if (steps !== LENGTH) throw new Error(`bench: ${steps} steps instead of ${LENGTH}`);
}

async function forward({ model }: LocalEngine, ids: readonly number[]): Promise<void> {
  const cache = model.cache();
  let next: readonly number[] = ids;
  for (let n = 0; n < LENGTH; n++) {
    const logits = model.forward([next], { cache });
    next = [largestIndex(await logits.read())];
    logits.dispose();
  }
  cache.dispose();
}

/** From spawning the command to the first byte of text, in ms, beside a Node that does nothing. */
async function commandStart(folder: string): Promise<unknown> {
  const command = [join(root, "bin/vitrine.js"), "generate", "Once upon a time", "--model", folder, "--max-tokens", "8", "--seed", "1", "--no-echo"];
  const contenders: Contender[] = [
    { name: "vitrine generate, first word", measure: async () => ({ start: await firstByte(command) }) },
    { name: "node, first byte", measure: async () => ({ start: await firstByte(["-e", 'process.stdout.write("x")']) }) },
  ];
  const comparison = await compare(contenders, { rounds: 9, pause: 20 });
  showComparison(comparison, [{ metric: "start", title: "ms" }]);
  const median = figures(comparison, contenders[0].name, "start")?.median ?? Infinity;
  console.log(`budget: 600 ms; ${median <= 600 ? "kept" : "MISSED"}`);
  return comparisonData(comparison);
}

function firstByte(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = seconds();
    let first: number | undefined;
    let errors = "";
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", () => (first ??= seconds()));
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0 && first !== undefined) resolve(1000 * (first - started));
      else reject(new Error(`bench: ${args.join(" ")} ended with ${status}: ${errors.trim()}`));
    });
  });
}

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

/** The peak of a process that does nothing but load, over the checkpoint's fp32 size; and the peak of one that loads nothing. */
function loadingMemory(): unknown {
  const shape = hasFlag("quick") ? { ...gpt2Small, layers: 4 } : gpt2Small;
  const size = weightBytes(shape);
  const peak = peakOfChild(randomCheckpoint(shape));
  const bare = peakOfChild("");
  const share = peak / size;
  showTable(
    ["memory", "MB", "of fp32 size"],
    [
      [`weights of ${shape.layers} layers x ${shape.width}`, mega(size), "1.00"],
      ["peak of a process that loads them", mega(peak), share.toFixed(2)],
      ["peak of a process that loads nothing", mega(bare), (bare / size).toFixed(2)],
    ],
  );
  console.log(`budget: 1.3; ${share <= 1.3 ? "kept" : "MISSED"}`);
  return { fp32Bytes: size, peakBytes: peak, bareBytes: bare, share };
}

function peakOfChild(folder: string): number {
  const { status, stdout, stderr } = spawnSync(process.execPath, [process.argv[1], "--load", folder], { encoding: "utf8" });
  if (status !== 0) throw new Error(`bench: loading ${folder || "nothing"} failed: ${stderr.trim()}`);
  return Number(stdout.trim().split("\n").at(-1));
}

/** The child's part: load, let the first pass through, and tell the peak. */
async function loadAndTell(folder: string): Promise<void> {
  if (folder !== "") {
    const engine = await loadModel(folder);
    await engine.model.forward([[1, 2, 3]]).read();
    console.log(peakMemory());
    engine.dispose();
  } else console.log(peakMemory());
}

const loadFolder = textOption("load");
await (loadFolder === undefined ? run() : loadAndTell(loadFolder));
