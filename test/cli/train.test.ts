/** `vitrine train` and `vitrine eval` from end to end in this process, on models so small that the reference device will do. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { hostModels } from "../../src/cli/host-models.ts";
import { processInterrupt } from "../../src/cli/io.ts";
import { openLog } from "../../src/cli/training-log.ts";
import type { TrainEvent } from "../../src/training/training.ts";
import type { FakeModels, Ran, RunOptions } from "./fake.testing.ts";
import { plain, vitrine } from "./fake.testing.ts";
import { evaluationSchema, linesOf, runSchema, sampleSchema, scoreEndSchema, trainEventSchema } from "./json-schema.testing.ts";

const root = mkdtempSync(join(tmpdir(), "vitrine-train-"));
afterAll(() => rmSync(root, { recursive: true }));
const text = join(root, "text.txt");
writeFileSync(text, Array.from({ length: 120 }, (_, i) => `the ${["cat", "dog", "old man"][i % 3]} sat on mat ${i % 10}.\n`).join(""));

/** With the models of this machine instead of a fake one. */
function real(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return vitrine([...argv, "--device", "reference"], { models: { ...hostModels } as FakeModels, ...options });
}

const tiny = ["--tokenizer", "characters", "--layers", "1", "--heads", "2", "--width", "8", "--context", "8", "--batch", "2", "--dropout", "0.1", "--evaluate-batches", "2"]; // prettier-ignore
const train = (out: string, ...more: string[]): string[] => ["train", text, "--out", join(root, out), ...tiny, ...more];

type Logged = TrainEvent | { readonly type: "sample"; readonly step: number };
const logOf = (out: string): Logged[] => linesOf(readFileSync(join(root, out, "log.jsonl"), "utf8")) as unknown as Logged[];
/** What a run computed; how long it took is chance. */
const numbersOf = (out: string): unknown[] =>
  logOf(out).flatMap((event) =>
    event.type === "step" ? [[event.step, event.loss, event.gradientNorm, event.learningRate]] : event.type === "evaluation" ? [[event.step, event.validationLoss]] : [],
  ); // prettier-ignore

/** Presses Ctrl-C when the command has written `when`. */
async function interrupted(argv: readonly string[], when: RegExp): Promise<Ran> {
  let press = (): void => {};
  const seen = { text: "" };
  const { Writable } = await import("node:stream");
  const stdout = new Writable({
    decodeStrings: false,
    write: (chunk: string, _, done) => {
      seen.text += chunk;
      if (when.test(seen.text)) press();
      done();
    },
  });
  const ran = await real(argv, { stdout, onInterrupt: (listener) => ((press = listener), () => {}) });
  return { ...ran, stdout: seen.text };
}

describe("vitrine train", () => {
  it("learns, shows it, and leaves a folder that other commands open", async () => {
    const { code, stdout, stderr } = await real(train("whole", "--steps", "12", "--sample-every", "6", "--sample-tokens", "10", "--seed", "3"));
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^gpt2: 1 layer, 2 heads, width 8, context 8, vocabulary \d+: [\d,]+ weights\n/);
    expect(stdout).toMatch(/^step 12 of 12: loss /m);
    expect(stdout).toMatch(/^after 12 steps: 10 tokens at T = 0\.8$/m);
    expect(stdout).toMatch(/\n12 steps, 192 tokens in .*, validation loss \d\.\d{3} at best; the model is in .*whole\n$/);
    for (const file of ["config.json", "model.safetensors", "tokenizer.json", "checkpoint.safetensors", "run.json", "best/model.safetensors"])
      expect(existsSync(join(root, "whole", file)), file).toBe(true);

    const generated = await real(["generate", "the ", "-n", "5", "-t", "0", "--model", join(root, "whole")]);
    expect([generated.code, generated.stderr]).toEqual([0, ""]);
    expect(generated.stdout).toMatch(/^the .+/);
    const csv = readFileSync(join(root, "whole/log.csv"), "utf8").trimEnd().split("\n");
    expect(csv[0]).toBe("step,loss,validation_loss,training_loss,learning_rate,gradient_norm,tokens,seconds");
    expect(csv.filter((row) => row.split(",")[1] !== "").slice(1)).toHaveLength(12);
    expect(logOf("whole").filter(({ type }) => type === "sample").map(({ step }) => step)).toEqual([6, 12]); // prettier-ignore
  });

  it("writes JSON Lines that keep the schemas, the same numbers for the same seed", async () => {
    const { code, stdout } = await real(train("json", "--steps", "12", "--sample-every", "6", "--sample-tokens", "10", "--seed", "3", "--json"));
    expect(code).toBe(0);
    const [first, ...lines] = linesOf(stdout);
    expect(runSchema.parse(first)).toMatchObject({ layers: 1, width: 8, steps: 12, from: 0, tokensPerStep: 16, seed: 3 });
    for (const line of lines) (line.type === "sample" ? sampleSchema : trainEventSchema).parse(line);
    expect(lines.at(-1)).toMatchObject({ type: "end", reason: "done", step: 12, tokens: 192 });
    expect(numbersOf("json")).toEqual(numbersOf("whole"));
  });

  it("ends at Ctrl-C with everything saved, and goes on as if nothing had been", async () => {
    const argv = train("parts", "--steps", "12", "--sample-every", "6", "--sample-tokens", "10", "--seed", "3");
    const first = await interrupted(argv, /step 5 of 12: loss/);
    expect(first.code).toBe(130);
    expect(first.stderr).toMatch(/^interrupted after step 5 of 12, and saved; go on with vitrine train --resume --out .*parts\n$/);
    expect(logOf("parts").at(-1)).toMatchObject({ type: "saved", step: 5 });
    // As a crash would leave it: steps that no checkpoint has, and half a line.
    writeFileSync(
      join(root, "parts/log.jsonl"),
      `${readFileSync(join(root, "parts/log.jsonl"), "utf8")}{"type":"step","step":6,"loss":9}\n{"type":"st`,
    );

    const second = await interrupted(["train", "--resume", "--out", join(root, "parts")], /step 9 of 12: loss/);
    expect([second.code, second.stdout]).toEqual([130, expect.stringContaining("going on after step 5")]);
    const third = await real(["train", "--resume", "--out", join(root, "parts")]);
    expect([third.code, third.stderr]).toEqual([0, ""]);
    expect(numbersOf("parts")).toEqual(numbersOf("whole"));
    expect(readFileSync(join(root, "parts/model.safetensors"))).toEqual(readFileSync(join(root, "whole/model.safetensors")));
  });

  it("resumes a run that ended before its first checkpoint, and a finished one for more steps", async () => {
    await real(train("early", "--steps", "3", "--sample-every", "0"));
    rmSync(join(root, "early/checkpoint.safetensors"));
    const again = await real(["train", "--resume", "--out", join(root, "early")]);
    expect([again.code, again.stderr]).toEqual([0, ""]);
    const more = await real(["train", "--resume", "--out", join(root, "early"), "--steps", "5"]);
    expect(more.code).toBe(0);
    expect(logOf("early").filter(({ type }) => type === "step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]); // prettier-ignore
    expect(await real(["train", "--resume", "--out", join(root, "early"), "--steps", "4"])).toMatchObject({
      code: 2,
      stderr: "vitrine train: --steps is 4, and 5 are done already; give more, or begin anew in another --out\n",
    });
  });

  it("learns a vocabulary of its own on several files, and takes one from a folder", async () => {
    const more = join(root, "more");
    mkdirSync(more, { recursive: true });
    writeFileSync(join(more, "one.txt"), "a cat and a cat. ".repeat(40));
    writeFileSync(join(more, "two.txt"), "the dog and the dog. ".repeat(40));
    const shape = tiny.slice(2);
    const learned = await real([
      "train",
      more,
      "--out",
      join(root, "bpe"),
      ...shape,
      "--vocabulary",
      "262",
      "--steps",
      "2",
      "--architecture",
      "llama",
    ]);
    expect([learned.code, learned.stderr]).toEqual([0, ""]);
    expect(learned.stdout).toMatch(/^llama: .*vocabulary 262:/);
    const borrowed = await real(["train", more, "--out", join(root, "borrowed"), ...shape, "--tokenizer", join(root, "bpe"), "--steps", "2"]);
    expect([borrowed.code, borrowed.stderr]).toEqual([0, ""]);
    const tokenizer = (out: string): unknown => JSON.parse(readFileSync(join(root, out, "tokenizer.json"), "utf8"));
    expect(tokenizer("borrowed")).toEqual(tokenizer("bpe"));
  });

  it("looks at a validation text of its own, letters that only it has included", async () => {
    const other = join(root, "other.txt");
    writeFileSync(other, "XYZ the cat sat on mat.\n".repeat(4));
    const { code, stdout } = await real(train("validated", "--validation", other, "--steps", "2", "--json"));
    expect(code).toBe(0);
    expect(linesOf(stdout)[0]).toMatchObject({ validationTokens: expect.any(Number) as number });
    expect(linesOf(stdout).some(({ type }) => type === "evaluation")).toBe(true);
  });
});

describe("what cannot be trained", () => {
  const broken = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(root, name), content);
    return join(root, name);
  };
  it.each<[string, () => string[], RegExp]>([
    ["no text", () => ["train", "--out", join(root, "no")], /no text was given; name files/],
    ["no folder", () => ["train", text], /required option '-o, --out <dir>' not specified/],
    ["a missing file", () => ["train", join(root, "txt.text"), "--out", join(root, "no")], /there is no such file or folder/],
    ["an empty file", () => ["train", broken("e.txt", ""), "--out", join(root, "no"), ...tiny], /e\.txt: the file is empty/],
    [
      "a text of nothing but its end",
      () => ["train", broken("n.txt", "<|endoftext|>".repeat(9)), "--out", join(root, "deep/er"), ...tiny.slice(2), "--tokenizer", join(root, "bpe")],
      /n\.txt: no text, nothing but marks of its end/,
    ],
    ["a binary file", () => ["train", broken("b.txt", Uint8Array.of(65, 0, 1)), "--out", join(root, "no"), ...tiny], /b\.txt: a binary file/],
    [
      "a short text",
      () => ["train", broken("s.txt", "abcdef"), "--out", join(root, "no"), ...tiny],
      /the training text has \d tokens, a context of 8 needs at least 9/,
    ],
    ["heads that do not divide the width", () => train("no", "--width", "9"), /--width 9 is not divisible by --heads 2.*try --width 8 or 10/],
    ["a small vocabulary", () => ["train", text, "--out", join(root, "no"), "--vocabulary", "99"], /--vocabulary is 99; expected at least 257/],
    ["a resume of nothing", () => ["train", "--resume", "--out", join(root, "no-run")], /holds no run of vitrine train/],
    ["a prompt without tokens", () => train("no", "--sample-prompt", "東"), /^vitrine train: --sample-prompt: .*"東"/],
    ["numbers out of range", () => train("no", "--dropout", "1"), /--dropout is "1"; expected a number from 0 to 0\.95/],
    ["an unknown preset", () => train("no", "--preset", "leters"), /--preset is "leters".*did you mean letters/],
    ["a folder with a run", () => train("whole"), /holds a run after step 12 of 12; go on with vitrine train --resume/],
    ["a folder with a model", () => train("whole/best"), /holds a model already \(config\.json\)/],
    [
      "a folder with an adapter",
      () => (mkdirSync(join(root, "adapter"), { recursive: true }), broken("adapter/adapter_config.json", "{}"), train("adapter")),
      /holds a model already \(adapter_config\.json\)/,
    ],
    [
      "a folder with a tokenizer",
      () => (mkdirSync(join(root, "tokens"), { recursive: true }), broken("tokens/tokenizer.json", "{}"), train("tokens")),
      /holds a tokenizer already \(tokenizer\.json\)/,
    ],
    ["another model on resume", () => ["train", "--resume", "--out", join(root, "whole"), "--layers", "2"], /--layers 2 cannot be changed/],
  ])("%s is told in one line, with 2", async (_, argv, message) => {
    const { code, stderr } = await real(argv());
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vitrine train: [^\n]+\n$/);
    for (const name of ["no", "no-run", "deep"]) expect(existsSync(join(root, name)), name).toBe(false);
  });

  it.each<[string, () => string[], RegExp]>([
    ["an empty file", () => train("whole", "--force").with(1, broken("e.txt", "")), /e\.txt: the file is empty/],
    ["a short text", () => train("whole", "--force").with(1, broken("s.txt", "abcdef")), /the training text has \d tokens/],
    ["a prompt without tokens", () => train("whole", "--force", "--sample-prompt", "東"), /--sample-prompt: .*"東"/],
  ])("--force with %s leaves the old run as it is", async (_, argv, message) => {
    const filesOf = (): [string, string][] =>
      readdirSync(join(root, "whole"), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => [name, readFileSync(join(root, "whole", name), "base64")]);
    const before = filesOf();
    const { code, stderr } = await real(argv());
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(filesOf()).toEqual(before);
  });

  it("goes on more slowly where that is asked for", async () => {
    await real(train("slower", "--steps", "4"));
    expect((await real(["train", "--resume", "--out", join(root, "slower"), "--steps", "8", "--learning-rate", "0.00001"])).code).toBe(0);
    const rates = logOf("slower").flatMap((event) => (event.type === "step" && event.step > 4 ? [event.learningRate] : []));
    expect(rates).toHaveLength(4);
    for (const rate of rates) expect(rate).toBeLessThanOrEqual(1e-5);
  });

  it("a text that changed since the run began, also before its first checkpoint; one that only moved is named again", async () => {
    const changing = broken("changing.txt", "a cat and a dog and a hat\n".repeat(20));
    const again = (...more: string[]): Promise<Ran> => real(["train", ...more, "--resume", "--out", join(root, "changed"), "--steps", "4"]);
    await real(["train", changing, "--out", join(root, "changed"), ...tiny, "--steps", "2"]);
    mkdirSync(join(root, "moved"));
    copyFileSync(changing, join(root, "moved/changing.txt"));
    truncateSync(changing, 300);
    const refused = [2, expect.stringMatching(/^vitrine train: --resume: the texts or the tokenizer are not as they were [^\n]+\n$/)];
    const tokens = readdirSync(join(root, "changed/tokens"));
    for (let i = 0; i < 2; i++) {
      const { code, stderr } = await again();
      expect([code, stderr]).toEqual(refused);
      expect(readdirSync(join(root, "changed/tokens"))).toEqual(tokens);
      rmSync(join(root, "changed/checkpoint.safetensors"), { force: true });
    }
    expect(await again(join(root, "moved/changing.txt"))).toMatchObject({ code: 0, stderr: "" });
  });

  it("settings that cannot be, without a trace in the run", async () => {
    await real(train("kept", "--steps", "4", "--warmup", "3"));
    const plan = readFileSync(join(root, "kept/run.json"), "utf8");
    for (const flags of [
      ["--steps", "8", "--warmup", "100000"],
      ["--least-learning-rate", "1"],
    ]) {
      const { code, stderr } = await real(["train", "--resume", "--out", join(root, "kept"), ...flags]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/^vitrine train: --(warmup|least-learning-rate) is [^\n]+\n$/)]);
      expect(readFileSync(join(root, "kept/run.json"), "utf8")).toBe(plan);
    }
  });

  it("a temporary folder that is none, by its name", async () => {
    vi.stubEnv("TMPDIR", join(root, "gone"));
    try {
      const { stderr } = await real(train("untouched"));
      expect(stderr).toMatch(/^vitrine train: no temporary folder can be made in .*gone: .*; let TMPDIR name a folder/);
    } finally {
      vi.unstubAllEnvs();
    }
    expect(existsSync(join(root, "untouched"))).toBe(false);
  });

  it("a damaged run.json", async () => {
    mkdirSync(join(root, "damaged"), { recursive: true });
    const numbers = '{"version":1,"plan":{"files":[5],"model":{},"options":{},"sample":{},"validation":{}}}';
    for (const content of ["{", "[]", '{"version":2}', '{"version":1,"plan":{}}', numbers]) {
      writeFileSync(join(root, "damaged/run.json"), content);
      const { code, stderr } = await real(["train", "--resume", "--out", join(root, "damaged")]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/^vitrine train: .*run\.json[^\n]+\n$/)]);
    }
  });
});

describe("a folder in which somebody trains", () => {
  const lock = join(root, "shared/run.lock");
  const holds = (pid: number): void => writeFileSync(lock, JSON.stringify({ host: hostname(), pid }));

  it("is left to him; once his process is no more it is free", async () => {
    await real(train("shared", "--steps", "2"));
    expect(existsSync(lock)).toBe(false);
    holds(process.ppid);
    const before = readdirSync(join(root, "shared")).map((name) => [name, statSync(join(root, "shared", name)).mtimeMs]);
    for (const argv of [train("shared", "--force"), ["train", "--resume", "--out", join(root, "shared"), "--steps", "4"]]) {
      const { code, stderr } = await real(argv);
      expect([code, stderr]).toEqual([2, expect.stringContaining(`process ${process.ppid} on ${hostname()} is writing to it; wait for its end`)]);
    }
    expect(readdirSync(join(root, "shared")).map((name) => [name, statSync(join(root, "shared", name)).mtimeMs])).toEqual(before);

    holds(2 ** 22 + 1); // above Linux's highest process number
    utimesSync(lock, 0, 0);
    expect((await real(["train", "--resume", "--out", join(root, "shared"), "--steps", "4"])).code).toBe(0);
    expect(existsSync(lock)).toBe(false);
  });
});

it("a checkpoint that is cut short names what lies beside it, and does not tell to fetch it", async () => {
  await real(train("cut", "--steps", "2"));
  truncateSync(join(root, "cut/checkpoint.safetensors"), 900);
  const { code, stderr } = await real(["train", "--resume", "--out", join(root, "cut"), "--steps", "4"]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/checkpoint\.safetensors: .*; the checkpoint is damaged; the model or adapter beside it still opens/),
  ]);
  expect(stderr).not.toContain("fetch");
});

describe("a signal", () => {
  const listeners = (): number => process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");

  it.each(["SIGINT", "SIGTERM"] as const)("%s is heard once, also when it comes twice at once; a later one finds the default again", (signal) => {
    vi.useFakeTimers();
    try {
      const before = listeners();
      let heard = 0;
      const close = processInterrupt(() => heard++);
      process.emit(signal, signal);
      process.emit(signal, signal);
      expect([heard, listeners()]).toEqual([1, before + 2]);
      vi.advanceTimersByTime(400);
      expect(listeners()).toBe(before); // nobody hears it any more: it ends the process
      close();
    } finally {
      vi.useRealTimers();
    }
  });

  it("is not waited for after the work", () => {
    const before = listeners();
    processInterrupt(() => {})();
    expect(listeners()).toBe(before);
  });
});

describe("the log", () => {
  it("tells once that the disk refuses, and lets training go on", async () => {
    const folder = join(root, "log");
    const notes: string[] = [];
    const log = await openLog(folder, 0, (note) => notes.push(note));
    log.write({ type: "warning", step: 1, message: "kept" });
    rmSync(folder, { recursive: true });
    log.write({ type: "warning", step: 2, message: "lost" });
    log.write({ type: "warning", step: 3, message: "lost" });
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/^the log ends here, ENOENT.*training goes on/);
  });
});

describe("vitrine eval", () => {
  const model = join(root, "whole");

  it("agrees with score, and with bits per byte of ASCII", async () => {
    const evaluated = await real(["eval", model, text, "--json"]);
    expect([evaluated.code, evaluated.stderr]).toEqual([0, ""]);
    const line = evaluationSchema.parse(linesOf(evaluated.stdout)[0]);
    const scored = await real(["score", "--file", text, "--model", model, "--json"]);
    const end = scoreEndSchema.parse(linesOf(scored.stdout).at(-1));
    // score leaves out the last line break of a file: one letter of thousands.
    expect(line.tokens - end.scored).toBe(1);
    expect(line.loss!).toBeCloseTo(end.loss!, 2);
    expect(line.bitsPerByte).toBe(line.bitsPerCharacter);
    expect(line.bitsPerByte!).toBeCloseTo(line.loss! / Math.LN2, 9);
    expect(line).toMatchObject({ context: 8, stride: 4, files: 1 });
  });

  it("shows a table that fits", async () => {
    const { code, stdout } = await real(["eval", model, text], { columns: 40 });
    expect(code).toBe(0);
    expect(plain(stdout)).toMatch(/^whole on 1 text +\d.*\n─+.*\nloss +\d\.\d{4} nats a token\nperplexity(.|\n)*next token right +\d+\.\d %\n/);
  });

  it.each<[string, string[], RegExp]>([
    ["nothing", [], /missing required argument 'model'/],
    ["no files", [model], /missing required argument 'files'/],
    ["a stride beyond the context", [model, text, "--stride", "9"], /--stride is 9, and the context only 8.*give at most 8/],
    ["a context beyond the model's", [model, text, "--context", "9"], /--context is 9, and whole has only 8 positions/],
    ["a missing model", [join(root, "nowhere"), text], /^vitrine eval: .*no such folder/],
    ["letters it has no token for", [model, join(root, "other.txt")], /no token for the character "[XYZ]"/],
  ])("refuses %s", async (_, argv, message) => {
    const { code, stderr } = await real(["eval", ...argv]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(stderr).toMatch(/^vitrine eval: [^\n]+\n$/);
  });
});
