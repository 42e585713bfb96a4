import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { distributionOf } from "./distribution.ts";
import { byteTokenizer, collect, fakeLogits, fakeModel } from "./fake.testing.ts";
import { score } from "./score.ts";
import type { Step } from "./step.ts";

const tokenizer = byteTokenizer();
const repeated = (id: number, length: number): number[] => Array.from({ length }, () => id);

describe("scoring a text", () => {
  test("gives every position what a run on its own window predicts", async () => {
    const texts = fc.array(fc.nat(15), { minLength: 1, maxLength: 900 });
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 1000 }), async (ids, context) => {
        const model = fakeModel(1000, 16);
        const { steps } = await collect(score(model, tokenizer, ids, { context }));
        expect(steps.map((step) => step.token.id)).toEqual(ids);
        expect(steps.map((step) => step.position)).toEqual(ids.map((_, at) => at));
        expect(steps[0]).not.toHaveProperty("probability");
        let start = 0;
        let dropped: number[] = [];
        for (const step of steps.slice(1) as Step[]) {
          const fallen = step.dropped.map((token) => token.id);
          dropped = dropped.concat(fallen);
          start += fallen.length;
          const own = distributionOf(fakeLogits(ids.slice(start, step.position), 16));
          expect(step.probability).toBe(own.probability(step.token.id));
          expect(step.rank).toBe(own.rank(step.token.id));
          expect(step.sampledFrom).toBe(step.probability);
          expect(step.position - start).toBeLessThanOrEqual(context);
          expect(step.position - start).toBeGreaterThanOrEqual(Math.min(step.position, Math.max(1, Math.floor(context / 2))));
        }
        expect(dropped).toEqual(ids.slice(0, start));
        expect(model.live).toEqual({ tensors: 0, caches: 0 });
      }),
      { numRuns: 60 },
    );
  });

  test("costs at most two passes over the text", async () => {
    const model = fakeModel(64, 16);
    await collect(score(model, tokenizer, repeated(3, 1000)));
    expect(model.passes.reduce((a, b) => a + b)).toBeLessThan(2000);
  });

  test("its texts together are the text", async () => {
    const text = "naïve 東京 café";
    const { steps } = await collect(score(fakeModel(100, 256), tokenizer, tokenizer.encode(text)));
    expect(steps.map((step) => step.text).join("")).toBe(text);
  });

  test("stops when aborted and gives everything back, whoever stops it", async () => {
    const model = fakeModel(300, 16);
    const abort = new AbortController();
    let seen = 0;
    for await (const step of score(model, tokenizer, repeated(1, 5000), { signal: abort.signal })) {
      seen = step.position;
      if (step.position === 100) abort.abort();
    }
    expect(seen).toBeLessThan(600);
    for await (const step of score(model, tokenizer, repeated(1, 5000))) if (step.position === 3) break;
    expect(model.live).toEqual({ tensors: 0, caches: 0 });
  });

  test("refuses nothing at all, ids outside the vocabulary, and a context the model does not have", async () => {
    const model = fakeModel(100, 16);
    await expect(collect(score(model, tokenizer, []))).rejects.toThrow(/empty/);
    await expect(collect(score(model, tokenizer, [16]))).rejects.toThrow(/from 0 to 15/);
    await expect(collect(score(model, tokenizer, [1], { context: 101 }))).rejects.toThrow(/1 to 100/);
  });
});
