/** The context in a real browser: a shorter memory gives the distribution that `vitrine generate --context N` gives, and the tape shows what fell out. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, data, missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const prompt = "Once upon a time there was a king. The king is";

/** Probabilities of all tokens with a context of so many. */
async function chances(...flags: string[]): Promise<Map<number, number>> {
  const [, step] = await command("generate", prompt, "--model", "letters", "--max-tokens", "1", "--show", "1000", ...flags);
  return new Map((step.top as { id: number; probability: number }[]).map(({ id, probability }) => [id, probability]));
}

describe.skipIf(missing !== "")("the context", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit(`#context?m=letters&p=${encodeURIComponent(prompt)}`, { reducedMotion: "reduce" });
    await page.waitForSelector('[data-testid="comparison"]');
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  const gone = (): Promise<number[]> =>
    page.$$eval('[data-testid="tape-token"].gone', (all) => all.map((token) => Number((token as HTMLElement).dataset.at)));

  test("changes nothing while all of the text is seen", async () => {
    const full = await chances();
    for (const row of await data(page, "bar-row")) {
      expect(Number(row.full)).toBeCloseTo(full.get(Number(row.id))!, 5);
      expect(row.short).toBe(row.full);
    }
    expect(await gone()).toEqual([]);
    expect(Number((await data(page, "divergence"))[0].bits)).toBe(0);
  });

  test("changes the next token as the command's --context does, and marks what fell out", async () => {
    const full = await chances();
    for (const context of [12, 3]) {
      await page.fill('[data-testid="context-number"]', String(context));
      await page.press('[data-testid="context-number"]', "Enter");
      await page.waitForFunction((n) => new RegExp(`[?&]c=${n}(&|$)`).test(location.hash), context);
      const short = await chances("--context", String(context));
      await page.waitForFunction(
        (n) => document.querySelector(".heads .short")?.textContent?.includes(`${n}`) && !document.querySelector(".below.dim"),
        context,
      );
      const rows = await data(page, "bar-row");
      expect(rows.length).toBe(10);
      for (const row of rows) {
        expect(Number(row.full)).toBeCloseTo(full.get(Number(row.id))!, 5);
        expect(Number(row.short)).toBeCloseTo(short.get(Number(row.id))!, 5);
      }
      expect(await gone()).toEqual(Array.from({ length: prompt.length - context }, (_, at) => at));
      const bits = [...full].reduce((sum, [id, p]) => sum + p * Math.log2(p / short.get(id)!), 0);
      expect(bits).toBeGreaterThan(0.01);
      expect(Number((await data(page, "divergence"))[0].bits)).toBeCloseTo(bits, 3);
    }
    expect(await page.getAttribute('[data-testid="tape-token"].gone', "aria-label")).toContain("no longer seen");
    await page.waitForFunction(() => {
      const [strip, next] = [".strip", ".tape .next"].map((each) => document.querySelector(each)!.getBoundingClientRect());
      return next.right <= strip.right; // though words beside the strip have made it narrower
    });
  });

  test("draws the favourite's probability for every size of the memory", async () => {
    await page.waitForSelector('[data-testid="curve"][data-busy="false"] [data-testid="curve-point"]:nth-of-type(7)');
    const points = await data(page, "curve-point");
    expect(points.map(({ context }) => Number(context))).toEqual([1, 2, 4, 8, 16, 32, prompt.length]);
    const full = await chances();
    const favourite = [...full].reduce((best, one) => (one[1] > best[1] ? one : best));
    expect(Number(points.at(-1)?.p)).toBeCloseTo(favourite[1], 5);
    const eight = await chances("--context", "8");
    expect(Number(points[3].p)).toBeCloseTo(eight.get(favourite[0])!, 5);
  });
});
