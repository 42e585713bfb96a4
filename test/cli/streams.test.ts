/**
 * What happens around a command: a reader who leaves, a slow one, a full disk, Ctrl-C.
 */
import { PassThrough, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { Output } from "../../src/cli/io.ts";
import { Progress } from "../../src/cli/progress.ts";
import { fakeModels, vitrine } from "./fake.testing.ts";
import { linesOf } from "./json-schema.testing.ts";

/** Takes `lines` lines, then fails every write with `code`. */
function leavingReader(lines: number, code: string): Writable & { text: string } {
  const stream = Object.assign(
    new Writable({
      decodeStrings: false,
      write: (chunk: string, _, done) => {
        if (stream.text.split("\n").length > lines) return done(Object.assign(new Error(`write ${code}`), { code }));
        stream.text += chunk;
        done();
      },
    }),
    { text: "" },
  );
  return stream;
}

const nothing = (): void => {};

const long = ["generate", "Once", "-n", "100000", "--seed", "12", "--json", "--logit-bias", "1=-100"];

describe("a closed pipe", () => {
  it("ends the command quietly with 0, and gives the model back", async () => {
    const { code, stderr, models } = await vitrine(long, { stdout: leavingReader(3, "EPIPE") });
    expect([code, stderr, models.disposed]).toEqual([0, "", 1]);
  });

  it("ends tokenize and score as well", async () => {
    expect(await vitrine(["tokenize", "--json"], { stdin: " cat".repeat(100_000), stdout: leavingReader(3, "EPIPE") })).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(await vitrine(["score", " cat".repeat(2000), "--json"], { stdout: leavingReader(3, "EPIPE") })).toMatchObject({ code: 0, stderr: "" });
  });

  it("is not mistaken for a full disk, which is told", async () => {
    const { code, stderr } = await vitrine(long, { stdout: leavingReader(3, "ENOSPC") });
    expect(code).toBe(1);
    expect(stderr).toBe("vitrine generate: cannot write the output: write ENOSPC\n");
  });
});

describe("a full disk", () => {
  it.each([[["--help"]], [["--version"]], [["params", "gpt2"]], [["params", "--json"]]])("is told after %j, with 1", async (argv) => {
    const { code, stderr } = await vitrine(argv, { stdout: leavingReader(0, "ENOSPC") });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^vitrine( params)?: cannot write the output: write ENOSPC\n$/);
  });
});

/** Presses Ctrl-C after the command wrote `lines` lines. */
async function interruptedAfter(
  lines: number,
  argv: readonly string[],
): Promise<{ code: number; text: string; stderr: string; listening: boolean; disposed: number }> {
  let press = nothing;
  let listening = false;
  const stdout = new PassThrough();
  let text = "";
  stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.split("\n").length > lines) press();
  });
  const onInterrupt = (listener: () => void): (() => void) => {
    press = listener;
    listening = true;
    return () => void (listening = false);
  };
  const { code, stderr, models } = await vitrine(argv, { stdout, onInterrupt, errorColumns: 80 });
  return { code, text, stderr, listening, disposed: models.disposed };
}

describe("Ctrl-C", () => {
  it("ends cleanly with 130, whole lines and the end line", async () => {
    const { code, text, listening, disposed } = await interruptedAfter(4, long);
    expect([code, listening, disposed]).toEqual([130, false, 1]);
    const lines = linesOf(text);
    expect(lines.at(-1)).toMatchObject({ type: "end", reason: "aborted", tokens: lines.length - 2 });
    expect(lines.length).toBeLessThan(1000);
  });

  it("keeps the text that was written and says so", async () => {
    const { code, text, stderr } = await interruptedAfter(40, [
      "generate",
      "Once",
      "-n",
      "100000",
      "--seed",
      "12",
      "--show",
      "3",
      "--logit-bias",
      "1=-100",
    ]);
    expect(code).toBe(130);
    expect(text).toMatch(/═\nOnce/);
    expect(stderr).toContain("interrupted");
  });

  it("wakes a command that waits between words", async () => {
    const begun = performance.now();
    const { code } = await interruptedAfter(3, ["generate", "Once", "-n", "5", "--show", "3", "--pace", "60"]);
    expect(code).toBe(130);
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  it("ends waiting for standard input", async () => {
    const stdin = new PassThrough();
    let press = nothing;
    const running = vitrine(["generate"], { stdin, onInterrupt: (listener) => ((press = listener), () => {}) });
    setTimeout(() => press(), 20);
    expect(await running).toMatchObject({ code: 130, stdout: "", stderr: "" });
  });

  it("during loading ends with 130, whatever the loader says", async () => {
    let press = nothing;
    const models = fakeModels({
      more: {
        open: async ({ signal }) => {
          press();
          if (signal!.aborted) throw new Error("loading was stopped");
          throw new Error("not aborted");
        },
      },
    });
    const ran = await vitrine(["generate", "a"], { models, onInterrupt: (listener) => ((press = listener), () => {}) });
    expect(ran).toMatchObject({ code: 130, stderr: "" });
  });
});

describe("an output", () => {
  it("waits for a slow reader", async () => {
    const release: (() => void)[] = [];
    const stream = new Writable({ highWaterMark: 4, write: (_chunk, _encoding, done) => void release.push(done) });
    const output = new Output(stream, {});
    let taken = false;
    const writing = output.write("more than four").then(() => (taken = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(taken).toBe(false);
    release[0]();
    await writing;
    expect(taken).toBe(true);
  });

  it("knows whether a line was ended", async () => {
    const output = new Output(new PassThrough(), {});
    expect(output.atLineStart).toBe(true);
    await output.write("a");
    expect(output.atLineStart).toBe(false);
    await output.endLine();
    expect(output.atLineStart).toBe(true);
  });
});

/** What a person at a terminal of so many columns saw. */
function seen(columns: number | undefined, draw: (progress: Progress, pass: (ms: number) => void) => void): string {
  let time = 0;
  const stream = Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns });
  const progress = new Progress(new Output(stream, { LANG: "C.UTF-8", NO_COLOR: "1" }), { title: "loading", unit: "weights", now: () => time });
  draw(progress, (ms) => (time += ms));
  return ((stream.read() as Buffer | null) ?? "").toString().replaceAll("\x1b[K", "<clear>");
}

describe("progress", () => {
  it("is silent for short work and for pipes", () => {
    expect(seen(80, (progress, pass) => (pass(1900), progress.update({ done: 1, total: 2 }), progress.clear()))).toBe("");
    expect(seen(undefined, (progress, pass) => (pass(9000), progress.update({ done: 1, total: 2 }), progress.clear()))).toBe("");
  });

  it("says how much, how fast and how long still, on one line, and takes it away again", () => {
    const text = seen(80, (progress, pass) => (pass(4000), progress.update({ done: 25_000_000, total: 100_000_000 }), progress.clear()));
    expect(text).toMatch(/^\r███ +loading {2}25 % {2}25,000,000 of 100,000,000 · 6,250,000\/s · 12 s left<clear>\r<clear>$/);
  });

  it("fits every window", () => {
    for (const columns of [20, 40, 79, 120]) {
      const text = seen(
        columns,
        (progress, pass) => (pass(4000), progress.update({ done: 25_000_000, total: 100_000_000, detail: "model-00001-of-00002.safetensors" })),
      );
      expect([...text.replaceAll(/\r|<clear>/g, "")].length).toBeLessThan(columns);
    }
  });
});
