/** Tokens in a real browser: pieces, ids, bytes and merges are those of `vitrine tokenize`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, data, missing, openStudio, root } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);
/** A tokenizer with merges and bytes; letters has neither. */
const llama = join(root, "../shared/data/stories260K");
if (!existsSync(llama)) console.log("studio test of merges and bytes skipped: ../shared/data/stories260K is not here");

interface Token {
  readonly id: number;
  readonly text: string;
  readonly bytes: string;
}

const text = "To date, the cleverest thinker of all time was";

describe.skipIf(missing !== "")("the tokens", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit(`#tokens?m=letters&p=${encodeURIComponent(text)}`);
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  /** Ids of the pieces, once there are so many. */
  async function pieces(count: number, list = "pieces"): Promise<number[]> {
    const found = page.locator(`[data-testid="${list}"] [data-testid="piece"]`);
    await page.waitForFunction(([name, n]) => document.querySelectorAll(`[data-testid="${name}"] [data-testid="piece"]`).length === n, [
      list,
      count,
    ] as const);
    return (await found.evaluateAll((all) => all.map((one) => (one as HTMLElement).dataset.id))).map(Number);
  }

  async function cut(of: string, model: string): Promise<Token[]> {
    return (await command("tokenize", of, "--model", model)).filter(({ type }) => type === "token") as unknown as Token[];
  }

  test("are the command's, counted", async () => {
    const tokens = await cut(text, "letters");
    expect(await pieces(tokens.length)).toEqual(tokens.map(({ id }) => id));
    expect((await data(page, "count-tokens"))[0].value).toBe(String(tokens.length));
    expect((await data(page, "count-bytes"))[0].value).toBe(String(Buffer.byteLength(text)));
    await page.selectOption('[data-testid="beside"]', "bytes");
    expect(await pieces(Buffer.byteLength(text), "pieces-beside")).toEqual([...Buffer.from(text)]);
    await page.selectOption('[data-testid="beside"]', "none");
  });

  test("say calmly what cannot be cut", async () => {
    await page.check('[data-testid="source"] input[value="own"]', { force: true });
    await page.fill('[data-testid="try"]', "🐘");
    await page.waitForSelector('.notice.error:has-text("🐘")');
  });

  test.skipIf(!existsSync(llama))("grow by the command's merges, with an emoji's true bytes", async () => {
    await page.fill('[data-testid="try"]', text);
    await page.setInputFiles(
      'input[type="file"]',
      ["config.json", "model.safetensors", "tokenizer.json"].map((file) => join(llama, file)),
    );
    const tokens = await cut(text, llama);
    expect(await pieces(tokens.length)).toEqual(tokens.map(({ id }) => id));

    // the first stretch that is merged at all
    const stretches = await command("tokenize", text, "--model", llama, "--merges");
    const steps = stretches[0].steps as { readonly pieces: readonly string[]; readonly rank: number }[];
    expect(steps.length).toBeGreaterThan(1);
    await page.click('[data-testid="piece"][data-at="1"]'); // 0 is the start token
    await page.waitForSelector('[data-testid="merges"] li');
    const shown = await page.$$eval('[data-testid="merges"] li', (rows) =>
      rows.map((row) => ({
        pieces: [...row.querySelectorAll(".box")].map((box) => box.textContent ?? ""),
        rule: row.querySelector(".num")?.textContent ?? "",
      })),
    );
    expect(shown.map((row) => row.pieces)).toEqual(steps.map((step) => step.pieces.map((piece) => piece.replaceAll("▁", "␣"))));
    for (const [i, { rule }] of shown.entries()) if (i > 0) expect(rule).toContain((steps[i].rank + 1).toLocaleString("en-US"));

    await page.fill('[data-testid="try"]', "👋");
    const wave = await cut("👋", llama);
    expect(await pieces(wave.length)).toEqual(wave.map(({ id }) => id));
    const hexes = await page.$$eval('[data-testid="pieces"] .hex', (all) => all.map((one) => one.textContent?.replaceAll(" ", "").toLowerCase()));
    expect(hexes).toEqual(wave.map(({ bytes }) => bytes));
    expect(hexes.join("")).toContain("f09f918b");
    await page.click(`[data-testid="piece"][data-at="${wave.length - 1}"]`);
    expect(await page.textContent('[data-testid="bytes"]')).toMatch(/8B.*10001011.*4\/4/s);
  });
});
