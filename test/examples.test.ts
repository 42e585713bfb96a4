/** Every numbered example runs against the built package, as a reader would run it, and stays short. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryTinyModel } from "./tiny-model.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const examples = readdirSync(join(root, "examples")).filter((file) => file.endsWith(".ts"));
const stories = join(root, "../shared/data/stories260K");
const built = existsSync(join(root, "dist/index.js"));

function run(example: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["tools/run.mjs", `examples/${example}`, ...args], { cwd: root, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout;
}

test("examples are numbered without gaps, each at most 40 lines", () => {
  expect(examples.map((file) => Number(file.slice(0, 2)))).toEqual(examples.map((_, at) => at + 1));
  for (const file of examples)
    expect(
      readFileSync(join(root, "examples", file), "utf8")
        .trimEnd()
        .split("\n").length,
    ).toBeLessThanOrEqual(40);
});

describe.skipIf(!built)(`examples on a tiny random model${built ? "" : " (skipped: dist/ is not built, npm run build)"}`, () => {
  let model: Awaited<ReturnType<typeof temporaryTinyModel>>;
  beforeAll(async () => {
    model = await temporaryTinyModel();
  });
  afterAll(() => model.remove());

  test.each(examples)("%s", { timeout: 30_000 }, (file) => {
    expect(run(file, model.path).length).toBeGreaterThan(40);
  });

  test("09 reaches the line that least squares gives in closed form", { timeout: 30_000 }, () => {
    const said = run("09-linear-regression.ts");
    const points = JSON.parse(/^points (.*)$/m.exec(said)![1]) as [number, number][];
    const mean = (of: (x: number, y: number) => number): number => points.reduce((sum, [x, y]) => sum + of(x, y), 0) / points.length;
    const [meanX, meanY] = [mean((x) => x), mean((_, y) => y)];
    const slope = mean((x, y) => (x - meanX) * (y - meanY)) / mean((x) => (x - meanX) ** 2);
    const [, sign, learnedSlope, minus, learnedIntercept] = /y = (-?)([\d.]+) x ([-+]) ([\d.]+)\s*$/.exec(said)!;
    expect(points).toHaveLength(30);
    expect(Number(`${sign}${learnedSlope}`)).toBeCloseTo(slope, 3);
    expect(Number(`${minus}${learnedIntercept}`)).toBeCloseTo(meanY - slope * meanX, 2);
  });
});

const noStories = !built ? " (skipped: dist/ is not built)" : !existsSync(stories) ? " (skipped: ../shared/data/stories260K is not here)" : "";
describe.skipIf(noStories !== "")(`examples on a model that tells stories${noStories}`, () => {
  test("03 knows what comes after Once upon a time", () => {
    const lines = run("03-next-word-distribution.ts", stories);
    expect(lines).toMatch(/^","\s+96\.9 %/m);
    expect(lines).toMatch(/^" there"\s+2\.9 %/m);
  });

  test("05 tells the story at T = 0 that everybody gets", () => {
    expect(run("05-temperature.ts", stories)).toContain("T = 0: Once upon a time, there was a little girl named Lily.");
  });
});
