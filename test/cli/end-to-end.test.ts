/**
 * The command as users run it: a child process of bin/vitrine.js on the bundle, with real pipes and real signals, on a real model.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { REPO, scratchFolder, startHub } from "../../src/host/hub.testing.ts";
import { linesOf, modelSchema, promptSchema, pulledSchema, stepSchema, tallySchema } from "./json-schema.testing.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const command = `${root}bin/vitrine.js`;
const data = `${root}../shared/data`;
const stories = `${data}/stories260K`;
const isBuilt = existsSync(`${root}dist/cli/vitrine.js`);
const hasModel = isBuilt && existsSync(`${stories}/config.json`);
const { FORCE_COLOR: _force, NO_COLOR: _no, ...rest } = process.env;
const env = { ...rest, LANG: "C.UTF-8" };

function vitrine(argv: readonly string[], input = ""): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...argv], { input, encoding: "utf8", env, maxBuffer: 2 ** 26 });
  return { code: status, stdout, stderr };
}

/** The same without stopping this process, which may have a server to run. */
async function vitrineBeside(
  argv: readonly string[],
  more: Readonly<Record<string, string>>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [command, ...argv], { env: { ...env, ...more }, stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.stderr += chunk.toString()));
  const code = await new Promise<number>((resolve) => child.on("close", resolve));
  return { code, ...said };
}

describe.skipIf(!isBuilt)("the built command (skipped where dist/cli is not built)", () => {
  it("counts GPT-3", () => {
    const { code, stdout } = vitrine(["params", "gpt3", "--json"]);
    expect(code).toBe(0);
    expect(tallySchema.parse(linesOf(stdout)[0])).toMatchObject({ weights: 175181291520, matrices: 27938 });
  });

  it("answers mistakes with 2 and one line", () => {
    expect(vitrine(["generate", "a", "--temperature", "-1"])).toMatchObject({ code: 2, stdout: "" });
    const { code, stderr } = vitrine(["generate", "a", "--model", "/nowhere/at/all"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^vitrine generate: model "\/nowhere\/at\/all".*\n$/);
  });

  it.skipIf(!existsSync(`${data}/gpt2-tokenizer`))("cuts the lecture's sentence as the lecture does (skipped without ../shared/data)", () => {
    const { stdout } = vitrine(["tokenize", "To date, the cleverest thinker of all time was", "--model", `${data}/gpt2-tokenizer`]);
    expect(stdout).toBe("To| date|,| the| cle|ve|rest| thinker| of| all| time| was\n2514 3128 11 262 1190 303 2118 45206 286 477 640 373\n");
  });
});

describe.skipIf(!isBuilt)("a run of training that is killed again and again (skipped where dist/cli is not built)", () => {
  it("ends with the weights of one that never was", { timeout: 60_000 }, async () => {
    const folder = await scratchFolder();
    try {
      const text = join(folder, "text.txt");
      writeFileSync(text, Array.from({ length: 300 }, (_, i) => `the ${["cat", "dog", "old man"][i % 3]} sat on mat ${i % 10}.\n`).join(""));
      // Saved after every step, so that most of the time something is being written.
      const sizes = "--tokenizer characters --layers 2 --heads 2 --width 64 --context 32 --batch 4 --dropout 0.1 --steps 60 --save-every 1 --evaluate-every 10 --evaluate-batches 2 --sample-every 0 --json".split(" "); // prettier-ignore
      const argv = (name: string): string[] => ["train", text, "--out", join(folder, name), ...sizes];
      expect(vitrine(argv("whole"))).toMatchObject({ code: 0, stderr: "" });

      let next = argv("killed");
      let kills = 0;
      for (const after of [3, 11, 24, undefined]) {
        const child = spawn(process.execPath, [command, ...next], { env, stdio: ["ignore", "pipe", "pipe"] });
        let said = "";
        const listen = (chunk: Buffer): void => {
          said += chunk.toString();
          if (after !== undefined && said.includes(`"type":"step","step":${after},`)) setTimeout(() => child.kill("SIGKILL"), 3 * kills);
        };
        child.stdout.on("data", listen);
        child.stderr.on("data", listen);
        const signal = await new Promise<string | null>((resolve) => child.on("close", (_, by) => resolve(by)));
        expect(signal, said).toBe(after === undefined ? null : "SIGKILL");
        kills++;
        next = ["train", "--resume", "--out", join(folder, "killed"), "--json"];
      }
      for (const file of ["model.safetensors", "checkpoint.safetensors", "best/model.safetensors"])
        expect(readFileSync(join(folder, "killed", file)).equals(readFileSync(join(folder, "whole", file))), file).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe.skipIf(!hasModel)("the built command on stories260K (skipped without dist/cli or ../shared/data)", () => {
  it("tells the published greedy story to the letter", () => {
    const published = JSON.parse(readFileSync(`${stories}/published-greedy-story.json`, "utf8")) as { readonly text: string };
    const { code, stdout, stderr } = vitrine(["generate", "--model", stories, "--temperature", "0", "--max-tokens", "200"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout.trimEnd()).toBe(published.text.trim());
  });

  it("shows that a comma is what comes after Once upon a time, at 96.9 %", () => {
    const { stdout } = vitrine(["generate", "Once upon a time", "--show", "12", "--max-tokens", "3", "--seed", "1", "--model", stories]);
    const first = stdout.split(/\n(?=── \d+ ─)/)[1];
    expect(first).toMatch(/^▶? +1 {2}"," +96\.9 % {2}█{30,}/m);
    expect(first).toMatch(/^▶? +2 {2}" there" +2\.9 %/m);
    expect(stdout).not.toContain("\x1b");
  });

  it("writes steps as data, the same for the same seed", () => {
    const run = (): string =>
      vitrine(["generate", "-", "--json", "--max-tokens", "20", "--seed", "5", "--model", stories], "Once upon a time\n").stdout.replaceAll(
        /"(seconds|tokensPerSecond|promptSeconds)":[\d.e-]+/g,
        "",
      );
    const lines = linesOf(vitrine(["generate", "Once upon a time", "--json", "--max-tokens", "3", "--model", stories]).stdout);
    expect(promptSchema.parse(lines[0]).tokens).toHaveLength(5);
    expect(stepSchema.parse(lines[1]).top[0].probability).toBeCloseTo(0.969, 3);
    expect(run()).toBe(run());
  });

  it("has as many weights as its file", () => {
    const tally = tallySchema.parse(linesOf(vitrine(["params", stories, "--rule", "exact", "--json"]).stdout)[0]);
    expect(tally.stored).toBe(tally.weights);
  });

  it("pulls a model, lists it, and tells a story with it under its hub name", { timeout: 30_000 }, async () => {
    const files = ["config.json", "tokenizer.json", "model.safetensors"].map((file): [string, Buffer] => [file, readFileSync(`${stories}/${file}`)]);
    const hub = await startHub(new Map(files));
    const home = await scratchFolder();
    const away = { HF_ENDPOINT: hub.url, HF_HOME: home, HF_TOKEN: "", HF_HUB_CACHE: "" };
    try {
      const pulled = await vitrineBeside(["pull", REPO, "--json"], away);
      expect(pulled.stderr).toBe("");
      expect(pulledSchema.parse(linesOf(pulled.stdout)[0])).toMatchObject({ id: REPO, files: { fetched: 3, total: 3 } });
      const again = await vitrineBeside(["pull", REPO, "--json"], away);
      expect(linesOf(again.stdout)[0]).toMatchObject({ files: { fetched: 0, total: 3 } });

      const models = linesOf((await vitrineBeside(["models", "--json"], away)).stdout).map((line) => modelSchema.parse(line));
      expect(models.find(({ source }) => source === "cache")).toMatchObject({ name: REPO, architecture: "llama", loadable: true });
      const story = await vitrineBeside(["generate", "Once upon a time", "-t", "0", "-n", "3", "--model", REPO], away);
      expect(story).toEqual({ code: 0, stdout: "Once upon a time, there was\n", stderr: "" });

      const missing = await vitrineBeside(["pull", "acme/nothing"], away);
      expect(missing).toMatchObject({ code: 2, stdout: "" });
      expect(missing.stderr).toMatch(/^vitrine pull acme\/nothing: [^\n]+\n$/);
    } finally {
      await hub.close();
      rmSync(home, { recursive: true });
    }
  });

  it("ends quietly when the pipe closes", async () => {
    const child = spawn(process.execPath, [command, "generate", "Once", "--json", "--max-tokens", "100000", "--model", stories], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([code, stderr]).toEqual([0, ""]);
  });

  it("ends cleanly with 130 at Ctrl-C", async () => {
    const child = spawn(process.execPath, [command, "generate", "Once", "--json", "--max-tokens", "1000000", "--model", stories], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (stdout === "") child.kill("SIGINT");
      stdout += chunk.toString();
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(linesOf(stdout).at(-1)).toMatchObject({ type: "end", reason: "aborted" });
  });
});
