/** From flags to a plan, and what a resume may change: every refusal names the flag and the cure. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { textFiles } from "../../src/cli/text-files.ts";
import { configOf, planOf, presets, resumedPlan } from "../../src/cli/training-plan.ts";
import type { TrainFlags } from "../../src/cli/training-plan.ts";
import { tally } from "../../src/model/tally.ts";

const files = ["/t/a.txt"];
const plan = (flags: Partial<TrainFlags>): ReturnType<typeof planOf> => planOf({ out: "out/m", ...flags }, files, flags.validation ?? []);

describe("a plan", () => {
  it("letters is nanoGPT's small character model", () => {
    const { model, options, tokenizer } = plan({ preset: "letters" });
    expect(model).toMatchObject({ architecture: "gpt2", layers: 4, heads: 4, width: 128, mlpWidth: 512, context: 64 });
    expect(options).toMatchObject({
      steps: 2000,
      batch: 12,
      learningRate: 1e-3,
      leastLearningRate: 1e-4,
      warmup: 100,
      beta2: 0.99,
      dropout: 0,
      clip: 1,
    });
    expect(tokenizer).toBe("characters");
  });

  it.each(Object.keys(presets))("%s has a model that can be, as gpt2 and as llama", (preset) => {
    for (const architecture of ["gpt2", "llama"]) {
      const { model, vocabulary } = plan({ preset, architecture });
      const config = configOf(model, vocabulary, 0);
      expect([config.family, config.tied, config.eosIds]).toEqual([architecture, true, [0]]);
      expect(tally(config, "exact", preset).weights).toBeGreaterThan(100_000);
    }
  });

  it("takes every number from the flags, and shares of steps from the steps asked for", () => {
    const { model, options, sample } = plan({ layers: 2, heads: 2, width: 10, context: 8, steps: 300, mlpWidth: 20, learningRate: 2e-3, seed: 5 });
    expect(model).toMatchObject({ layers: 2, heads: 2, width: 10, mlpWidth: 20, context: 8 });
    expect(options).toMatchObject({ steps: 300, warmup: 15, learningRate: 2e-3, leastLearningRate: 2e-4, evaluateEvery: 15, seed: 5, context: 8 });
    expect(sample).toEqual({ every: 30, prompt: null, tokens: 48 });
  });

  it("--vocabulary alone asks for a bpe, also in a preset with characters", () => {
    expect(plan({ preset: "letters", vocabulary: 300 })).toMatchObject({ tokenizer: "bpe", vocabulary: 300 });
  });

  it.each<[Partial<TrainFlags>, RegExp]>([
    [{ width: 130, heads: 4 }, /^--width 130 is not divisible by --heads 4: .*try --width 128 or 132$/],
    [{ heads: 5 }, /^width 192 of the preset is not divisible by --heads 5: .*190 or 195$/],
    [{ width: 3, heads: 4 }, /^--width 3 .*; ?.*try --width 4$|^--width 3 .*try --width 4$/],
    [{ architecture: "llama", width: 15, heads: 3 }, /^--width 15 gives each of 3 heads 5 numbers, .*try --width 18$/],
    [{ kvHeads: 2 }, /^--kv-heads 2: in gpt2 .*--architecture llama/],
    [{ architecture: "llama", kvHeads: 4 }, /^--kv-heads 4 does not divide heads 6 of the preset/],
    [{ vocabulary: 100 }, /^--vocabulary is 100; expected at least 257/],
    [{ vocabulary: 300, tokenizer: "characters" }, /^--vocabulary 300 .*--tokenizer characters brings its own/],
    [{ tokenizer: "" }, /^--tokenizer is ""; expected characters, bpe/],
    [{ steps: 10, warmup: 11 }, /^--warmup is 11, more than all 10 steps/],
    [{ learningRate: 1e-4, leastLearningRate: 1e-3 }, /^--least-learning-rate is 0\.001, above the learning rate 0\.0001/],
    [{ validation: ["/t/v.txt"], validationShare: 0.2 }, /^--validation and --validation-share were both given/],
  ])("%j is refused before any work", (flags, message) => {
    expect(() => plan(flags)).toThrow(message);
  });
});

describe("a resume", () => {
  const saved = plan({ preset: "letters", seed: 3 });
  const resumed = (flags: Partial<TrainFlags>, named: readonly string[] = []): ReturnType<typeof planOf> =>
    resumedPlan(saved, { out: "out/m", resume: true, ...flags }, named, flags.validation ?? []);

  it("needs no flags, and takes the same ones again", () => {
    expect(resumed({})).toEqual(saved);
    expect(resumed({ layers: 4, seed: 3, tokenizer: "characters", validationShare: 0.1, context: 64 }, files)).toEqual(saved);
  });

  it("may go on more slowly, and takes the least learning rate down with it", () => {
    const { options } = resumed({ learningRate: 1e-4, clip: 0.5, warmup: 5 });
    expect(options).toEqual({ ...saved.options, learningRate: 1e-4, leastLearningRate: saved.options.leastLearningRate / 10, clip: 0.5, warmup: 5 });
    expect(resumed({ leastLearningRate: 0 }).options.leastLearningRate).toBe(0);
  });

  it("may go further, and show and save otherwise", () => {
    const { options, sample, ...rest } = resumed({ steps: 9000, sampleEvery: 0, samplePrompt: "A", sampleTokens: 5, saveEvery: 7, evaluateEvery: 9 });
    expect(options).toEqual({ ...saved.options, steps: 9000, saveEvery: 7, evaluateEvery: 9 });
    expect(sample).toEqual({ every: 0, prompt: "A", tokens: 5 });
    expect(rest).toEqual({
      files: saved.files,
      validation: saved.validation,
      tokenizer: saved.tokenizer,
      vocabulary: saved.vocabulary,
      model: saved.model,
    });
  });

  it.each<[Partial<TrainFlags>, RegExp]>([
    [{ layers: 5 }, /^--layers 5 cannot be changed by --resume: in this run it is 4; leave it out/],
    [{ kvHeads: 2 }, /^--kv-heads 2 cannot be changed/],
    [{ dropout: 0.5 }, /^--dropout 0\.5 cannot be changed .* it is 0/],
    [{ seed: 4 }, /^--seed 4 cannot be changed/],
    [{ tokenizer: "bpe" }, /^--tokenizer bpe cannot be changed .* it is characters/],
    [{ vocabulary: 300 }, /^--vocabulary 300 cannot be changed .* it was not given/],
    [{ validationShare: 0.2 }, /^--validation-share 0\.2 cannot be changed .* it is 0\.1/],
    [{ validation: ["/t/v.txt"] }, /^--validation: in this run a share of the text is kept for it \(0\.1\)/],
    [{ warmup: 1e6 }, /^--warmup is 1000000, more than all \d+ steps/],
    [{ leastLearningRate: 1 }, /^--least-learning-rate is 1, above the learning rate/],
    [{ preset: "small" }, /^--preset small: --resume goes on/],
    [{ force: true }, /^--force writes over a run and --resume goes on/],
  ])("with %j is refused", (flags, message) => {
    expect(() => resumed(flags)).toThrow(message);
  });

  it("with any lower rate takes the least one along, not above it", () => {
    const even = planOf({ out: "out/m", learningRate: 1e-3, leastLearningRate: 1e-3 }, ["/t/a.txt"], []);
    for (const learningRate of [3e-5, 6e-5, 1e-4, 7e-4]) {
      const { options } = resumedPlan(even, { out: "out/m", resume: true, learningRate }, [], []);
      expect(options.leastLearningRate).toBe(learningRate);
    }
  });

  it("takes texts from where they lie now", () => {
    expect(resumed({}, ["/t/moved/a.txt"]).files).toEqual(["/t/moved/a.txt"]);
    expect(resumed({}).files).toEqual(saved.files);
  });
});

describe("the texts of a command", () => {
  const root = mkdtempSync(join(tmpdir(), "vitrine-texts-"));
  afterAll(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, "books/deep"), { recursive: true });
  mkdirSync(join(root, "empty"));
  for (const file of ["b.md", "books/z.txt", "books/a.TXT", "books/.hidden.txt", "books/deep/m.txt", "books/x.json"])
    writeFileSync(join(root, file), "x");
  symlinkSync(join(root, "b.md"), join(root, "books/link.txt"));
  mkdirSync(join(root, "elsewhere"));
  writeFileSync(join(root, "elsewhere/e.txt"), "x");
  symlinkSync(join(root, "elsewhere"), join(root, "books/linked"));
  symlinkSync(join(root, "books"), join(root, "books/deep/round"));
  const at = (...paths: string[]): string[] => paths.map((path) => join(root, path));

  it("are files as they were named, and every .txt in folders, linked ones too, by name, each once, and never round in a circle", async () => {
    const inside = at("books/a.TXT", "books/deep/m.txt", "books/link.txt", "books/linked/e.txt", "books/z.txt");
    expect(await textFiles(at("books", "b.md", "books/z.txt"))).toEqual([...inside, ...at("b.md")]);
  });

  it("must be there", async () => {
    await expect(textFiles(at("bookz"))).rejects.toThrow(`there is no such file or folder; did you mean ${JSON.stringify(join(root, "books"))}?`);
    await expect(textFiles(at("b.md/c"))).rejects.toThrow("there is no such file or folder; check the path");
    await expect(textFiles(at("empty"))).rejects.toThrow("is a folder without .txt files");
  });
});
