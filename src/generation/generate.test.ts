import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { randomFrom } from "../base/random.ts";
import { distributionOf } from "./distribution.ts";
import { byteTokenizer, collect, fakeLogits, fakeModel } from "./fake.testing.ts";
import { generate } from "./generate.ts";
import { sampler } from "./sampling.ts";
import type { GenerateEnd, GenerateOptions, Step } from "./step.ts";

const tokenizer = byteTokenizer();
const repeated = (id: number, length: number): number[] => Array.from({ length }, () => id);
const ids = (text: string): number[] => tokenizer.encode(text);

/** The definition: no cache, the whole window read anew for every token. */
function uncached(
  prompt: number[],
  contextLength: number,
  V: number,
  count: number,
  options: GenerateOptions,
): { ids: number[]; dropped: number[][] } {
  const context = options.context ?? contextLength;
  const slideBy = options.slideBy ?? Math.max(1, Math.floor(context / 8));
  const some = sampler(options);
  const random = randomFrom(options.seed!);
  const all = prompt.slice();
  let start = Math.max(0, prompt.length - context);
  let dropped = [prompt.slice(0, start)];
  const droppedAll: number[][] = [];
  for (let i = 0; i < count; i++) {
    const own = distributionOf(fakeLogits(all.slice(start), V));
    all.push(some.choose(some.filter(own, all, all.slice(prompt.length)), random));
    droppedAll.push(...dropped);
    dropped = [[]];
    if (all.length - start > context) {
      const end = start + Math.max(all.length - start - context, Math.min(slideBy, all.length - start - 1));
      dropped = [all.slice(start, end)];
      start = end;
    }
  }
  return { ids: all.slice(prompt.length), dropped: droppedAll };
}

describe("the loop", () => {
  test("cached generation equals uncached, sliding included, and gives everything back", async () => {
    const prompts = fc.array(fc.nat(255), { minLength: 1, maxLength: 700 });
    const shapes = fc.record({
      contextLength: fc.integer({ min: 1, max: 600 }),
      slide: fc.double({ min: 0, max: 1, noNaN: true }),
      narrow: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(prompts, shapes, fc.nat(1e6), async (prompt, { contextLength, slide, narrow }, seed) => {
        const model = fakeModel(contextLength, 256);
        const context = narrow ? Math.ceil(contextLength / 2) : contextLength;
        const slideBy = 1 + Math.floor(slide * (context - 1));
        const options = { seed, context, slideBy, maxTokens: 30, repetitionPenalty: 1.1, presencePenalty: 0.1 };
        const { steps, end } = await collect(generate(model, tokenizer, prompt, options));
        const expected = uncached(prompt, contextLength, 256, 30, options);
        expect(steps.map((step) => step.token.id)).toEqual(expected.ids);
        expect(steps.map((step) => step.dropped.map((token) => token.id))).toEqual(expected.dropped);
        expect(steps.map((step) => step.position)).toEqual(expected.ids.map((_, at) => prompt.length + at));
        expect(end).toMatchObject({ reason: "length", tokens: 30, seed, promptTokens: Math.min(prompt.length, context) });
        expect(model.live).toEqual({ tensors: 0, caches: 0 });
      }),
      { numRuns: 60 },
    );
  });

  test("reads one position per token once the prompt is read, the prompt in chunks", async () => {
    const model = fakeModel(1000, 256);
    await collect(generate(model, tokenizer, ids("x".repeat(600)), { maxTokens: 4 }));
    expect(model.passes).toEqual([256, 256, 88, 1, 1, 1]);
  });

  test("every step tells the model's own probability, the one drawn with, rank and distribution", async () => {
    const options = { seed: 3, temperature: 0.7, topK: 20, maxTokens: 20 };
    const prompt = ids("Once");
    const all = prompt.slice();
    for (const step of (await collect(generate(fakeModel(64, 256), tokenizer, prompt, options))).steps) {
      const own = distributionOf(fakeLogits(all, 256));
      const filtered = sampler(options).filter(own, all, []);
      const { id } = step.token;
      expect(step.probability).toBe(own.probability(id));
      expect(step.logprob).toBe(own.logprob(id));
      expect(step.rank).toBe(own.rank(id));
      expect(step.sampledFrom).toBe(filtered.probability(id));
      expect(step.distribution.top(3)).toEqual(own.top(3));
      expect(step.filtered.top(30)).toEqual(filtered.top(30));
      all.push(id);
    }
  });

  test("all step texts together are the returned text and what the ids decode to, broken characters included", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1e6), fc.integer({ min: 1, max: 60 }), async (seed, maxTokens) => {
        const { steps, end } = await collect(generate(fakeModel(100, 256), tokenizer, ids("é"), { seed, maxTokens }));
        expect(steps.map((step) => step.text).join("")).toBe(end.text);
        expect(end.text).toBe(tokenizer.decode(steps.map((step) => step.token.id)));
      }),
      { numRuns: 100 },
    );
  });

  test("the seed it drew by itself gives the same text again", async () => {
    const first = await collect(generate(fakeModel(100, 256), tokenizer, ids("a"), { maxTokens: 12 }));
    const again = await collect(generate(fakeModel(100, 256), tokenizer, ids("a"), { maxTokens: 12, seed: first.end.seed }));
    expect(again.end.text).toBe(first.end.text);
  });
});

const greedy = (options: GenerateOptions, V = 256, eos: number[] = []): Promise<{ steps: Step[]; end: GenerateEnd }> =>
  collect(generate(fakeModel(100, V, eos), byteTokenizer(V), ids("Hello"), { temperature: 0, ...options }));

describe("ends", () => {
  test("at a stop string, wherever tokens cut it, without showing any of it", async () => {
    const free = await greedy({ maxTokens: 30 });
    const characters = Array.from(free.end.text);
    const stop = characters.slice(10, 14).join("");
    const { steps, end } = await greedy({ maxTokens: 30, stop: ["never this", stop] });
    expect(end.reason).toBe("stop");
    expect(end.text).toBe(free.end.text.slice(0, free.end.text.indexOf(stop)));
    expect(steps.map((step) => step.text).join("")).toBe(end.text);
  });

  test("by length: what was held back as a possible stop string comes with the last step", async () => {
    const free = await greedy({ maxTokens: 8 });
    const { steps, end } = await greedy({ maxTokens: 8, stop: [free.end.text.slice(-2) + " and more"] });
    expect(end).toMatchObject({ reason: "length", text: free.end.text });
    expect(steps.map((step) => step.text).join("")).toBe(free.end.text);
  });

  test("at the model's end token, or at ids of the caller's", async () => {
    const free = await greedy({ maxTokens: 30 });
    const chosen = free.steps.map((step) => step.token.id);
    const first = chosen.indexOf(chosen[9]);
    expect((await greedy({ maxTokens: 30, stopIds: [chosen[9]] })).end).toMatchObject({ reason: "end-of-text", tokens: first + 1 });
    expect((await greedy({ maxTokens: 30 }, 256, [chosen[9]])).end).toMatchObject({ reason: "end-of-text", tokens: first + 1 });
    expect((await greedy({ maxTokens: 30, stopIds: [] }, 256, [chosen[9]])).end).toMatchObject({ reason: "length", tokens: 30 });
  });

  test("when the context is full and may not slide; the last token is predicted from a full context", async () => {
    const { steps, end } = await greedy({ onFull: "stop" });
    expect(end).toMatchObject({ reason: "context-full", tokens: 96 });
    expect(steps.every((step) => step.dropped.length === 0)).toBe(true);
    expect((await greedy({ onFull: "stop", context: 5 })).end).toMatchObject({ reason: "context-full", tokens: 1 });
  });

  test("at once for maxTokens 0, after 256 tokens by default", async () => {
    expect((await greedy({ maxTokens: 0 })).end).toMatchObject({ reason: "length", text: "", tokens: 0 });
    expect((await greedy({})).end).toMatchObject({ reason: "length", tokens: 256 });
  });

  test("when aborted: between steps, with the text so far", async () => {
    const model = fakeModel(100, 256);
    const abort = new AbortController();
    const generator = generate(model, tokenizer, ids("Hello"), { temperature: 0, maxTokens: 50, signal: abort.signal, stop: ["\u0000never"] });
    let text = "";
    for (let i = 0; i < 5; i++) text += ((await generator.next()).value as { text: string }).text;
    abort.abort();
    const { steps, end } = await collect(generator);
    expect(steps).toEqual([]);
    expect(end.reason).toBe("aborted");
    expect(end.tokens).toBe(5);
    expect(end.text.startsWith(text)).toBe(true);
    expect(model.live).toEqual({ tensors: 0, caches: 0 });
  });

  test("when aborted in the middle of a long prompt, by a timer that needs a turn to fire", async () => {
    const model = fakeModel(100_000, 4);
    const slow = { ...model, forward: (...args: Parameters<typeof model.forward>) => { const until = performance.now() + 5; while (performance.now() < until); return model.forward(...args); } }; // prettier-ignore
    const { steps, end } = await collect(generate(slow, byteTokenizer(), repeated(1, 60_000), { signal: AbortSignal.timeout(60) }));
    expect(steps).toEqual([]);
    expect(end.reason).toBe("aborted");
    expect(model.passes.length).toBeLessThan(150); // of 235
    expect(model.live).toEqual({ tensors: 0, caches: 0 });
  });

  test("when the caller stops looking, everything is given back", async () => {
    const model = fakeModel(100, 256);
    for await (const step of generate(model, tokenizer, ids("Hello"))) if (step.position > 8) break;
    expect(model.live).toEqual({ tensors: 0, caches: 0 });
  });
});

describe("bad requests are refused with the cure, before any work", () => {
  test.each<[number[], GenerateOptions, RegExp]>([
    [[], {}, /prompt is empty.*start token/],
    [[1, 256], {}, /token id 256; this model's ids are integers from 0 to 255/],
    [[-1], {}, /token id -1/],
    [[0.5], {}, /token id 0.5/],
    [[1], { context: 101 }, /101 positions asked for; this model has 1 to 100/],
    [[1], { context: 0 }, /context/],
    [[1], { maxTokens: -1 }, /maxTokens is -1/],
    [[1], { maxTokens: 1.5 }, /maxTokens is 1.5/],
    [[1], { slideBy: 0 }, /slideBy is 0; expected a whole number from 1 to the context's 100/],
    [[1], { slideBy: 101 }, /slideBy/],
    [[1], { onFull: "explode" as "slide" }, /onFull is "explode"; expected "slide" or "stop"/],
    [[1], { stop: [""] }, /stop/],
    [[1], { temperature: -1 }, /temperature is -1/],
    [repeated(1, 101), { onFull: "stop" }, /101 tokens, the context 100 positions; shorten it/],
  ])("%j %j", async (prompt, options, message) => {
    const model = fakeModel(100, 256);
    const asked = collect(generate(model, tokenizer, prompt, options));
    await expect(asked).rejects.toThrow(message);
    await expect(asked).rejects.toThrow(VitrineError);
    expect(model.passes).toEqual([]);
    expect(model.live).toEqual({ tensors: 0, caches: 0 });
  });
});
