/** Models of one's own in a real browser: opened from files, kept on the device, and calm words for what is none. */
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, missing, openStudio, prompt, root, tape, tapeOf } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const input = 'input[type="file"]';
const files = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

describe.skipIf(missing !== "")("a model of one's own", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vitrine-own-"));
    studio = await openStudio();
    page = await studio.visit("#write?m=letters&p=The%20king&t=0");
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
    await rm(folder, { recursive: true });
  });

  const named = (name: string): Promise<unknown> =>
    page.waitForFunction((wanted) => document.querySelector("button.model .name")?.textContent === wanted, name);
  async function menu(): Promise<string[]> {
    await page.click("button.model");
    await page.waitForSelector(".menu-row");
    return page.locator(".menu-row").allTextContents();
  }
  /** What is said about these files, while the model that was open stays. */
  async function refused(paths: readonly string[], said: RegExp): Promise<void> {
    await page.setInputFiles(input, [...paths]);
    await page.locator(".notice.error", { hasText: said }).waitFor();
    await named("letters");
    expect((await tape(page)).length).toBe(8);
    await page.locator(".notice.error", { hasText: said }).locator("button").click();
  }

  test("is refused calmly when it is no model, or cannot be held", async () => {
    const [notes, config, weights] = ["notes.txt", "config.json", "model.safetensors"].map((file) => join(folder, file));
    await writeFile(notes, "not a model");
    await refused([notes], /notes\.txt: not a model/);
    await writeFile(config, '{"model_type": "gpt2", "n_layer":');
    await writeFile(weights, "zzzzzzzz");
    await refused([config, weights], /config\.json/);
    await truncate(weights, 2_300_000_000); // holes: takes no room on the disk
    await refused([config, weights], /is 2\.3 GB; a page can hold 2\.1 GB/);
    await page.click('[data-testid="one"]');
    await tapeOf(page, 9);
  });

  test("is opened, kept, and there again after a reload", async () => {
    await page.setInputFiles(
      input,
      files.map((file) => join(root, "models/letters", file)),
    );
    await page.locator(".notice", { hasText: "my-model is kept on this device" }).waitFor();
    await named("my-model");
    await prompt(page, "The kings");
    await tapeOf(page, 9);
    await page.click('[data-testid="one"]');
    await tapeOf(page, 10);
    const [, step] = await command("generate", "The kings", "--model", "letters", "--temperature", "0", "--max-tokens", "1");
    expect((await tape(page)).at(-1)).toMatchObject({ id: step.id, p: expect.closeTo(step.probability as number, 4) });

    await page.waitForFunction(() => location.hash.includes("m=my-model") && location.hash.includes("x="));
    await page.reload();
    await named("my-model"); // from the address
    await tapeOf(page, 10);
    const rows = await menu();
    expect(rows.filter((row) => row.includes("my-model"))).toHaveLength(1);
    expect(rows.find((row) => row.includes("my-model"))).toMatch(/9\d\d kB · kept on this device/);
    await page.click('.menu-item:has-text("letters")');
    await named("letters");
  });

  test("is forgotten when asked", async () => {
    await menu();
    await page.click('.menu-item[aria-label="Forget my-model"]');
    await page.waitForSelector(".menu-row", { state: "detached" });
    expect((await menu()).filter((row) => row.includes("my-model"))).toEqual([]);
    await page.keyboard.press("Escape");
  });
});
