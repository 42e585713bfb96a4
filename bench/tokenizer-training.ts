/**
 * Learning a vocabulary: 4,096 tokens from all the books, against the budget of 60 seconds and 2 GB; and as many merges as Hugging Face's
 * Rust library learns with the only settings its Node binding has (30,000 tokens, line by line), after checking that they are the same
 * merges. Then the speed of encoding with the new vocabulary. Every training runs in a process of its own, whose peak memory is told.
 */
import { fork } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { textSources } from "../src/host/text-sources.ts";
import { countOnThreads } from "../src/host/piece-threads.ts";
import { loadTokenizer } from "../src/tokenizer/load.ts";
import { trainedTokenizerConfig, trainedTokenizerJson } from "../src/tokenizer/train-files.ts";
import { trainBpe } from "../src/tokenizer/train.ts";
import type { TrainedBpe } from "../src/tokenizer/train.ts";
import { countAsOwn, numberOption, peakMemory, root, textOption } from "./_machine.ts";
import { peer } from "./_peers.ts";
import { compare, comparisonData, type Contender, finish, type Sample, showComparison } from "./_report.ts";

export const name = "tokenizer-training";
export const description = "learning 4,096 tokens from all the books, seconds and memory, against Hugging Face's Rust library (--shelf classics)";

/** What a child process is to do. */
type Task =
  | {
      readonly trainer: "vitrine";
      readonly paths: readonly string[];
      readonly threads: number;
      readonly vocabulary: number;
      readonly asPeer: boolean;
    }
  | { readonly trainer: "tokenizers"; readonly paths: readonly string[] };

interface Result {
  readonly sample: Sample;
  readonly merges: readonly string[];
}

/** The part of the binding that is used. */
interface RustTokenizers {
  readonly Tokenizer: {
    new (model: unknown): { setPreTokenizer(pre: unknown): void; train(files: readonly string[]): void; save(path: string): void };
    fromString(json: string): { encode(text: string): Promise<{ getIds(): number[] }> };
  };
  readonly BPE: { empty(): unknown };
  byteLevelPreTokenizer(addPrefixSpace: boolean, useRegex: boolean): unknown;
}

async function train(task: Extract<Task, { trainer: "vitrine" }>): Promise<TrainedBpe> {
  const { paths, threads, vocabulary, asPeer } = task;
  const settings = asPeer ? { lines: true, special: [], minFrequency: 0 } : {};
  return trainBpe(await textSources(paths), { vocabulary, ...settings, count: countOnThreads(paths, { threads }) });
}

async function measureHere(task: Task): Promise<Result> {
  let merges: string[] = [];
  const start = performance.now();
  if (task.trainer === "vitrine") merges = (await train(task)).merges.map((pair) => pair.join(" "));
  else {
    const { Tokenizer, BPE, byteLevelPreTokenizer } = (await peer<RustTokenizers>("tokenizers"))!;
    const tokenizer = new Tokenizer(BPE.empty());
    tokenizer.setPreTokenizer(byteLevelPreTokenizer(false, true));
    tokenizer.train(task.paths);
    const folder = mkdtempSync(join(tmpdir(), "vitrine-bench-"));
    tokenizer.save(join(folder, "tokenizer.json"));
    const { model } = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")) as { model: { merges: (string | string[])[] } };
    rmSync(folder, { recursive: true });
    merges = model.merges.map((rule) => (typeof rule === "string" ? rule : rule.join(" ")));
  }
  const seconds = (performance.now() - start) / 1000;
  return { sample: { seconds, processor: process.cpuUsage().user / 1e6, peak: peakMemory() / 1e6 }, merges };
}

/** The same in a process of its own. */
function measure(task: Task): Promise<Result> {
  const child = fork(process.argv[1], ["--task", JSON.stringify(task)], { serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] });
  child.on("exit", countAsOwn(child.pid));
  return new Promise((resolve, reject) => {
    child.once("message", (result) => resolve(result as Result));
    child.once("exit", (status) => reject(new Error(`bench: the process of ${task.trainer} ended with ${status}`)));
  });
}

function bookPaths(): string[] {
  const books = join(root, "../shared/data/books");
  const shelves = textOption("shelf")?.split(",") ?? ["children", "classics", "more"];
  return shelves.flatMap((shelf) =>
    existsSync(join(books, shelf))
      ? readdirSync(join(books, shelf))
          .filter((file) => file.endsWith(".txt"))
          .sort()
          .map((file) => join(books, shelf, file))
      : [],
  );
}

async function run(): Promise<void> {
  const paths = bookPaths();
  if (paths.length === 0)
    return console.log("the books (../shared/data/books) are not here, and a vocabulary is learned from books; nothing is measured");
  const files = await textSources(paths);
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  console.log(`${(bytes / 1e6).toFixed(1)} MB in ${paths.length} books`);

  const threads = numberOption("threads", availableParallelism());
  const ours = { trainer: "vitrine", paths, threads, vocabulary: 4096, asPeer: false } as const;
  const asPeer = { ...ours, vocabulary: 30_000, asPeer: true };
  const tasks: [string, Task][] = [
    [`vitrine, 4,096 tokens, ${threads} threads`, ours],
    ["vitrine, 4,096 tokens, 1 thread", { ...ours, threads: 1 }],
  ];
  if ((await peer("tokenizers")) !== undefined) {
    tasks.push(["vitrine, 30,000 tokens by line", asPeer], ["tokenizers (Rust), 30,000 tokens by line", { trainer: "tokenizers", paths }]);
    const theirs = (await measure({ trainer: "tokenizers", paths })).merges;
    const { merges } = await measure({ ...asPeer, vocabulary: 256 + theirs.length });
    const at = theirs.findIndex((rule, i) => rule !== merges[i]);
    if (at >= 0 || theirs.length !== merges.length)
      throw new Error(`bench: tokenizers learned another merge ${at}: ${theirs[at]}, not ${merges[at]}`);
    console.log(`${theirs.length.toLocaleString("en-US")} merges are the same as those of tokenizers (Rust)`);
  }
  const contenders = tasks.map(([label, task]): Contender => ({ name: label, measure: async () => (await measure(task)).sample }));
  const training = await compare(contenders, { rounds: 3, warmUp: 0 });
  showComparison(training, [
    { metric: "seconds", title: "seconds" },
    { metric: "processor", title: "processor s" },
    { metric: "peak", title: "peak MB" },
  ]);
  finish(name, { bytes, training: comparisonData(training), encoding: await measureEncoding(await train(ours), paths) });
}

/** MB/s on books that come once each, with an empty cache of known words at the start. */
async function measureEncoding(trained: TrainedBpe, paths: readonly string[]): Promise<unknown> {
  let text = "";
  for (const path of paths) if (text.length < 10e6) text += readFileSync(path, "utf8");
  text = text.slice(0, 10e6);
  const written: Record<string, string> = {
    "tokenizer.json": trainedTokenizerJson(trained),
    "tokenizer_config.json": trainedTokenizerConfig(trained),
  };
  const bytes = Buffer.byteLength(text);
  const rust = await peer<RustTokenizers>("tokenizers");
  if (rust !== undefined) {
    const sample = text.slice(0, 1e6);
    const theirs = (await rust.Tokenizer.fromString(written["tokenizer.json"]).encode(sample)).getIds();
    const ids = (await loadTokenizer(async (file) => written[file])).encode(sample);
    if (theirs.length !== ids.length || theirs.some((id, i) => id !== ids[i]))
      throw new Error("bench: tokenizers reads our file and gives other ids");
    console.log(`\ntokenizers (Rust) reads our tokenizer.json and gives the same ${ids.length.toLocaleString("en-US")} ids`);
  }
  const contender: Contender = {
    name: "encoding with the 4,096 tokens",
    measure: async () => {
      const tokenizer = await loadTokenizer(async (file) => written[file]);
      const start = performance.now();
      tokenizer.encode(text);
      return { speed: bytes / 1000 / (performance.now() - start) };
    },
  };
  const encoding = await compare([contender], { rounds: 5 });
  showComparison(encoding, [{ metric: "speed", title: "MB/s" }]);
  return { bytes, ...(comparisonData(encoding) as object) };
}

const task = textOption("task");
if (task === undefined) await run();
else {
  const result = await measureHere(JSON.parse(task) as Task);
  process.send!(result, () => process.disconnect());
}
