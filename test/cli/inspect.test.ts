/** `vitrine inspect` on a real, tiny model: what it prints as text and as data, in any window, and what it refuses. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { z } from "zod";
import { hostModels } from "../../src/cli/host-models.ts";
import type { ContributionsLine, LensLine, MuteLine } from "../../src/cli/json-inspect.ts";
import { widthOf } from "../../src/cli/width.ts";
import { temporaryTinyModel } from "../tiny-model.ts";
import { fakeModels, plain, vitrine } from "./fake.testing.ts";
import type { Ran, RunOptions } from "./fake.testing.ts";
import { attentionSchema, contributionsSchema, inspectSchema, lensSchema, linesOf, muteSchema, neuronsSchema } from "./json-schema.testing.ts";

const folder = mkdtempSync(join(tmpdir(), "vitrine-inspect-"));
let tiny: Awaited<ReturnType<typeof temporaryTinyModel>>;
beforeAll(async () => {
  tiny = await temporaryTinyModel();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await tiny.remove();
});

function inspect(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const models = fakeModels({ more: { open: hostModels.open } });
  return vitrine(["inspect", ...args, "--model", tiny.path, "--device", "reference"], { models, ...options });
}

const text = "the inner thing in there";
const all = ["--lens", "--contributions", "--attention", "1.0", "--neurons", "0", "--mute", "0.1,mlp1,attn0"];

describe("inspect", () => {
  it("without a flag shows the last position's stages and the strongest pushes", async () => {
    const { code, stdout, stderr } = await inspect([text, "--top", "4"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.split("\n");
    expect(lines.filter((line) => /^(embedding|attn \d|MLP \d)/.test(line)).length).toBeGreaterThanOrEqual(5);
    expect(lines.find((line) => line.startsWith("MLP 1"))).toMatch(/%\s+#1\b/); // the last stage is the model's own favourite
    expect(stdout).toMatch(/^who pushes .*, in logits$/m);
    expect(stdout).toMatch(/^\d+ others +[+-]\d/m);
    expect(stdout).not.toContain("\x1b");
  });

  it.each([24, 40, 80, 120])("fits a window of %i columns, in colour and without", async (columns) => {
    const environments: Record<string, string>[] = [{ FORCE_COLOR: "3" }, { NO_COLOR: "1" }, { LANG: "C" }];
    for (const env of environments) {
      for (const args of [[text, ...all], [text]]) {
        const { code, stdout } = await inspect(args, { columns, env });
        expect(code).toBe(0);
        for (const line of plain(stdout).split("\n")) expect(widthOf(line), line).toBeLessThan(columns);
        if ("NO_COLOR" in env) expect(stdout).not.toContain("\x1b");
        if ("LANG" in env) expect(plain(stdout)).toMatch(/^[\x20-\x7e\n]*$/);
      }
    }
  });

  it("writes what it found as JSON Lines that keep the contract", async () => {
    const { code, stdout } = await inspect([text, ...all, "--top", "3", "--json"]);
    expect(code).toBe(0);
    const lines = linesOf(stdout);
    const schemas: Record<string, z.ZodType> = { inspect: inspectSchema, lens: lensSchema, contributions: contributionsSchema, attention: attentionSchema, neurons: neuronsSchema, mute: muteSchema }; // prettier-ignore
    for (const line of lines) schemas[line.type as string].parse(line);
    expect([...new Set(lines.map(({ type }) => type))]).toEqual(Object.keys(schemas));
    const T = (lines[0].tokens as unknown[]).length;
    const lens = lines.filter(({ type }) => type === "lens") as unknown as LensLine[];
    expect(lens).toHaveLength(5 * T);
    for (const { final, target, position } of lens) {
      expect(final.rank).toBeGreaterThan(0);
      expect(target === null).toBe(position === T - 1);
    }
    const { pushes, logit, target } = lines.find(({ type }) => type === "contributions") as unknown as ContributionsLine;
    expect(pushes.reduce((sum, { amount }) => sum + amount, 0)).toBeCloseTo(logit, 3);
    const { before, after, muted, divergence } = lines.at(-1) as unknown as MuteLine;
    expect(muted).toEqual(["0.1", "mlp1", "attn0"]);
    expect(before[0].id).toBe(target.id);
    expect(after).not.toEqual(before);
    expect(divergence).toBeGreaterThan(0);
    const last = lens.at(-1)!;
    expect(before[0].probability).toBeCloseTo(last.top[0].probability, 5); // the lens's last stage and a pass of its own agree
  });

  it("looks at the position that was named, as if the text ended there", async () => {
    const ids = (linesOf((await inspect([text, "--json"])).stdout)[0].tokens as { id: number }[]).map(({ id }) => id);
    for (const position of ["2", String(2 - ids.length)]) {
      const lines = linesOf((await inspect([text, "--position", position, "--json", "--contributions", "--lens"])).stdout);
      expect(lines.filter(({ type }) => type === "lens").every((line) => line.position === 2)).toBe(true);
      expect(lines.at(-1)).toMatchObject({ type: "contributions", position: 2 });
    }
  });

  it("takes the token by its text or its id", async () => {
    const byText = linesOf((await inspect([text, "--contributions", " the", "--json", "--absolute"])).stdout).at(-1) as unknown as ContributionsLine;
    expect(byText).toMatchObject({ target: { text: " the" }, relative: false });
    expect(linesOf((await inspect([text, "--contributions", `id:${byText.target.id}`, "--json", "--absolute"])).stdout).at(-1)).toEqual(byText);
  });

  it("writes the pattern as a picture, and nothing beside it", async () => {
    const file = join(folder, "head.svg");
    expect((await inspect(["a <b> & \"c\"", "--attention", "0.1", "--svg", file])).code).toBe(0); // prettier-ignore
    const svg = readFileSync(file, "utf8");
    expect(readdirSync(folder)).toEqual(["head.svg"]);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox=.*<\/svg>\n$/s);
    expect(svg).toContain("&lt;");
    expect(svg).toContain("&amp;");
    expect(svg.replaceAll(/<\/?(svg|title|rect|g|text)\b[^<>]*>/g, "")).not.toMatch(/[<>]/);
    const missing = await inspect([text, "--attention", "0.1", "--svg", join(file, "no.svg")]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("not written");
  });

  it.each([
    [["--attention", "3"], /expected LAYER\.HEAD/],
    [["--attention", "2.0"], /layer 2: this model has 2/],
    [["--attention", "0.2"], /head 2: each layer has 2/],
    [["--neurons", "7"], /layer 7/],
    [["--mute", "0.1,nose3"], /expected parts with commas/],
    [["--mute", "mlp9"], /layer 9/],
    [["--position", "99"], /position 99 of \d+ tokens/],
    [["--top", "0"], /--top is "0"/],
    [["--contributions", " the the"], /is \d+ tokens; give one token/],
    [["--contributions", "id:9999"], /outside the vocabulary/],
    [["--svg", "x.svg"], /add --attention/],
  ])("refuses %j before it prints anything", async (args, message) => {
    const { code, stdout, stderr } = await inspect([text, ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vitrine inspect: .*\n$/);
  });

  it("refuses a text longer than the context, and an engine without a model", async () => {
    const long = await inspect(["a".repeat(65)]);
    expect(long.code).toBe(2);
    expect(long.stderr).toMatch(/65 tokens, and .* has only 64 positions/);
    const models = fakeModels();
    const open = models.open.bind(models);
    models.open = async (asked) => {
      const engine = await open(asked);
      return { ...engine, info: { ...engine.info, capabilities: { ...engine.info.capabilities, trace: false } } };
    };
    const remote = await vitrine(["inspect", "a"], { models });
    expect(remote).toMatchObject({ code: 2, stdout: "" });
    expect(remote.stderr).toContain("cannot be looked into");
    expect(models.disposed).toBe(1);
  });

  it("has help with examples", async () => {
    const { code, stdout } = await vitrine(["inspect", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("--mute");
    expect(stdout).toContain("Examples:");
  });
});
