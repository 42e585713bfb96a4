/**
 * Reading a prompt and writing on, GPT-2 124M's shape with random weights: Vitrine against onnxruntime-node, transformers.js
 * and llama.cpp on the same weights, in interleaved rounds. Checks first that all of them compute the same.
 */
import type { WeightFormat } from "./_vitrine.ts";
import { bandwidthContender } from "./_bandwidth.ts";
import { bytesPerToken, gpt2Small, randomCheckpoint, weightBytes } from "./_checkpoint.ts";
import { largestIndex, type TextEngine } from "./_engines.ts";
import { graphAgainstPyTorch, largestDifference, relativeDifference } from "./_golden.ts";
import type { GgufType } from "../src/formats/gguf-type.ts";
import { type EngineSpec, type IsolatedEngine, isolated, serve } from "./_isolated.ts";
import { hasFlag, numberOption, numbersOption, textOption } from "./_machine.ts";
import {
  compare,
  comparisonData,
  type Contender,
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

export const name = "inference";
export const description = "prefill and decode tokens/s of a GPT-2 124M shape against onnxruntime-node, transformers.js and llama.cpp";

const threads = numberOption("threads", 2);
const promptLength = numberOption("prompt", 512);
const tokenCount = numberOption("tokens", 64);

/** Distinct ids all over the vocabulary, so that no engine profits from a repeated row of the table. */
const prompt = Array.from({ length: promptLength }, (_, i) => (i * 7919 + 13) % gpt2Small.vocabularySize);

export async function run(): Promise<void> {
  const golden = await graphAgainstPyTorch();
  if (golden !== undefined) console.log(`onnxruntime on our graph of golden/gpt2-tiny: max |logit - PyTorch| = ${golden.toExponential(1)}`);

  const folder = randomCheckpoint();
  const engines = await openEngines(folder);
  for (const { name, note } of engines) console.log(`${name}: ${note}`);
  const agreement = await compareLogits(engines);

  const stream = bandwidthContender(threads, weightBytes(gpt2Small));
  const comparison = await compare([...engines.map(contender), stream], { rounds: 5, pause: 200 });
  const columns = [
    { metric: "prefill", title: "prefill tok/s" },
    { metric: "decode", title: "decode tok/s" },
  ];
  showComparison(comparison, [...columns, { metric: "bandwidth", title: "GB/s" }]);
  const peaks = new Map<string, number>();
  for (const engine of engines) peaks.set(engine.name, await engine.peakMemory());
  showTable(
    ["", "decode as a share of the memory stream", "peak memory MB"],
    engines.map((engine) => [engine.name, showSpread(streamShare(comparison, engine, stream.name)), (peaks.get(engine.name)! / 1e6).toFixed(0)]),
  );
  const ours = engines.filter(isOurs);
  const peers = engines.filter((engine) => !isOurs(engine));
  const ratios = ours.flatMap((engine) =>
    groups(peers).map(([peer, names]) => ({
      ours: engine.name,
      peer,
      prefill: ratio(comparison, engine.name, fastest(comparison, names, "prefill"), "prefill"),
      decode: ratio(comparison, engine.name, fastest(comparison, names, "decode"), "decode"),
    })),
  );
  showTable(
    ["ratio, within rounds", "prefill", "decode"],
    ratios.map((row) => [`${row.ours} / ${row.peer}`, showSpread(row.prefill), showSpread(row.decode)]),
  );
  finish(name, {
    model: "GPT-2 124M shape, random weights",
    prompt: promptLength,
    tokens: tokenCount,
    threads,
    goldenDifference: golden ?? null,
    agreement,
    engines: Object.fromEntries(engines.map(({ name, note }) => [name, note])),
    comparison: comparisonData(comparison),
    ratios: ratios.map((row) => ({ ...row, prefill: spreadData(row.prefill), decode: spreadData(row.decode) })),
    peakMemory: Object.fromEntries(peaks),
    streamShare: Object.fromEntries(engines.map((engine) => [engine.name, spreadData(streamShare(comparison, engine, stream.name))])),
  });
  await stream.dispose();
  for (const engine of engines) await engine.dispose();
}

async function openEngines(folder: string): Promise<IsolatedEngine[]> {
  const [fp32, int8] = [hasFlag("fp32") || !hasFlag("int8"), hasFlag("int8")];
  const common = { folder, threads };
  const specs: EngineSpec[] = [];
  for (const device of textOption("device")?.split(",") ?? [undefined])
    for (const weights of (textOption("weights") ?? "f32").split(",") as WeightFormat[])
      for (const path of ["forward", "generate"] as const)
        if (path.includes(textOption("path") ?? "")) specs.push({ ...common, kind: "vitrine", device, path, weights });
  if (fp32)
    specs.push(
      { ...common, kind: "onnxruntime", options: {} },
      { ...common, kind: "onnxruntime", options: { logits: "last" } },
      { ...common, kind: "transformers", weights: "fp32" },
    );
  if (int8)
    specs.push(
      { ...common, kind: "onnxruntime", options: { weights: "int8" } },
      { ...common, kind: "onnxruntime", options: { weights: "int8", logits: "last" } },
      { ...common, kind: "transformers", weights: "int8" },
    );
  for (const type of (textOption("llama") ?? "").split(",").filter(Boolean))
    for (const count of numbersOption("llama-threads", [threads]))
      specs.push({ folder, threads: count, kind: "llama", type: type.toUpperCase() as GgufType });
  const only = textOption("only")?.split(",");
  const stranger = only?.find((kind) => !specs.some((spec) => spec.kind === kind));
  // A typing error would measure nothing, and look like a result.
  if (stranger !== undefined)
    throw new Error(`bench: --only ${stranger}: no such contender; there are ${[...new Set(specs.map(({ kind }) => kind))].join(", ")}`);
  const engines: IsolatedEngine[] = [];
  for (const spec of specs) {
    if (only && !only.includes(spec.kind)) continue;
    const engine = await isolated(spec);
    if (engine) engines.push(engine);
  }
  return engines;
}

/** Engines that differ in their number of threads alone, under what they have in common. */
function groups(engines: readonly TextEngine[]): [group: string, names: readonly string[]][] {
  const found = new Map<string, string[]>();
  for (const { name: each } of engines) {
    const group = each.replace(/, \d+ threads?$/, "");
    found.set(group, [...(found.get(group) ?? []), each]);
  }
  return [...found].map(([group, names]) => (names.length === 1 ? [names[0], names] : [`${group}, its best number of threads`, names]));
}

function fastest(comparison: Comparison, names: readonly string[], metric: string): string {
  const speed = (each: string): number => figures(comparison, each, metric)?.median ?? 0;
  return names.reduce((best, each) => (speed(each) > speed(best) ? each : best));
}

const isOurs = ({ name }: TextEngine): boolean => name.startsWith("vitrine");

function contender(engine: TextEngine): Contender {
  return {
    name: engine.name,
    measure: async () => {
      const { prompt: promptSeconds, tokens } = await engine.run(prompt, tokenCount);
      return { prefill: promptLength / promptSeconds, decode: tokenCount / tokens };
    },
  };
}

/** Logarithms of the probabilities that logits stand for; where an engine only tells probabilities, nothing else can be compared. */
function logSoftmax(logits: Float32Array): Float32Array {
  const largest = logits[largestIndex(logits)];
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return logits.map((logit) => logit - largest - Math.log(sum));
}

/** Every engine's log-probabilities after a prompt against the first fp32 peer's (or the first engine's), printed and returned. */
async function compareLogits(engines: readonly IsolatedEngine[]): Promise<Record<string, { maxDifference: number; relative: number }>> {
  const able = engines.filter((engine) => engine.hasLogits);
  const judge = able.find((engine) => !isOurs(engine)) ?? able[0];
  if (able.length < 2) return {};
  const expected = logSoftmax(await judge.logits!(prompt));
  const rows = [];
  for (const engine of able.filter((each) => each !== judge)) {
    const logits = logSoftmax(await engine.logits!(prompt));
    rows.push({ name: engine.name, maxDifference: largestDifference(logits, expected), relative: relativeDifference(logits, expected) });
  }
  showTable(
    [`log-probabilities after ${promptLength} tokens against ${judge.name}`, "max |difference|", "relative rms"],
    rows.map((row) => [row.name, row.maxDifference.toExponential(1), row.relative.toExponential(1)]),
  );
  return Object.fromEntries(rows.map(({ name, ...row }) => [name, row]));
}

/** Bytes of weights that decoding read per second, over what the machine streams. */
function streamShare(comparison: Comparison, engine: TextEngine, stream: string): Spread | undefined {
  const share = ratio(comparison, engine.name, stream, "decode", "bandwidth");
  const scale = ((bytesPerToken(gpt2Small) / 4) * engine.bytesPerWeight) / 1e9;
  return share && { median: share.median * scale, low: share.low * scale, high: share.high * scale };
}

const child = textOption("engine");
await (child === undefined ? run() : serve(JSON.parse(child) as EngineSpec));
