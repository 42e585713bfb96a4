/** From folder to engine, on real files and on damaged ones. */
import { existsSync, readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryTinyModel } from "../../test/tiny-model.ts";
import { VitrineError } from "../base/errors.ts";
import { devices, threadPairs } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import { openReference } from "../device/reference/reference.ts";
import { collect } from "../generation/fake.testing.ts";
import { nodeFolder } from "../host/node-files.ts";
import { loadEngine, loadTokenizerOnly } from "./load.ts";
import type { LocalEngine } from "./local.ts";
import type { Step } from "./engine.ts";

const data = "../shared/data";
const stories = `${data}/stories260K`;
const noData = !existsSync(stories);
const dataNote = noData ? " (skipped: ../shared/data is not here)" : "";

const ids = (steps: readonly { readonly token: { readonly id: number } }[]): number[] => steps.map((step) => step.token.id);

describe.skipIf(noData).each(devices)(`the story model on $name${dataNote}`, ({ open }) => {
  let device: Device;
  let engine: LocalEngine;
  const notes: string[] = [];
  const progress: number[] = [];

  beforeAll(async () => {
    device = await open();
    engine = await loadEngine(nodeFolder(stories), device, {
      name: "stories260K",
      onNote: (note) => notes.push(note),
      onProgress: (done, total) => progress.push(done / total),
    });
  });
  afterAll(() => {
    engine.dispose();
    expect(device.memory().bytes).toBe(0);
    device.dispose();
  });

  test("is what its files say, loaded with progress and without complaint", () => {
    expect(engine.info).toMatchObject({
      name: "stories260K",
      architecture: "llama",
      contextLength: 512,
      vocabularySize: 512,
      layers: 5,
      heads: 8,
      width: 64,
    });
    expect(engine.info.parameters).toBe(engine.tally("exact").weights);
    expect(progress.at(-1)).toBe(1);
    expect(notes).toEqual([]);
  });

  test("tells the published greedy story, to the letter, from the bare start token", async () => {
    const published = JSON.parse(readFileSync(`${stories}/published-greedy-story.json`, "utf8")) as { ids: number[]; text: string };
    const byId = await collect(engine.generate([1], { temperature: 0, maxTokens: published.ids.length - 1 }));
    expect([1, ...ids(byId.steps)]).toEqual(published.ids);
    expect(byId.end.text).toBe(published.text);
    expect(byId.steps.map((step) => step.text).join("")).toBe(published.text);
    const byText = await collect(engine.generate("", { temperature: 0, maxTokens: published.ids.length - 1 }));
    expect(byText.end.text).toBe(published.text);
  });

  test("expects a comma after Once upon a time", async () => {
    const next = await engine.predict("Once upon a time");
    const [first, second] = next.top(2).map(({ id, probability }) => [engine.tokenizer.token(id).text, (100 * probability).toFixed(1)]);
    expect(first).toEqual([",", "96.9"]);
    expect(second).toEqual([" there", "2.9"]);
    expect(next.probability(0) + next.rest(512)).toBeLessThan(1e-3);
  });

  test("cached generation equals uncached, before and after the window slides", async () => {
    const options = { seed: 5, temperature: 0.9, maxTokens: 60, context: 40, slideBy: 7 };
    const prompt = engine.tokenizer.encode("Once upon a time, there was a little");
    const { steps } = await collect(engine.generate(prompt, options));
    expect(steps.some((step) => step.dropped.length === 7)).toBe(true);
    const all = [...prompt];
    let start = 0;
    for (const step of steps) {
      start += step.dropped.length;
      const alone = await engine.predict(all.slice(start)); // nothing cached: a window of its own
      expect(alone.probability(step.token.id)).toBeCloseTo(step.probability, 5);
      expect(all.length - start).toBeLessThanOrEqual(40);
      all.push(step.token.id);
    }
  });

  test("scores what it generated with the probabilities it generated it with", async () => {
    const { steps, end } = await collect(engine.generate("Lily saw a", { seed: 2, maxTokens: 50 }));
    const prompt = engine.tokenizer.encode("Lily saw a");
    const scored = (await collect(engine.score([...prompt, ...ids(steps)]))).steps;
    steps.forEach((step, at) => expect((scored[prompt.length + at] as Step).logprob).toBeCloseTo(step.logprob, 3));
    expect(scored.map((step) => step.text).join("")).toBe("Lily saw a" + end.text);
  });

  test("gives back every buffer, however generation ends", async () => {
    const before = device.memory();
    await collect(engine.generate("Once", { maxTokens: 5 }));
    for await (const step of engine.generate("Once")) if (step.position > 3) break;
    for await (const step of engine.score("Once upon a time, there was a dog.")) if (step.position > 3) break;
    await collect(engine.generate("Once", { signal: AbortSignal.abort() }));
    expect(device.memory()).toEqual(before);
  });
});

describe.skipIf(noData).each(threadPairs)(`the same seed on $name${dataNote}`, ({ open }) => {
  test("tells the same story", async () => {
    const texts: string[] = [];
    for (const one of open) {
      const device = await one();
      const engine = await loadEngine(nodeFolder(stories), device, { onDispose: () => device.dispose() });
      texts.push((await collect(engine.generate("Once upon a time", { seed: 11, maxTokens: 120 }))).end.text);
      engine.dispose();
    }
    expect(texts.length).toBeGreaterThan(1);
    expect(new Set(texts).size).toBe(1);
  });
});

const edit = (file: string, change: (json: Record<string, unknown>) => unknown) => async (path: string) => {
  await writeFile(join(path, file), JSON.stringify(change(JSON.parse(await readFile(join(path, file), "utf8")) as Record<string, unknown>)));
};

describe("a folder that is not right", () => {
  let good: Awaited<ReturnType<typeof temporaryTinyModel>>;
  beforeAll(async () => {
    good = await temporaryTinyModel();
  });
  afterAll(() => good.remove());

  /** A copy of the tiny model with one thing wrong. */
  async function broken(change: (path: string) => Promise<void>): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "vitrine-broken-"));
    try {
      await cp(good.path, path, { recursive: true });
      await change(path);
      const device = openReference();
      const error: unknown = await loadEngine(nodeFolder(path), device).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(VitrineError);
      expect(device.memory().bytes).toBe(0);
      return (error as Error).message;
    } finally {
      await rm(path, { recursive: true });
    }
  }

  test.each<[string, (path: string) => Promise<void>, RegExp]>([
    ["no config.json", (path) => unlink(join(path, "config.json")), /a tokenizer without a model \(no config.json\)/],
    ["no tokenizer at all", async (path) => { await unlink(join(path, "vocab.json")); await unlink(join(path, "merges.txt")); }, /has neither tokenizer.json nor vocab.json with merges.txt; fetch them/], // prettier-ignore
    ["no merges", (path) => unlink(join(path, "merges.txt")), /has vocab.json but not merges.txt/],
    ["no weights", (path) => unlink(join(path, "model.safetensors")), /no weights in safetensors format/],
    [
      "another architecture",
      edit("config.json", (config) => ({ ...config, model_type: "bert" })),
      /"bert" is another architecture; supported are gpt2/,
    ],
    [
      "a tokenizer of another model",
      edit("vocab.json", (vocabulary) => ({ ...vocabulary, extra: 900 })),
      /the tokenizer has 901 tokens, the model only 262/,
    ],
    ["weights of another size", edit("config.json", (config) => ({ ...config, n_embd: 32 })), /config.json makes it/],
    [
      "a generation_config of nonsense",
      edit("generation_config.json", () => ({ eos_token_id: "end" })),
      /generation_config.json: eos_token_id is the text "end"; expected a token id/,
    ],
  ])("%s is told with the cure", async (_, change, message) => {
    expect(await broken(change)).toMatch(message);
  });

  test("the tokenizer alone opens without a model beside it", async () => {
    const path = await mkdtemp(join(tmpdir(), "vitrine-tokenizer-"));
    for (const file of ["vocab.json", "merges.txt"]) await cp(join(good.path, file), join(path, file));
    const tokenizer = await loadTokenizerOnly(nodeFolder(path));
    expect(tokenizer.encode(" the inner").map((id) => tokenizer.token(id).text)).toEqual([" the", " ", "in", "n", "er"]);
    await rm(path, { recursive: true });
  });

  test("the tiny model itself loads, and begins an empty prompt with its end-of-text token", async () => {
    const device = openReference();
    const notes: string[] = [];
    const engine = await loadEngine(nodeFolder(good.path), device, { onNote: (note) => notes.push(note) });
    const { end } = await collect(engine.generate("", { maxTokens: 3, seed: 1 }));
    expect(end.promptTokens).toBe(1);
    expect(notes).toEqual(["the prompt is empty, so the text begins after <|endoftext|> (id 261)"]);
    engine.dispose();
    expect(device.memory().bytes).toBe(0);
  });
});
