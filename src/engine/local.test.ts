import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { byteTokenizer, collect, fakeLogits, fakeModel } from "../generation/fake.testing.ts";
import type { FakeModel } from "../generation/fake.testing.ts";
import { distributionOf } from "../generation/distribution.ts";
import type { Tally } from "../model/tally.ts";
import type { Token, Tokenizer } from "../tokenizer/tokenizer.ts";
import { localEngine } from "./local.ts";
import type { LocalEngine, LocalEngineOptions } from "./local.ts";
import { checkVocabularies, idsWithoutToken } from "./vocabulary.ts";

const tally = (rule: Tally["rule"]): Tally => ({ name: "fake", rule, rows: [], weights: 0, matrices: 0 });

function engineOf(model: FakeModel, tokenizer: Tokenizer = byteTokenizer(), more: Partial<LocalEngineOptions> = {}): LocalEngine {
  const device = { summary: "a small function" };
  return localEngine({ model: { ...model, device } as unknown as FakeModel, tokenizer, name: "fake", tally, ...more });
}

describe("a local engine", () => {
  test("tokenizes, predicts, generates and scores with one model's numbers", async () => {
    const engine = engineOf(fakeModel(64, 256));
    const ids = Array.from(new TextEncoder().encode("Hello"));
    expect((await engine.tokenize("Hello")).map((token) => token.id)).toEqual(ids);
    expect((await engine.predict("Hello")).top(5)).toEqual(distributionOf(fakeLogits(ids, 256)).top(5));

    const { steps } = await collect(engine.generate("Hello", { temperature: 0, maxTokens: 10 }));
    const text = [...ids, ...steps.map((step) => step.token.id)];
    const { steps: scored } = await collect(engine.score(text));
    steps.forEach((step, at) => expect(scored[ids.length + at]).toMatchObject({ probability: step.probability, rank: 1, position: step.position }));
  });

  test("predicts from the end of a prompt longer than the context, or from a shorter memory", async () => {
    const engine = engineOf(fakeModel(8, 256));
    const ids = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    expect((await engine.predict(ids)).top(1)).toEqual(distributionOf(fakeLogits(ids.slice(2), 256)).top(1));
    expect((await engine.predict(ids, { context: 3 })).top(1)).toEqual(distributionOf(fakeLogits(ids.slice(7), 256)).top(1));
  });

  test("begins an empty prompt with the start token and says so, or names the cure", async () => {
    const notes: string[] = [];
    const withStart = { ...byteTokenizer(257), bosId: 256 };
    const engine = engineOf(fakeModel(64, 257), withStart, { onNote: (note) => notes.push(note) });
    expect((await engine.predict("")).top(1)).toEqual(distributionOf(fakeLogits([256], 257)).top(1));
    expect(notes).toEqual(["the prompt is empty, so the text begins after <256> (id 256)"]);
    await expect(engine.predict([])).rejects.toThrow(/prompt is empty.*\[256\], its start token/);
    await expect(engineOf(fakeModel(64, 256)).predict("")).rejects.toThrow(/no start token.*at least one character/);
    await expect(collect(engineOf(fakeModel(64, 256)).generate(""))).rejects.toThrow(VitrineError);
  });

  test("never chooses ids without a token: padding of the vocabulary and holes", async () => {
    const hole: Token = { id: 65, text: "", bytes: new Uint8Array(), special: false };
    const bytes = byteTokenizer();
    const holed: Tokenizer = { ...bytes, token: (id) => (id === 65 ? { ...hole, id } : bytes.token(id)) };
    expect(idsWithoutToken(holed, 260)).toEqual([65, 256, 257, 258, 259]);
    const { steps } = await collect(engineOf(fakeModel(64, 4096), holed).generate("Hello", { maxTokens: 60, seed: 1 }));
    expect(steps.every((step) => step.token.id < 256 && step.token.id !== 65)).toBe(true);
    expect(steps.every((step) => step.sampledFrom > 10 * step.probability)).toBe(true); // the model's own says how little was left
  });

  test("ends at its end-of-text ids unless told others", async () => {
    const free = await collect(engineOf(fakeModel(64, 256)).generate("Hello", { temperature: 0, maxTokens: 20 }));
    const eos = free.steps[7].token.id;
    const engine = engineOf(fakeModel(64, 256), byteTokenizer(), { eosIds: [eos] });
    expect((await collect(engine.generate("Hello", { temperature: 0, maxTokens: 20 }))).end.reason).toBe("end-of-text");
    expect((await collect(engine.generate("Hello", { temperature: 0, maxTokens: 20, stopIds: [] }))).end.reason).toBe("length");
  });

  test("is of no use once disposed, and says so", async () => {
    let told = 0;
    const engine = engineOf(fakeModel(64, 256), byteTokenizer(), { onDispose: () => told++ });
    engine.dispose();
    engine.dispose();
    expect(told).toBe(1);
    await expect(engine.predict("a")).rejects.toThrow(/disposed; load it again/);
  });
});

describe("a tokenizer and a model that do not belong together", () => {
  test("are refused when the tokenizer has more ordinary tokens", () => {
    const bytes = byteTokenizer(300);
    expect(() => checkVocabularies("x", bytes, 200)).toThrow(/300 tokens, the model only 200.*different models/);
    expect(checkVocabularies("x", bytes, 256)).toBeUndefined(); // the rest are special tokens
  });

  test("are doubted when the model has many more ids, but not for padding", () => {
    expect(checkVocabularies("x", byteTokenizer(50_257), 50_304)).toBeUndefined();
    expect(checkVocabularies("x", byteTokenizer(), 50_257)).toMatch(/50257 ids, the tokenizer only 256/);
  });
});
