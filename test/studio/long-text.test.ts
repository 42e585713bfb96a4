/** A text of thousands of tokens: only the part around the place in the light is in the page, and all of it can be reached. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

const sentence = "There was a little dog who liked to sit in the sun. ";
const prompt = sentence.repeat(60);

describe.skipIf(missing !== "")(`a long text${missing && `: skipped, ${missing}`}`, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit(`#write?m=letters&p=${encodeURIComponent(prompt)}`);
    await page.waitForSelector('[data-testid="prose-token"]');
  }, 120_000);
  afterAll(() => studio?.close());

  const places = (testid: string): Promise<number[]> =>
    page.$$eval(`[data-testid="${testid}"]`, (all) => all.map((token) => Number((token as HTMLElement).dataset.at)));

  test.each([
    ["tape-token", ".tape .strip", 440],
    ["prose-token", ".prose", 1640],
  ])("%s: the end is there, and scrolling finds the beginning", async (testid, box, most) => {
    const length = await page.$eval(".tape .next", (next) => Number((next as HTMLElement).dataset.at));
    expect(length).toBeGreaterThan(3000);
    const shown = await places(testid);
    expect(shown.length).toBeLessThanOrEqual(most);
    expect(shown.at(-1)).toBe(length - 1);
    expect(shown[0]).toBeGreaterThan(0);
    for (let i = 0; i < 60 && (await places(testid))[0] > 0; i++) {
      await page.$eval(box, (element) => element.scrollTo(0, 0));
      await page.waitForTimeout(100);
    }
    const found = await places(testid);
    expect(found[0]).toBe(0);
    expect(found).toEqual(found.map((_, i) => i));
    expect(found.length).toBeLessThanOrEqual(most);
  });

  test("what is chosen far away comes into sight in both", async () => {
    await page.evaluate(() => document.querySelector<HTMLElement>('[data-testid="tape-token"][data-at="5"]')!.click());
    for (const testid of ["tape-token", "prose-token"]) {
      expect(await page.getAttribute(`[data-testid="${testid}"][data-at="5"]`, "aria-selected")).toBe("true");
    }
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelector(".tape .next")!.getAttribute("aria-selected") === "true");
    expect((await places("tape-token")).at(-1)).toBeGreaterThan(3000);
    expect(studio.problems).toEqual([]);
  });
});
