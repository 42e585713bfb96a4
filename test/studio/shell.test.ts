/** The shell in a real browser: it begins by itself, draws what the command draws, and an address gives the same view again. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command, missing, openStudio, tape } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

describe.skipIf(missing !== "")("the studio", { timeout: 120_000 }, () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await openStudio();
  }, 60_000);
  afterAll(() => studio.close());

  test("is writing within a moment, offline, without being asked", async () => {
    const page = await studio.page();
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(studio.site.address);
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="tape-token"]:not(.prompt)').length >= 5);
    expect(asked.filter((url) => !url.startsWith(studio.site.address) && !/^(blob|data):/.test(url))).toEqual([]);
    await page.context().close();
  });

  test.each([0, 1, 5])("draws at T = %d what the command draws, with its probabilities", async (temperature) => {
    const prompt = "Once upon a time, there was a";
    const page = await studio.visit(`#write?m=letters&p=${encodeURIComponent(prompt)}&t=${temperature}&s=11`);
    const given = (await tape(page)).length;
    for (let n = given + 1; n <= given + 12; n++) {
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction((count) => document.querySelectorAll('[data-testid="tape-token"]').length === count, n);
    }
    const shown = (await tape(page)).slice(given);
    const steps = (
      await command("generate", prompt, "--model", "letters", "--temperature", String(temperature), "--seed", "11", "--max-tokens", "12")
    ).filter(({ type }) => type === "step");
    expect(shown.map(({ id }) => id)).toEqual(steps.map(({ id }) => id));
    steps.forEach((step, i) => {
      expect(shown[i].p).toBeCloseTo(step.probability as number, 4);
      expect(shown[i].drawn).toBeCloseTo(step.sampledFrom as number, 4);
    });
    await page.context().close();
  });

  test("gives the same view again from its address, and undoes", async () => {
    const page = await studio.visit("#write?m=letters&p=The%20king&t=1&s=5&l=2&h=3&d=code");
    const given = (await tape(page)).length;
    for (let n = given + 1; n <= given + 6; n++) {
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction((count) => document.querySelectorAll('[data-testid="tape-token"]').length === count, n);
    }
    await page.keyboard.press("Backspace");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((count) => document.querySelectorAll('[data-testid="tape-token"]').length === count, given + 6);
    await page.waitForFunction(() => location.hash.includes("x="));
    await page.waitForTimeout(400);
    const before = await tape(page);
    const hash = new URL(page.url()).hash;
    await page.context().close();

    const again = await studio.visit(hash);
    await again.waitForFunction((count) => document.querySelectorAll('[data-testid="tape-token"]').length === count, given + 6);
    const after = await tape(again);
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    after.forEach(({ p, drawn }, i) => {
      if (i > 0) expect(p).toBeCloseTo(before[i].p, 5);
      if (i >= given) expect(drawn).toBeCloseTo(before[i].drawn, 5);
    });
    await again.waitForTimeout(400);
    expect(new URL(again.url()).hash).toBe(hash);
    await again.context().close();
  });

  test("met no error on the way", async () => {
    expect(studio.problems).toEqual([]);
  });
});
