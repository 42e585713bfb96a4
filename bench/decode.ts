/**
 * What a new token costs on GPT-2 124M's shape: streaming the weights (a share of what memory gives), attention to everything
 * before it, and telling the 20 most probable ones. All budgets of one token in one run, for each device and format of weights.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Device, loadEngine, type LocalEngine, type MatrixFormat, nodeFolder, openDevice } from "vitrine";
import { bandwidthContender } from "./_bandwidth.ts";
import { bytesPerToken, gpt2Small, randomCheckpoint, weightBytes } from "./_checkpoint.ts";
import { largestIndex, seconds } from "./_engines.ts";
import { numberOption, root, textOption } from "./_machine.ts";
import { compare, comparisonData, type Comparison, type Contender, figures, finish, ratio, type Sample, type Spread } from "./_report.ts";
import { showSpread, showTable, spread, spreadData } from "./_report.ts";
import { bytesPerWeight } from "./_vitrine.ts";

export const name = "decode";
export const description = "a new token's cost: weights streamed, attention from context 8 to 500, the 20 most probable";

const threads = numberOption("threads", 2);
const near = numberOption("near", 8);
const far = numberOption("far", 500);
const tokens = numberOption("tokens", 24);
const turn = numberOption("seconds", 0.5);
const budgets = { attention: 3, top: 5, share: { native: 0.85, wasm: 0.8 } as Readonly<Record<string, number>> };

type Cache = ReturnType<LocalEngine["model"]["cache"]>;

interface Loaded {
  readonly name: string;
  readonly device: Device;
  readonly weights: MatrixFormat;
  readonly engine: LocalEngine;
}

/** Distinct ids all over the vocabulary, so that no row of the table comes twice. */
const ids = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7919 + 13) % gpt2Small.vocabularySize);

/** Reads ids and gives the favourite of what follows. */
async function step({ engine: { model } }: Loaded, read: readonly number[], cache: Cache): Promise<number> {
  const logits = model.forward([read], { cache });
  const id = largestIndex(await logits.read());
  logits.dispose();
  return id;
}

/** A model at one length of context: each `next` reads one token behind it and forgets it again. */
async function contextOf(loaded: Loaded, length: number): Promise<{ next(): Promise<number>; dispose(): void }> {
  const cache = loaded.engine.model.cache();
  let id = await step(loaded, ids(length), cache);
  return {
    next: async () => {
      const started = seconds();
      id = await step(loaded, [id], cache);
      const spent = seconds() - started;
      cache.truncate(length);
      return spent;
    },
    dispose: () => cache.dispose(),
  };
}

/** A text being written, a token at a time; each `next` gives the seconds of a token with its `top` most probable log-probabilities. */
function writing(engine: LocalEngine, prompt: readonly number[], count: number, top: number): { next(): Promise<number>; end(): Promise<unknown> } {
  const steps = engine.generate(prompt, { maxTokens: count, stopIds: [], seed: 1 });
  const next = async (): Promise<number> => {
    const started = seconds();
    const { value, done } = await steps.next();
    if (done) throw new Error(`bench: generate ended before ${count} steps`);
    let sum = 0;
    if (top > 0) for (const { probability } of value.distribution.top(top)) sum += Math.log(probability);
    const spent = seconds() - started;
    if (!Number.isFinite(sum)) throw new Error("bench: a candidate of probability 0");
    return spent;
  };
  return { next, end: () => steps.return(undefined as never) };
}

/** What the 20 most probable add to a token, in percent of its median time: the same text with and without them, token by token in turn. */
async function topCost(engine: LocalEngine, prompt: readonly number[], count: number): Promise<number> {
  const spent: number[][] = [[], []];
  const end = seconds() + turn;
  do {
    const texts = [0, 20].map((top) => writing(engine, prompt, count, top));
    for (let n = 0; n < count; n++)
      for (const which of n % 2 ? [0, 1] : [1, 0]) {
        const token = await texts[which].next();
        if (n > 0) spent[which].push(token); // the first one reads the prompt
      }
    for (const text of texts) await text.end();
  } while (seconds() < end);
  const [without, with20] = spent.map((each) => spread(each).median);
  return 100 * (with20 / without - 1);
}

/** Both contexts token by token in turn, so that they share the machine's moods; then texts with and without the most probable. */
function contender(loaded: Loaded): Contender {
  return {
    name: loaded.name,
    measure: async (): Promise<Sample> => {
      const [short, long] = [await contextOf(loaded, near), await contextOf(loaded, far)];
      await short.next();
      let [nearSeconds, farSeconds, count] = [0, 0, 0];
      const end = seconds() + turn;
      do {
        nearSeconds += await short.next();
        farSeconds += await long.next();
        count++;
      } while (seconds() < end || count < tokens);
      short.dispose();
      long.dispose();
      return {
        speed: count / nearSeconds,
        attention: (1000 * (farSeconds - nearSeconds)) / count,
        top: await topCost(loaded.engine, ids(near), tokens),
      };
    },
  };
}

/** Bytes of weights read a second at the short context, over what the machine streams. */
function streamShare(comparison: Comparison, { name: each, weights }: Loaded, stream: string): Spread | undefined {
  const share = ratio(comparison, each, stream, "speed", "bandwidth");
  const scale = ((bytesPerToken(gpt2Small) / 4) * bytesPerWeight[weights]) / 1e9;
  return share && { median: share.median * scale, low: share.low * scale, high: share.high * scale };
}

export async function run(): Promise<void> {
  const folder = randomCheckpoint();
  const stories = join(root, "../shared/data/stories260K");
  const formats = (textOption("weights") ?? "f32,f16,int8,int4").split(",") as MatrixFormat[];
  const models: Loaded[] = [];
  const small: { readonly name: string; readonly engine: LocalEngine }[] = [];
  const devices: Device[] = [];
  for (const asked of (textOption("device") ?? "native,wasm").split(",")) {
    const device = await openDevice({ device: asked, threads });
    const alone = await openDevice({ device: asked, threads: 1 }); // stories260K is too small for a second thread to help
    devices.push(device, alone);
    console.log(device.summary);
    for (const weights of formats)
      models.push({ name: `${device.name} ${weights}`, device, weights, engine: await loadEngine(nodeFolder(folder), device, { weights }) });
    if (existsSync(stories)) small.push({ name: `stories260K, ${device.name}`, engine: await loadEngine(nodeFolder(stories), alone) });
  }
  if (small.length === 0) console.log("stories260K: not at ../shared/data/stories260K, so it is left out");
  const story = small.length === 0 ? [] : (await small[0].engine.tokenize("Once upon a time")).map(({ id }) => id);
  const stream = bandwidthContender(threads, weightBytes(gpt2Small));
  const tiny = small.map(({ name: each, engine }): Contender => ({ name: each, measure: async () => ({ top: await topCost(engine, story, 400) }) }));
  const comparison = await compare([...models.map(contender), ...tiny, stream], { rounds: 5, pause: 100 });

  const shares = new Map(models.map((model) => [model.name, streamShare(comparison, model, stream.name)]));
  const limits = new Map(models.map(({ name: each, device }) => [each, budgets.share[device.name] ?? 0]));
  const verdict = (kept: boolean): string => (kept ? "kept" : "MISSED");
  showTable(
    [
      "",
      `tok/s at ${near}`,
      "share of memory's stream",
      "budget",
      `ms from ${near} to ${far}`,
      `< ${budgets.attention}`,
      "top 20, %",
      `< ${budgets.top}`,
    ],
    [...models, ...small].map(({ name: each }) => {
      const [share, attention, top] = [shares.get(each), figures(comparison, each, "attention"), figures(comparison, each, "top")];
      return [
        each,
        showSpread(figures(comparison, each, "speed")),
        showSpread(share),
        share ? verdict(share.median >= limits.get(each)!) : "",
        showSpread(attention),
        attention ? verdict(attention.median < budgets.attention) : "",
        showSpread(top),
        verdict(top!.median < budgets.top),
      ];
    }),
  );
  console.log(`${stream.name}: ${showSpread(figures(comparison, stream.name, "bandwidth"))} GB/s`);
  console.log(`${comparison.samples.length} rounds, median (p10 - p90)${comparison.noisy ? ": DISTURBED, do not quote" : ""}`);
  await stream.dispose();
  for (const { engine } of [...models, ...small]) engine.dispose();
  for (const device of devices) device.dispose();
  finish(name, {
    model: "GPT-2 124M shape, random weights",
    threads,
    near,
    far,
    streamShare: Object.fromEntries([...shares].map(([each, share]) => [each, spreadData(share)])),
    ...(comparisonData(comparison) as object),
  });
}

await run();
