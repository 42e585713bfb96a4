/**
 * What small weights gain: prefill and decode of a GPT-2 124M shape with f16, int8 and int4 weights against f32, on one device in
 * interleaved rounds; and what they lose, as the divergence of their predictions on those random weights. Real text: `vitrine score --compare`.
 */
import { distributionOf, divergence, loadEngine, type LocalEngine, type MatrixFormat, nodeFolder, openDevice } from "vitrine";
import { bandwidthContender } from "./_bandwidth.ts";
import { gpt2Small, randomCheckpoint, weightBytes } from "./_checkpoint.ts";
import { largestIndex, seconds } from "./_engines.ts";
import { numberOption, textOption } from "./_machine.ts";
import { compare, comparisonData, type Contender, figures, finish, ratio, showComparison, showNumber, showTable } from "./_report.ts";

export const name = "small-weights";
export const description = "prefill and decode tokens/s with f16, int8 and int4 weights against f32, and what they lose";

const threads = numberOption("threads", 2);
const promptLength = numberOption("prompt", 256);
const tokenCount = numberOption("tokens", 24);
const formats: readonly MatrixFormat[] = ["f32", "f16", "int8", "int4"];
const prompt = Array.from({ length: promptLength }, (_, i) => (i * 7919 + 13) % gpt2Small.vocabularySize);

interface Loaded {
  readonly format: MatrixFormat;
  readonly engine: LocalEngine;
  readonly bytes: number;
  readonly loadSeconds: number;
}

async function logitsAfter({ engine }: Loaded, ids: readonly number[], cache: ReturnType<LocalEngine["model"]["cache"]>): Promise<Float32Array> {
  const logits = engine.model.forward([ids], { cache });
  const values = await logits.read();
  logits.dispose();
  return values;
}

function contender(loaded: Loaded): Contender {
  return {
    name: loaded.format,
    measure: async () => {
      const cache = loaded.engine.model.cache();
      const started = seconds();
      let id = largestIndex(await logitsAfter(loaded, prompt, cache));
      const first = seconds();
      for (let n = 0; n < tokenCount; n++) id = largestIndex(await logitsAfter(loaded, [id], cache));
      const end = seconds();
      cache.dispose();
      return { prefill: promptLength / (first - started), decode: tokenCount / (end - first) };
    },
  };
}

const device = await openDevice({ device: textOption("device"), threads });
console.log(device.summary);
const folder = nodeFolder(randomCheckpoint());
const all: Loaded[] = [];
for (const format of formats) {
  const before = device.memory().bytes;
  const started = seconds();
  const engine = await loadEngine(folder, device, { weights: format });
  all.push({ format, engine, bytes: device.memory().bytes - before, loadSeconds: seconds() - started });
}

// What is lost: predictions after prompts of several lengths.
const lost = new Map<MatrixFormat, number>();
for (const loaded of all) {
  let sum = 0;
  const lengths = [16, 64, promptLength];
  for (const length of lengths) {
    const [exact, small] = await Promise.all(
      [all[0], loaded].map(async (each) => {
        const cache = each.engine.model.cache();
        const values = distributionOf(await logitsAfter(each, prompt.slice(0, length), cache));
        cache.dispose();
        return values;
      }),
    );
    sum += divergence(exact, small);
  }
  lost.set(loaded.format, sum / lengths.length);
}

const stream = bandwidthContender(threads, weightBytes(gpt2Small));
const comparison = await compare([...all.map(contender), stream], { rounds: 5, pause: 50 });
showComparison(comparison, [
  { metric: "prefill", title: "prefill tok/s" },
  { metric: "decode", title: "decode tok/s" },
  { metric: "bandwidth", title: "GB/s" },
]);
const times = (format: MatrixFormat, metric: string): string => {
  const found = ratio(comparison, format, "f32", metric);
  return found === undefined ? "-" : `${found.median.toFixed(2)} x`;
};
showTable(
  ["", "MB", "load s", "prefill", "decode", "GB/s of weights", "KL nats"],
  all.map(({ format, bytes, loadSeconds }) => [
    format,
    (bytes / 1e6).toFixed(0),
    loadSeconds.toFixed(1),
    times(format, "prefill"),
    times(format, "decode"),
    showNumber(((figures(comparison, format, "decode")?.median ?? NaN) * bytes) / 1e9),
    lost.get(format)!.toExponential(1),
  ]),
);
await stream.dispose();
for (const { engine } of all) engine.dispose();
device.dispose();
finish(name, {
  model: "GPT-2 124M shape, random weights",
  device: device.summary,
  prompt: promptLength,
  tokens: tokenCount,
  bytes: Object.fromEntries(all.map(({ format, bytes }) => [format, bytes])),
  loadSeconds: Object.fromEntries(all.map(({ format, loadSeconds }) => [format, Number(loadSeconds.toFixed(2))])),
  divergence: Object.fromEntries(lost),
  comparison: comparisonData(comparison),
});
