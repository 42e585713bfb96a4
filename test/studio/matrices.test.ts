/** The matrices in a real browser: totals are the lecture's and the command's, cells the checkpoint's, products what the model computed. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { openFile } from "../../src/host/node-files.ts";
import { capture, loadModel } from "../../src/index.ts";
import { command, data, missing, openStudio, root, tapeOf } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const prompt = "The king is";

describe.skipIf(missing !== "")("the matrices", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit(`#matrices?m=letters&p=${encodeURIComponent(prompt)}&l=1&h=2`, { reducedMotion: "reduce" });
    await page.waitForSelector('[data-testid="tally-row"]');
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  /** What the panel counts, as text too: the number that people see is the number that was computed. */
  async function total(): Promise<{ weights: number; matrices: number }> {
    const [weights] = await data(page, "tally-total");
    const [matrices] = await data(page, "tally-matrices");
    expect(await page.textContent('[data-testid="tally-total"] .visually-hidden')).toBe(Number(weights.value).toLocaleString("en-US"));
    expect(await page.textContent('[data-testid="tally-matrices"]')).toContain(Number(matrices.value).toLocaleString("en-US"));
    return { weights: Number(weights.value), matrices: Number(matrices.value) };
  }

  test.each(["video", "exact"])("counts the open model by the %s rule as the command does", async (rule) => {
    await page.click(`[data-testid="tally-rule-${rule}"]`);
    const [tally] = await command("params", "letters", "--rule", rule);
    const rows = await data(page, "tally-row");
    expect(rows.map(({ category, weights, matrices }) => ({ category, weights: Number(weights), matrices: Number(matrices) }))).toEqual(
      (tally.rows as { category: string; weights: number; matrices: number }[]).map(({ category, weights, matrices }) => ({
        category,
        weights,
        matrices,
      })),
    );
    expect(await total()).toEqual({ weights: tally.weights, matrices: tally.matrices });
  });

  test("counts GPT-3 as the lecture does, and GPT-2 exactly", async () => {
    await page.selectOption('[data-testid="tally-source"]', "gpt3");
    await page.click('[data-testid="tally-rule-video"]');
    expect(await total()).toEqual({ weights: 175_181_291_520, matrices: 27_938 });
    await page.selectOption('[data-testid="tally-source"]', "gpt2");
    await page.click('[data-testid="tally-rule-exact"]');
    expect((await total()).weights).toBe(124_439_808);
    await page.selectOption('[data-testid="tally-source"]', "model");
  });

  test("shows the checkpoint's weights", async () => {
    const file = await openSafetensors((await openFile(join(root, "models/letters/model.safetensors")))!);
    const name = "transformer.h.1.attn.c_attn.weight";
    const [, width] = file.tensors.get(name)!.shape;
    const values = await file.read(name);
    await file.close();

    await page.click('[data-testid="open-Query"]');
    await page.waitForSelector('[data-testid="matrix-statistics"]');
    await page.focus('[data-testid="matrix-stage"]');
    const cell = page.getByTestId("matrix-cell");
    const headDimension = 24;
    for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "End"]) {
      await page.keyboard.press(key);
      const [row, column] = [Number(await cell.getAttribute("data-row")), Number(await cell.getAttribute("data-column"))];
      expect(row + column).toBeGreaterThan(0);
      // queries stand first in c_attn, head by head; the checkpoint's rows are the inputs
      expect(Number(await cell.getAttribute("data-value"))).toBe(values[column * width + 2 * headDimension + row]);
    }
    let largest = 0;
    for (let input = 0; input < 96; input++)
      for (let row = 0; row < headDimension; row++) largest = Math.max(largest, Math.abs(values[input * width + 2 * headDimension + row]));
    expect(Number((await data(page, "matrix-statistics"))[0].largest)).toBe(largest);
  });

  test("multiplies to what the model computed", async () => {
    const { model, tokenizer } = await loadModel(join(root, "models/letters"), { device: "wasm" });
    const heard = await capture(model, tokenizer.encode(prompt), ["blocks.1.attn.hook_q", "blocks.1.mlp.hook_pre"]);
    const last = (name: string): Float32Array => {
      const { shape, data: values } = heard.get(name)!;
      return values.slice(values.length - values.length / shape[0]);
    };
    await page.click('[data-testid="matrix-multiply"]');
    const reads = async (row: number, expected: number): Promise<void> => {
      await page.fill('[data-testid="reader-row"]', String(row));
      await page.waitForSelector(`[data-testid="reader"][data-row="${row}"]:not(.stale)`);
      const [of, captured, difference] = await Promise.all(["reader-total", "reader-captured", "reader-difference"].map((id) => data(page, id)));
      expect(Number(captured[0].value)).toBeCloseTo(expected, 4);
      expect(Number(of[0].value)).toBeCloseTo(expected, 4);
      expect(Math.abs(Number(difference[0].value))).toBeLessThan(1e-4);
    };
    await page.waitForSelector('[data-testid="reader"]:not(.stale)');
    for (const row of [0, 17]) await reads(row, last("blocks.1.attn.hook_q")[2 * 24 + row]);
    await page.selectOption('[data-testid="matrix-category"]', "Up-projection");
    await page.waitForFunction(() => document.querySelector('[data-testid="reader"]')?.textContent?.includes("mlp.hook_pre"));
    await reads(200, last("blocks.1.mlp.hook_pre")[200]);
  });

  test("multiplies with what the model saw, behind a branch of the prompt, too", async () => {
    const other = await studio.visit("#write?m=letters&p=Once%20upon%20a%20time%20there%20was%20a%20king.&c=16&d=code", { reducedMotion: "reduce" });
    await other.locator('[data-testid="tape-token"]').nth(28).click();
    await other.waitForSelector('[data-testid="candidates"][data-at="28"]');
    await other.locator('[data-testid="bar-row"][data-chosen="false"] .pick').first().click();
    await tapeOf(other, 29);
    for (let count = 30; count <= 32; count++) {
      await other.evaluate(() => (document.activeElement as HTMLElement).blur());
      await other.keyboard.press("ArrowRight");
      await tapeOf(other, count);
    }
    await other.click("#tab-matrices");
    await other.click('[data-testid="open-Unembedding"]');
    await other.click('[data-testid="matrix-multiply"]');
    await other.waitForSelector('[data-testid="reader"]:not(.stale)');
    const seen = await other.$$eval('[data-testid="tape-token"]:not(.gone)', (all) => all.map((one) => Number((one as HTMLElement).dataset.id)));
    await other.click('[data-testid="reader-captured"] .num');
    expect(await other.locator("section.card pre").first().textContent()).toContain(`capture(model, ${JSON.stringify(seen)},`);
    expect(Math.abs(Number((await data(other, "reader-difference"))[0].value))).toBeLessThan(1e-4);
    await other.context().close();
  });
});
