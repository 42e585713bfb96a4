/** Write in a real browser: branches come and are walked back, an address keeps them, and odd texts are met calmly. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, data, missing, openStudio, prompt, root, tape, tapeOf } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);
/** A small model that reads any bytes; `letters` knows English letters only. */
const llama = join(root, "../shared/data/stories260K");
if (!existsSync(llama)) console.log("studio test of any bytes skipped: ../shared/data/stories260K is not here");

const context = 128; // of letters
const ids = async (page: Page): Promise<number[]> => (await tape(page)).map(({ id }) => id);

describe.skipIf(missing !== "")("writing", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit("#write?m=letters&p=The%20king&t=1&s=5", { reducedMotion: "reduce" });
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  /** One more token, by the button. */
  async function one(): Promise<void> {
    const count = (await tape(page)).length;
    await page.click('[data-testid="one"]');
    await tapeOf(page, count + 1);
  }

  /** The branch that is not being walked. */
  const other = (): Promise<void> => page.click('[data-testid="branch"]:not([aria-current])');

  test("branches where another candidate is chosen, walks back, and keeps both in the address", async () => {
    const given = (await tape(page)).length;
    for (let i = 0; i < 5; i++) await one();
    const first = await tape(page);

    const at = given + 2;
    await page.click(`[data-testid="tape-token"][data-at="${at}"]`);
    await page.waitForSelector(`[data-testid="candidates"][data-at="${at}"][data-settled="true"]`);
    const rows = await data(page, "bar-row");
    expect(rows.filter(({ chosen }) => chosen === "true").map(({ id }) => Number(id))).toEqual([first[at].id]);
    const chosen = rows.find((row) => row.chosen === "false")!;
    await page.click(`[data-testid="candidates"] [data-id="${chosen.id}"] .pick`);
    await tapeOf(page, at + 1);
    const picked = (await tape(page))[at];
    expect(picked.id).toBe(Number(chosen.id));
    expect(picked.p).toBeCloseTo(Number(chosen.p), 5);
    await one();
    const second = await tape(page);
    expect(second.slice(0, at)).toEqual(first.slice(0, at));
    expect(await page.getByTestId("branch").count()).toBe(2);

    await other();
    await tapeOf(page, first.length);
    expect(await tape(page)).toEqual(first);

    await page.waitForTimeout(400); // the address follows a moment later
    const hash = new URL(page.url()).hash;
    await page.reload();
    await page.waitForSelector('[data-ready="true"]');
    await tapeOf(page, first.length);
    expect(await ids(page)).toEqual(first.map(({ id }) => id));
    expect(await page.getByTestId("branch").count()).toBe(2);
    await other();
    await tapeOf(page, second.length);
    expect(await ids(page)).toEqual(second.map(({ id }) => id));
    await other();
    await tapeOf(page, first.length);
    await page.waitForTimeout(400);
    expect(new URL(page.url()).hash).toBe(hash);
  });

  test("takes tokens back, and not the prompt's", async () => {
    const before = await ids(page);
    await page.click('[data-testid="undo"]');
    await tapeOf(page, before.length - 1);
    expect(await ids(page)).toEqual(before.slice(0, -1));
    for (let n = before.length - 2; n >= "The king".length; n--) {
      await page.click('[data-testid="undo"]');
      await tapeOf(page, n);
    }
    expect(await page.isDisabled('[data-testid="undo"]')).toBe(true);
  });

  test("forgets the beginning of a text that is longer than the context", async () => {
    const text = "There was a little girl who liked to play. ".repeat(5).trim();
    await prompt(page, text);
    await tapeOf(page, text.length);
    expect(await page.locator('[data-testid="tape-token"].gone').count()).toBe(text.length - context);
    await one();
    const [, step] = await command("generate", text, "--model", "letters", "--temperature", "1", "--seed", "5", "--max-tokens", "1");
    const last = (await tape(page)).at(-1)!;
    expect(last.id).toBe(step.id);
    expect(last.p).toBeCloseTo(step.probability as number, 4);
  });

  test("begins without a text, and ends where the model ends it", async () => {
    await prompt(page, "");
    await tapeOf(page, 1); // the start token
    await page.fill('input[type="number"]', "18"); // the first draw of this seed is the end of text
    await page.press('input[type="number"]', "Enter");
    await one();
    const lines = await command("generate", "", "--model", "letters", "--temperature", "1", "--seed", "18");
    expect(lines.at(-1)).toMatchObject({ type: "end", reason: "end-of-text" });
    expect((await tape(page)).at(-1)?.id).toBe(73);
    await page.waitForSelector('[data-testid="ended"]');
    expect(await page.isDisabled('[data-testid="one"]')).toBe(true);
    expect(await page.isDisabled('[data-testid="play"]')).toBe(true);
    await page.click('[data-testid="undo"]');
    await tapeOf(page, 1);
  });

  test("says calmly what a model cannot read, and keeps the text", async () => {
    await prompt(page, "The king");
    await tapeOf(page, 8);
    await prompt(page, "The king 👑 שלום");
    await page.waitForSelector('.notice.error:has-text("👑")');
    expect((await tape(page)).length).toBe(8);
    await one();
  });

  test.skipIf(!existsSync(llama))("writes behind emoji and right-to-left text", async () => {
    await page.setInputFiles(
      'input[type="file"]',
      ["config.json", "model.safetensors", "tokenizer.json"].map((file) => join(llama, file)),
    );
    const text = "שלום 👋🏽 مرحبا";
    const cut = (await command("tokenize", text, "--model", llama)).filter(({ type }) => type === "token").map(({ id }) => id);
    await page.waitForFunction(() => document.querySelector(".model")?.textContent?.includes("my-model"));
    await prompt(page, text);
    await tapeOf(page, cut.length);
    expect(await ids(page)).toEqual(cut);
    for (let i = 0; i < 3; i++) await one();
    const shown = await page.textContent('[data-testid="prose"]');
    for (const character of "ש👋🏽م") expect(shown).toContain(character);
  });
});
