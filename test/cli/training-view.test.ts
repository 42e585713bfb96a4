/** A training run told three ways, from made-up events: the live view on a small screen, plain lines, JSON Lines. */
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { RunLine } from "../../src/cli/json.ts";
import { openSession } from "../../src/cli/session.ts";
import { Figures } from "../../src/cli/training-figures.ts";
import { drawSample } from "../../src/cli/training-sample.ts";
import { trainTelling } from "../../src/cli/training-telling.ts";
import type { TrainEvent } from "../../src/training/training.ts";
import { fakeEngine, fakeModels, plain } from "./fake.testing.ts";
import { linesOf, runSchema, sampleSchema, trainEventSchema } from "./json-schema.testing.ts";
import { Screen } from "./screen.testing.ts";

const run: RunLine = {
  type: "run", out: "out/m", architecture: "gpt2", layers: 4, heads: 4, width: 128, context: 64, vocabulary: 65, weights: 809_000,
  trainTokens: 1_000_000, validationTokens: 110_000, tokensPerStep: 768, steps: 200, from: 0, device: "fake, 2 threads", seed: 7,
}; // prettier-ignore

/** Losses that fall from ln 65; a look and a save every 50 steps. */
function* events(from: number, to: number): Generator<TrainEvent> {
  for (let step = from; step <= to; step++) {
    yield {
      type: "step",
      step,
      steps: 200,
      loss: 1.5 + 2.67 * Math.exp(-step / 40),
      learningRate: 1e-3,
      gradientNorm: 1.234,
      tokens: 768,
      seconds: 0.1,
    };
    if (step % 50 !== 0) continue;
    yield { type: "evaluation", step, validationLoss: 1.6 + 2.6 * Math.exp(-step / 40), trainLoss: 1.5, best: true };
    yield { type: "saved", step, best: true, seconds: 0.01 };
  }
}

interface Window {
  readonly columns?: number;
  readonly rows?: number;
  readonly errorColumns?: number;
  readonly json?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** Tells of a whole run and a sample; gives what was written. */
async function told({ columns, rows = 24, errorColumns, json = false, env = {} }: Window): Promise<{ stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr", wide: number | undefined): PassThrough => {
    const made = Object.assign(new PassThrough(), wide === undefined ? {} : { isTTY: true, columns: wide, rows });
    return made.on("data", (chunk: Buffer) => (written[name] += chunk.toString()));
  };
  const [stdout, stderr] = [stream("stdout", columns), stream("stderr", errorColumns)];
  const io = { stdin: new PassThrough(), stdout, stderr, env: { LANG: "C.UTF-8", TERM: "xterm-256color", ...env }, onInterrupt: () => () => {} };
  const { session, close } = openSession(io, fakeModels());
  let time = 0;
  const figures = new Figures(200, () => time);
  const telling = trainTelling(session, figures, json, () => time);
  const engine = fakeEngine();
  await telling.begin(run);
  for (const event of events(1, 200)) {
    time += 40;
    figures.add(event);
    await telling.event(event);
    if (event.type === "step" && event.step === 120) {
      await telling.sample(await drawSample(engine, " little cat", 120, { tokens: 12, seed: 3, signal: session.stop }), engine);
      await telling.doing("finishing this step");
      await telling.doing("");
    }
  }
  await telling.end();
  close();
  await Promise.all([session.out.flush(), session.talk.flush()]);
  return written;
}

/** What stays on a screen of that size. */
const seen = (text: string, columns: number, rows = 24): string => {
  const screen = new Screen(columns, rows);
  screen.write(text);
  return screen.text();
};

describe("the live view", () => {
  it.each([40, 50, 60, 80, 120])("stays one block at %i columns, with samples above it and the last column free", async (columns) => {
    const { stdout, stderr } = await told({ columns });
    const text = seen(stdout, columns);
    expect(stderr).toBe("");
    expect(text.match(/step \d+ of 200/g)).toEqual(["step 200 of 200"]);
    const parts = ["4 heads", "after 120 steps", "▶", "step 200 of 200", "┤", "└ 1 ─"];
    expect(parts.map((part) => text.indexOf(part, text.indexOf("4 heads"))).toSorted((a, b) => a - b)).toEqual(
      parts.map((part) => text.indexOf(part)),
    );
    expect(text).not.toContain("finishing");
  });

  it("says how far, how well, how fast, what is left and what is safe", async () => {
    const block = seen((await told({ columns: 80 })).stdout, 80).split("\n").slice(-14).join("\n"); // prettier-ignore
    expect(block).toMatch(/^step 200 of 200 {2}█+ {2}100 %$/m);
    expect(block).toMatch(/loss 1\.5\d\d \(now 1\.518\) {3}validation 1\.618, the best/);
    expect(block).toMatch(/learning rate 0\.001\s+gradient norm 1\.23\s+7,680 tokens\/s\s+saved at step 200/);
    expect(block.match(/◆/g)!.length).toBeGreaterThanOrEqual(4);
  });

  it.each([4, 8, 12, 16])("fits a window of %i lines, so that it can always be drawn over", async (rows) => {
    const text = seen((await told({ columns: 60, rows })).stdout, 60, rows);
    expect(text.match(/step \d+ of 200/g)).toEqual(["step 200 of 200"]);
  });

  it("is without colour where NO_COLOR says so, and ASCII where nothing else is known", async () => {
    const { stdout } = await told({ columns: 80, env: { NO_COLOR: "1" } });
    expect(stdout).toBe(plain(stdout));
    const ascii = seen((await told({ columns: 80, env: { LANG: "C", NO_COLOR: "1" } })).stdout, 80);
    const block = ascii.slice(ascii.indexOf("step 200 of 200"));
    expect(block.match(/[^\x20-\x7e\n]/)).toBeNull();
    expect(block).toContain("o validation");
  });
});

describe("plain lines for a pipe", () => {
  it("tell of some steps, of every look and of the sample, and move no cursor", async () => {
    const { stdout, stderr } = await told({});
    expect([stderr, stdout.includes("\x1b"), stdout.includes("\r")]).toEqual(["", false, false]);
    const steps = stdout.split("\n").filter((line) => /^step \d+ of 200: loss/.test(line));
    expect(steps.length).toBeGreaterThan(20);
    expect(steps.length).toBeLessThan(50);
    expect(steps[1]).toMatch(
      /^step 5 of 200: loss \d\.\d{3} \(now \d\.\d{3}\), learning rate 0\.001, gradient norm 1\.23, 7,680 tokens\/s, [\d.]+ s left$/,
    );
    expect(stdout.match(/^step \d+ of 200: validation loss .*, the best so far$/gm)).toHaveLength(4);
    expect(stdout.match(/^step \d+ of 200: saved, also as the best$/gm)).toHaveLength(4); // said when it is done, not before
    expect(stdout).toMatch(/^after 120 steps: \d+ tokens at T = 0\.8.*\n little cat/m);
  });
});

describe("JSON Lines", () => {
  it("are the run, every event and the sample, nothing else", async () => {
    const { stdout, stderr } = await told({ json: true });
    expect(stderr).toBe("");
    const [first, ...lines] = linesOf(stdout);
    expect(runSchema.parse(first)).toEqual(run);
    const samples = lines.filter(({ type }) => type === "sample");
    expect(samples).toHaveLength(1);
    expect(sampleSchema.parse(samples[0]).last!.top).toHaveLength(5);
    expect(lines.filter(({ type }) => type !== "sample").map((line) => trainEventSchema.parse(line))).toEqual([...events(1, 200)]);
  });

  it("leave standard error to the live view, but never mix both in one window", async () => {
    const { stdout, stderr } = await told({ json: true, errorColumns: 80 });
    expect(linesOf(stdout).length).toBeGreaterThan(200);
    expect(seen(stderr, 80)).toContain("step 200 of 200");
    expect((await told({ json: true, columns: 80, errorColumns: 80 })).stderr).toBe("");
  });
});

describe("figures", () => {
  it("go on with the curve of an earlier sitting, not with its clock", () => {
    let time = 1000;
    const figures = new Figures(200, () => time);
    figures.recall([...events(1, 100)]);
    expect([figures.last?.step, figures.secondsLeft, figures.training.points().length]).toEqual([100, undefined, 100]);
    time += 2000;
    for (const event of events(101, 104)) figures.add(event);
    expect(figures.secondsLeft).toBeCloseTo((2 / 4) * 96);
    expect(figures.bestValidation).toBeCloseTo(1.6 + 2.6 * Math.exp(-100 / 40));
  });
});
