/**
 * The commands in this process, on a fake model: what they print, as text and as data, and the exit code of every mistake.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { VitrineError } from "../../src/base/errors.ts";
import { fakeEngine, fakeModels, plain, vitrine } from "./fake.testing.ts";
import { compareSchema, generateEndSchema, linesOf, mergesSchema, modelSchema, promptSchema, pulledSchema, scoreEndSchema, scoreSchema, stepSchema, tallySchema, tokenEndSchema, tokenSchema } from "./json-schema.testing.ts"; // prettier-ignore

const folder = mkdtempSync(join(tmpdir(), "vitrine-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The text the fake model writes after a prompt, by the engine itself. */
async function written(prompt: string, options: object): Promise<string> {
  let text = "";
  for await (const step of fakeEngine().generate(prompt, options)) text += step.text;
  return text;
}

describe("generate", () => {
  it("prints the prompt and its continuation, ended by a line break, and nothing else in a pipe", async () => {
    const { code, stdout, stderr, models } = await vitrine(["generate", "Once upon", "--seed", "3", "-n", "20"]);
    expect(code).toBe(0);
    expect(stdout).toBe(`Once upon${await written("Once upon", { seed: 3, maxTokens: 20 })}`.replace(/\n?$/, "\n"));
    expect(stderr).toBe("");
    expect(models.disposed).toBe(1);
  });

  it("says on stderr, also to a log, that a device fell short", async () => {
    const note = "native: the add-on is damaged; run `npm run build`; until then WebAssembly computes, more slowly";
    const models = fakeModels({ onOpen: ({ onDeviceNote }) => onDeviceNote?.(note) });
    const { code, stdout, stderr } = await vitrine(["generate", "Once upon", "--seed", "3", "-n", "5"], { models });
    expect([code, stderr]).toEqual([0, `${note}\n`]);
    expect(stdout).not.toContain("native");
  });

  it("leaves the prompt out with --no-echo", async () => {
    const { stdout } = await vitrine(["generate", "Once upon", "--seed", "3", "-n", "5", "--no-echo"]);
    expect(stdout.startsWith("Once")).toBe(false);
  });

  it("takes the prompt from words, a file, a pipe or -, without the last line break", async () => {
    const expected = (await vitrine(["generate", "Once  upon", "--seed", "3", "-n", "9"])).stdout;
    writeFileSync(join(folder, "prompt.txt"), "Once  upon\n");
    const runs = [
      await vitrine(["generate", "--file", join(folder, "prompt.txt"), "--seed", "3", "-n", "9"]),
      await vitrine(["generate", "--seed", "3", "-n", "9"], { stdin: "Once  upon\n" }),
      await vitrine(["generate", "-", "--seed", "3", "-n", "9"], { stdin: "Once  upon\r\n" }),
      await vitrine(["generate", "--file", "-", "--seed", "3", "-n", "9"], { stdin: "Once  upon" }),
    ];
    expect(runs.map(({ stdout }) => stdout)).toEqual(Array(4).fill(expected));
    expect((await vitrine(["generate", "Once", "upon", "--seed", "3", "-n", "2"])).stdout).toMatch(/^Once upon/);
  });

  it("joins characters that a pipe delivers in halves", async () => {
    const { Readable } = await import("node:stream");
    const bytes = Buffer.from("東京");
    const { stdout } = await vitrine(["generate", "-n", "0"], { stdin: Readable.from([bytes.subarray(0, 4), bytes.subarray(4)]) });
    expect(stdout).toBe("東京\n");
  });

  it("begins from the start token without a prompt, and says how when there is none", async () => {
    const { code, stdout } = await vitrine(["generate", "-n", "5", "--seed", "1", "--json"]);
    expect(code).toBe(0);
    expect(linesOf(stdout)[0]).toMatchObject({ type: "prompt", text: "", tokens: [{ id: 0, text: "<s>" }] });
    const bare = await vitrine(["generate"], { models: fakeModels({ bare: true }) });
    expect(bare.code).toBe(2);
    expect(bare.stderr).toMatch(/^vitrine generate: the prompt is empty, and this model has no start token.*vitrine generate "/);
    expect(bare.models.disposed).toBe(1);
  });

  it("asks the host for the model, the device and the threads that were named", async () => {
    const { models } = await vitrine(["generate", "a", "-n", "1", "--model", "m", "--device", "reference", "--threads", "2"]);
    expect(models.asked[0]).toMatchObject({ model: "m", device: "reference", threads: 2 });
  });

  it("gives the same text for the same seed, and tells a new one at a terminal", async () => {
    const first = await vitrine(["generate", "Once", "-n", "12"], { errorColumns: 120 });
    const seed = /--seed (\d+) gives it again/.exec(first.stderr)![1];
    expect((await vitrine(["generate", "Once", "-n", "12", "--seed", seed])).stdout).toBe(first.stdout);
    expect(plain(first.stderr)).toMatch(/^\d+ tokens? in .* · (stopped at --max-tokens|the model ended the text) · --seed \d+ gives it again\n$/);
  });

  it("at a terminal shows control characters instead of obeying them; a pipe gets the text itself", async () => {
    const args = ["generate", "a\x1b[2Jb", "-n", "0"];
    expect((await vitrine(args)).stdout).toBe("a\x1b[2Jb\n");
    expect(plain((await vitrine(args, { columns: 80 })).stdout)).toBe("a\\u001b[2Jb\n");
  });

  it("says what fell out of the context, where it happens and at the end", async () => {
    const models = fakeModels({ context: 8 });
    const { stderr } = await vitrine(["generate", " little cat", "-n", "20", "--seed", "12", "--slide-by", "3", "--no-echo"], {
      models,
      errorColumns: 80,
    });
    expect(plain(stderr)).toMatch(/^\(3 tokens fell out of the context: "<s> little cat"; more will follow\)\n/);
    expect(plain(stderr)).toMatch(/\d+ tokens fell out of the context/);
  });
});

describe("a prompt longer than the context", () => {
  const args = ["generate", " little cat little cat", "-n", "2", "--seed", "12", "--context", "3", "--no-echo"];
  const notice = '(2 tokens fell out of the context: "<s> little"; more will follow)\n';

  it("is said on standard error, piped or not, once and before the first word", async () => {
    const piped = await vitrine(args);
    expect(piped.stderr).toBe(notice);
    expect(piped.stdout).not.toContain("fell out");
    const watched = await vitrine(args, { columns: 80, errorColumns: 80 });
    expect(plain(watched.stderr).startsWith(notice)).toBe(true);
    expect(watched.stdout.startsWith("\n")).toBe(false);
    expect(plain(watched.stderr).match(/more will follow/g)).toHaveLength(1);
  });

  it("and a window that slides later is said too", async () => {
    const { stderr } = await vitrine(["generate", " little cat", "-n", "20", "--seed", "12", "--slide-by", "3", "--no-echo"], {
      models: fakeModels({ context: 8 }),
    });
    expect(stderr).toBe('(3 tokens fell out of the context: "<s> little cat"; more will follow)\n');
  });
});

describe("generate --show", () => {
  const args = ["generate", "Once upon a time", "--seed", "4", "-n", "6", "--show", "5"];

  it("draws a chart for every word, and the whole text at the end", async () => {
    const { code, stdout, stderr } = await vitrine(args);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout).not.toContain("\x1b");
    const charts = stdout.split(/\n(?=── \d+ ─)/).slice(1);
    expect(charts.length).toBeGreaterThan(0);
    for (const chart of charts) expect(chart.match(/^▶/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^Once upon a time\n\n── 1 /);
    expect(stdout).toContain(`═\nOnce upon a time${await written("Once upon a time", { seed: 4, maxTokens: 6 })}`);
  });

  it("keeps to the window, in colour and without", async () => {
    for (const columns of [40, 60, 80, 133, 200]) {
      const { stdout } = await vitrine([...args, "-t", "1.7", "--top-k", "9"], { columns, env: { FORCE_COLOR: "3" } });
      const chart = plain(stdout).split(/═+/)[0];
      for (const line of chart.split("\n")) expect([...line].length).toBeLessThan(columns);
      expect((await vitrine(args, { columns, env: { NO_COLOR: "1" } })).stdout).not.toContain("\x1b");
    }
  });

  it("shows both probabilities when words are not drawn by the model's own, and how to read them", async () => {
    const { stdout } = await vitrine([...args, "-t", "0.5", "--top-p", "0.3"]);
    expect(stdout).toMatch(/^█ as the model has it  ▓ raised, ░ lowered by T = 0.5, top-p 0.3\n/);
    expect(stdout).toMatch(/── 1 ─ T = 0\.5, top-p 0\.3 ─.* model .* drawn /);
    expect((await vitrine(args)).stdout).not.toContain("drawn");
  });

  it("at temperature 0 gives everything to the first", async () => {
    const { stdout } = await vitrine(["generate", "Once", "-n", "3", "--show", "3", "--temperature", "0"]);
    for (const chart of stdout.split(/\n(?=── \d+ ─)/).slice(1)) {
      expect(chart).toMatch(/▶ +1 .*100\.0 %/);
      expect(chart.match(/ – /g)!.length + chart.match(/ –\n/g)!.length).toBe(3); // the other two, and the rest
    }
  });

  it("says which tokens fell out of the context", async () => {
    const { stdout } = await vitrine(["generate", " little cat", "-n", "12", "--show", "3", "--seed", "12", "--context", "6", "--slide-by", "2"]);
    expect(stdout).toMatch(/2 tokens fell out of the context: "<s> little"/);
    expect(stdout).toContain("┆");
  });
});

describe("generate --json", () => {
  it("is a prompt, steps and an end, each as documented", async () => {
    const { code, stdout, stderr } = await vitrine(["generate", "Once", "--json", "--seed", "5", "-n", "7", "--top-k", "3"], { errorColumns: 80 });
    expect(code).toBe(0);
    expect(stderr).toBe("");
    const lines = linesOf(stdout);
    const prompt = promptSchema.parse(lines[0]);
    const end = generateEndSchema.parse(lines.at(-1));
    const steps = lines.slice(1, -1).map((line) => stepSchema.parse(line));
    expect(prompt).toMatchObject({ text: "Once", seed: 5, model: "fake" });
    expect(steps.map((step) => step.index)).toEqual(steps.map((_, i) => prompt.tokens.length + i));
    expect(end).toMatchObject({ tokens: steps.length, text: await written("Once", { seed: 5, maxTokens: 7, topK: 3 }) });
    for (const step of steps) {
      expect(step.top).toHaveLength(10);
      expect(step.top.reduce((sum, { probability }) => sum + probability, step.rest)).toBeCloseTo(1, 9);
      expect(step.logprob).toBeCloseTo(Math.log(step.probability), 9);
      if (step.rank <= 10) expect(step.top[step.rank - 1]).toMatchObject({ id: step.id, probability: step.probability });
      expect(step.sampledFrom).toBeGreaterThan(step.probability);
    }
  });

  it("has as many candidates as --show says, none for 0", async () => {
    const three = await vitrine(["generate", "Once", "--json", "-n", "2", "--show", "3"]);
    for (const line of linesOf(three.stdout).slice(1, -1)) expect(line.top).toHaveLength(3);
    const { stdout } = await vitrine(["generate", "Once", "--json", "-n", "1", "--show", "0"]);
    expect(linesOf(stdout)[1]).toMatchObject({ top: [], rest: 1 });
  });

  it("says which tokens were dropped", async () => {
    const { stdout } = await vitrine(["generate", " little cat", "--json", "-n", "8", "--seed", "12", "--context", "5", "--slide-by", "2"]);
    const steps = linesOf(stdout).slice(1, -1).map((line) => stepSchema.parse(line)); // prettier-ignore
    expect(steps.flatMap((step) => step.dropped ?? []).slice(0, 3).map(({ text }) => text)).toEqual(["<s>", " little", " cat"]); // prettier-ignore
  });
});

describe("tokenize", () => {
  it("prints the pieces between bars, then their ids", async () => {
    const { code, stdout } = await vitrine(["tokenize", " little girl, and\n東"]);
    expect(code).toBe(0);
    const [pieces, ids, ...rest] = stdout.split("\n");
    expect(pieces).toBe("<s>| little| girl|,| and|\\n|<E6>|<9D>|<B1>");
    expect(ids.split(" ")).toHaveLength(9);
    expect(rest).toEqual([""]);
    expect((await vitrine(["tokenize", " little", "--no-template"])).stdout.split("\n")[0]).toBe(" little");
  });

  it("as data is a line for each token and a count", async () => {
    const { stdout } = await vitrine(["tokenize", "--json"], { stdin: " cat was 東京\n" });
    const lines = linesOf(stdout);
    const tokens = lines.slice(0, -1).map((line) => tokenSchema.parse(line));
    expect(tokens.map(({ index, text, bytes }) => [index, text, bytes])).toEqual([[0, "<s>", ""], [1, " cat", "20636174"], [2, " was", "20776173"], [3, " 東京", "20e69db1e4baac"]]); // prettier-ignore
    expect(tokenEndSchema.parse(lines.at(-1))).toEqual({ type: "end", tokens: 4, characters: 11, bytes: 15 });
  });

  it("shows bytes and merges", async () => {
    const { stdout } = await vitrine(["tokenize", " 🙂 cat", "--bytes"]);
    expect(stdout).toMatch(/ 1 {2}\d+ {2}" 🙂" {3}20 F0 9F 99 82\n/);
    const merges = await vitrine(["tokenize", "cat", "--merges"]);
    expect(merges.stdout).toBe("cat\n  c a t\n  ca t   rule 5: c + a\n\n");
    for (const line of linesOf((await vitrine(["tokenize", "cat", "--merges", "--json"])).stdout)) mergesSchema.parse(line);
  });

  it("takes long texts in its stride", async () => {
    const { code, stdout } = await vitrine(["tokenize", "--json"], { stdin: " cat".repeat(50_000) });
    expect(code).toBe(0);
    expect(stdout.endsWith('{"type":"end","tokens":50001,"characters":200000,"bytes":200000}\n')).toBe(true);
  });
});

describe("score", () => {
  it("gives every token its probability, surprise and rank, and the totals", async () => {
    const { code, stdout } = await vitrine(["score", "a little cat"]);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(1 + 4 + 1 + 4);
    expect(lines[1]).toContain("<s>");
    expect(lines.slice(-4).join("\n")).toMatch(
      /^3 tokens scored\nloss +\d+\.\d{3} \(\d+\.\d\d bits a token\)\nperplexity +[\d.,]+\nbits per byte +\d+\.\d{3}$/,
    );
    for (const line of lines) expect([...line].length).toBeLessThan(80);
  });

  it("compares small weights with f32, and says so as data", async () => {
    const { code, stdout, models } = await vitrine(["score", "a little cat", "--weights", "int8", "--compare"]);
    expect(code).toBe(0);
    expect(models.asked.map(({ weights }) => weights)).toEqual(["int8", "f32"]);
    expect(models.disposed).toBe(2);
    expect(stdout.trimEnd().split("\n").slice(-4).join("\n")).toMatch(
      /^int8 weights against f32\nperplexity +[\d.]+ against [\d.]+ \(\+0\.000 %\)\nKL divergence +0\.00e\+0 nats a token, 0\.00e\+0 at most\nsame favourite 100\.0 % of the time$/,
    ); // the fake model is the same whatever its weights
    const lines = linesOf((await vitrine(["score", "a little cat", "--weights", "f16", "--compare", "--json"])).stdout);
    const end = scoreEndSchema.parse(lines.at(-1));
    expect(compareSchema.parse(lines.at(-2))).toEqual({ type: "compare", weights: "f16", with: "f32", positions: 3, divergence: 0, mostDivergence: 0, sameTop: 1, perplexity: end.perplexity, perplexityWith: end.perplexity }); // prettier-ignore
  });

  it("as data adds up to its totals", async () => {
    const { stdout } = await vitrine(["score", "a little cat", "--json", "--show", "2"]);
    const lines = linesOf(stdout);
    const tokens = lines.slice(0, -1).map((line) => scoreSchema.parse(line));
    const end = scoreEndSchema.parse(lines.at(-1));
    expect(tokens[0]).toMatchObject({ probability: null, rank: null, top: [], rest: null });
    const losses = tokens.slice(1).map(({ logprob }) => -logprob!);
    const loss = losses.reduce((sum, l) => sum + l, 0) / losses.length;
    expect(end).toMatchObject({ tokens: 4, scored: 3, reason: "done" });
    expect(end.loss).toBeCloseTo(loss, 9);
    expect(end.perplexity).toBeCloseTo(Math.exp(loss), 6);
    expect(end.bitsPerByte).toBeCloseTo((3 * loss) / Math.LN2 / 12, 9);
    expect(tokens[1].top).toHaveLength(2);
  });
});

describe("params", () => {
  it("counts GPT-3 as the lecture does", async () => {
    const { stdout } = await vitrine(["params", "gpt3", "--json"]);
    const [line, ...more] = linesOf(stdout);
    expect(more).toEqual([]);
    expect(tallySchema.parse(line)).toMatchObject({ model: "gpt3", rule: "video", weights: 175181291520, matrices: 27938 });
    expect((line.rows as unknown[]).length).toBe(8);
  });

  it("draws the table within 80 columns, and side by side where there is room", async () => {
    const narrow = (await vitrine(["params", "gpt3"], { env: { COLUMNS: "80" } })).stdout;
    for (const line of narrow.split("\n")) expect([...line].length).toBeLessThan(80);
    expect(narrow).toMatch(/Total +175,181,291,520 +27,938/);
    expect(narrow).toContain("d_query×d_embed×n_heads×n_layers");
    const wide = (await vitrine(["params", "gpt3"], { env: { COLUMNS: "140" } })).stdout;
    expect(wide).toMatch(/Key +d_query \* d_embed \* n_heads \* n_layers +128 \* 12,288 \* 96 \* 96 +14,495,514,624 +9,216/);
  });

  it("counts exactly, and other dimensions", async () => {
    expect(linesOf((await vitrine(["params", "gpt2", "--rule", "exact", "--json"])).stdout)[0].weights).toBe(124439808);
    const other = linesOf(
      (await vitrine(["params", "gpt2", "--layers", "1", "--heads", "1", "--width", "2", "--vocabulary", "3", "--context", "4", "--json"])).stdout,
    )[0];
    expect(other.weights).toBe(2 * (2 * 3) + 4 * 2 * 2 + 2 * 2 * 8);
    expect(linesOf((await vitrine(["params", "gpt3", "--neurons", "1000", "--json"])).stdout)[0].weights).toBe(
      175_181_291_520 - 2 * 96 * 12_288 * (4 * 12_288 - 1000),
    );
  });
});

describe("models and pull", () => {
  const listed = {
    name: "small",
    source: "embedded",
    folder: "/m",
    bytes: 1_200_000,
    architecture: "llama",
    loadable: false,
    why: "no weights",
  } as const;

  it("lists what is here, or how to get something", async () => {
    const models = fakeModels({ more: { list: async () => [listed] } });
    expect((await vitrine(["models"], { models })).stdout).toMatch(/small +llama +1\.2 MB +came with Vitrine +no: no weights/);
    modelSchema.parse(linesOf((await vitrine(["models", "--json"], { models })).stdout)[0]);
    expect((await vitrine(["models"])).stdout).toMatch(/^No models here yet\. vitrine pull/);
  });

  it("fetches with a progress line for people and the folder for programs", async () => {
    const models = fakeModels({
      more: {
        fetch: async (id, { onProgress }) => {
          await new Promise((resolve) => setTimeout(resolve, 250));
          onProgress({ file: "model.safetensors", received: 5e6, total: 1e7, bytesPerSecond: 1e6, secondsLeft: 5, filesDone: 1, filesTotal: 3 });
          return { id, folder: "/cache/x", commit: "abc", bytes: 1e7, files: { fetched: 3, total: 3 } };
        },
      },
    });
    const { code, stdout, stderr } = await vitrine(["pull", "org/name"], { models, errorColumns: 80 });
    expect([code, stdout]).toEqual([0, "/cache/x\n"]);
    expect(plain(stderr)).toMatch(/\r█+▌ +org\/name {2}50 % {2}5\.0 MB of 10 MB · 1\.0 MB\/s · 5\.0 s left/);
    expect((await vitrine(["pull", "org/name"], { models })).stderr).toBe("");
    pulledSchema.parse(linesOf((await vitrine(["pull", "org/name", "--json"], { models })).stdout)[0]);
  });
});

/** Runs on a host that cannot open a model. */
function failing(error: Error): { models: ReturnType<typeof fakeModels> } {
  const onOpen = (): void => {
    throw error;
  };
  return { models: fakeModels({ onOpen }) };
}

describe("mistakes", () => {
  it.each<[string[], number, RegExp]>([
    [["generate", "a", "--temprature", "1"], 2, /^vitrine generate: unknown option '--temprature'; did you mean --temperature\?\n$/],
    [["generate", "a", "--zzz"], 2, /^vitrine generate: unknown option '--zzz'; --help lists them\n$/],
    [["generate", "- a list"], 2, /a text that begins with - needs -- before it/],
    [["gnerate", "a"], 2, /^vitrine: unknown command 'gnerate'; did you mean generate\?\n$/],
    [["xyzzy"], 2, /^vitrine: unknown command 'xyzzy'; commands are generate, tokenize/],
    [["generate", "a", "--temperature", "-1"], 2, /^vitrine generate: --temperature is "-1"; expected a number of at least 0; 0 always takes/],
    [["generate", "a", "--temperature", "hot"], 2, /--temperature is "hot"; expected a number of at least 0/],
    [["generate", "a", "--temperature", "NaN"], 2, /--temperature is "NaN"; expected/],
    [["generate", "a", "--temperature", ""], 2, /--temperature is ""; expected/],
    [["generate", "a", "--temperature"], 2, /option '-t, --temperature <t>' argument missing/],
    [["generate", "a", "--top-k", "1.5"], 2, /--top-k is "1\.5"; expected a whole number of at least 0/],
    [["generate", "a", "--top-p", "2"], 2, /--top-p is "2"; expected a number above 0 and at most 1/],
    [["generate", "a", "--top-p", "0"], 2, /--top-p is "0"; expected a number above 0 and at most 1/],
    [["generate", "a", "--logit-bias", "262=1e999"], 2, /--logit-bias is "262=1e999"; expected a bias that is finite/],
    [["generate", "a", "--logit-bias", "262=1e39"], 2, /--logit-bias is "262=1e39"; expected a bias that is finite/],
    [["generate", "a", "--logit-bias", "the=3"], 2, /--logit-bias is "the=3"; expected ID=BIAS/],
    [["generate", "a", "--stop", ""], 2, /--stop is ""; expected/],
    [["generate", "a", "--device", "wsam"], 2, /--device is "wsam"; expected auto, native, wasm or reference; did you mean wasm\?/],
    [["generate", "a", "--on-full", "slip"], 2, /--on-full is "slip"; expected slide or stop/],
    [["generate", "a", "--file", "/nowhere/x"], 2, /a text and --file "\/nowhere\/x" were both given/],
    [["generate", "--file", "/nowhere/x"], 2, /--file "\/nowhere\/x": there is no such file; check the path/],
    [
      ["generate", "a", "--context", "9999"],
      2,
      /^vitrine generate: --context is 9999, and fake has only 64 positions; leave it out or give at most 64\n$/,
    ],
    [["generate", "a", "--context", "8", "--slide-by", "9"], 2, /--slide-by is 9, and the context only 8; give at most 8/],
    [
      ["generate", " a".repeat(70), "--on-full", "stop"],
      2,
      /the prompt has 71 tokens, and the context only 64; shorten it, or leave --on-full stop out/,
    ],
    [["generate", "a", "--logit-bias", "9999=1"], 2, /--logit-bias names token 9999, and fake has only ids 0 to 289/],
    [["score", "a", "--context", "9999"], 2, /--context is 9999, and fake has only 64/],
    [["tokenize"], 2, /^vitrine tokenize: no text was given; try vitrine tokenize "/],
    [["score"], 2, /^vitrine score: no text was given/],
    [["score", "a", "--compare"], 2, /^vitrine score: --compare compares small weights with f32, and none were asked for; add --weights int8/],
    [["score", "a", "--weights", "int9"], 2, /--weights is "int9"; expected f32, f16, int8 or int4; did you mean int8\?/],
    [["params", "gpt2", "gpt3"], 2, /too many arguments/],
    [["params", "gpt2", "--rule", "exakt"], 2, /--rule is "exakt"; expected video or exact; did you mean exact\?/],
    [["pull"], 2, /missing required argument 'id'/],
  ])("%j ends with %i and one line", async (argv, expected, message) => {
    const { code, stdout, stderr } = await vitrine(argv);
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
    expect(stdout).toBe("");
    expect(stderr.match(/\n/g)).toHaveLength(1);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it("blames the work with 1 and the request with 2", async () => {
    expect(await vitrine(["generate", "a"], failing(new VitrineError("no such model", { blame: "request" })))).toMatchObject({
      code: 2,
      stderr: "vitrine generate: no such model\n",
    });
    expect(await vitrine(["generate", "a"], failing(new VitrineError("the disk is full", { blame: "work" })))).toMatchObject({
      code: 1,
      stderr: "vitrine generate: the disk is full\n",
    });
  });

  it("calls everything else a bug of ours, with its stack only for VITRINE_DEBUG=1", async () => {
    const bug = new TypeError("x is not a function");
    const { code, stderr } = await vitrine(["generate", "a"], failing(bug));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^vitrine generate: internal: x is not a function; this is a bug of ours, please report it.*\n$/);
    expect((await vitrine(["generate", "a"], { ...failing(bug), env: { VITRINE_DEBUG: "1" } })).stderr).toMatch(/\n\s+at /);
  });
});

describe("help", () => {
  it("is short for the command alone, with examples for each", async () => {
    const { code, stdout, stderr } = await vitrine([]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/Usage: vitrine/);
    for (const name of ["generate", "tokenize", "score", "params", "pull", "models"]) {
      expect(stdout).toContain(`  ${name} `);
      const help = await vitrine([name, "--help"]);
      expect([help.code, help.stderr]).toEqual([0, ""]);
      expect(help.stdout).toMatch(/\nExamples:\n {2}vitrine /);
      expect((await vitrine(["help", name])).stdout).toBe(help.stdout);
      for (const line of help.stdout.split("\n")) expect(line.length, line).toBeLessThan(82);
    }
    expect((await vitrine(["generate", "--help"])).stdout.replaceAll(/\s+/g, " ")).toContain("hosted APIs stop at 2");
    expect((await vitrine(["generate", "--help"])).stdout.replaceAll(/\s+/g, " ")).toContain("with --on-full stop: until the context is full");
  });

  it("knows its version", async () => {
    const { version } = (await import("../../package.json", { with: { type: "json" } })).default;
    expect(await vitrine(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe("npm start", () => {
  it("without arguments does the main job and says what to try next", async () => {
    const { code, stdout } = await vitrine([], { env: { VITRINE_START: "1" } });
    expect(code).toBe(0);
    expect(stdout).toMatch(/── 1 ─/);
    expect(stdout.split("What to try next:")[1].match(/npm start -- /g)).toHaveLength(4);
  });
});
