/** What can go wrong while using the studio, provoked in a real browser: each time a calm message in place, and nothing is lost. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CDPSession, Page } from "playwright-core";
import { command, data, missing, openStudio, prompt, root, tape, tapeOf } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const letters = join(root, "models/letters");
const lettersFiles = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].map((file) =>
  join(letters, file),
);
const text = "The king is";

/** Switches that a test turns in the page, to have the browser refuse or wait. */
declare global {
  // eslint-disable-next-line no-var
  var refuseFiles: boolean, holdWriting: Promise<void> | undefined, letGo: () => void;
}

describe.skipIf(missing !== "")("bad input", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  let browser: CDPSession;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vitrine-bad-"));
    studio = await openStudio();
    page = await studio.page({ reducedMotion: "reduce" });
    page.setDefaultTimeout(15_000);
    await page.addInitScript(() => {
      Object.defineProperty(globalThis, "localStorage", {
        get: () => {
          throw new DOMException("refused", "SecurityError");
        },
      });
      const { getDirectory } = navigator.storage;
      navigator.storage.getDirectory = () =>
        globalThis.refuseFiles ? Promise.reject(new DOMException("refused", "SecurityError")) : getDirectory.call(navigator.storage);
      const { close } = FileSystemWritableFileStream.prototype;
      FileSystemWritableFileStream.prototype.close = async function () {
        await globalThis.holdWriting;
        return close.call(this);
      };
    });
    await page.route(/\/assets\/Tokens-/, (route) => route.abort());
    await page.goto(`${studio.site.address}#write?m=letters&p=${encodeURIComponent(text)}&t=0`);
    await page.waitForSelector('[data-ready="true"]', { timeout: 60_000 });
    browser = await page.context().newCDPSession(page);
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems.filter((problem) => !/net::ERR_|Failed to load resource/.test(problem))).toEqual([]);
    await studio.close();
    await rm(folder, { recursive: true });
  });

  const named = (name: string, on = page): Promise<unknown> =>
    on.waitForFunction((wanted) => document.querySelector("button.model .name")?.textContent === wanted, name);
  const errors = (): Promise<(string | null)[]> => page.$$eval(".notice.error", (all) => all.map((one) => one.textContent));
  const open = (on = page): Promise<void> => on.setInputFiles('input[type="file"]', lettersFiles);

  /** What is said in place, and then put away. */
  async function said(words: RegExp, on = page): Promise<void> {
    const notice = on.locator(".notice", { hasText: words });
    await notice.waitFor();
    const [panel, box, strip] = await Promise.all([on.locator("main"), notice, on.locator(".strip")].map((one) => one.boundingBox()));
    expect(box!.y, "it does not lie over the panel").toBeGreaterThanOrEqual(panel!.y + panel!.height);
    expect(box!.y + box!.height, "nor over the tape").toBeLessThanOrEqual(strip!.y);
    await notice.locator("button").click();
  }

  /** Another token can be drawn: nothing is stuck. */
  async function goesOn(on = page): Promise<void> {
    await on.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    const before = await tape(on);
    await on.keyboard.press("ArrowRight");
    await tapeOf(on, before.length + 1);
    expect((await tape(on)).slice(0, -1)).toEqual(before);
    await on.keyboard.press("Backspace");
    await tapeOf(on, before.length);
  }

  /** Every panel shows something, and none has anything to complain about. */
  async function allPanels(): Promise<void> {
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    for (let key = 1; key <= 7; key++) {
      await page.keyboard.press(String(key));
      await page.waitForSelector(`[role="tab"]:nth-child(${key})[aria-selected="true"]`);
      await page.waitForFunction(() => (document.querySelector("#panel")?.textContent ?? "").trim().length > 40);
      expect(await page.locator("#panel .failure").count(), `panel ${key}`).toBe(0);
    }
    expect(await errors()).toEqual([]);
    await page.keyboard.press("1");
  }

  /** As a hand does it, with real files and folders. */
  async function dropOf(path: string): Promise<void> {
    const drag = { x: 500, y: 400, data: { items: [], files: [path], dragOperationsMask: 1 } };
    for (const type of ["dragEnter", "dragOver", "drop"] as const) await browser.send("Input.dispatchDragEvent", { type, ...drag });
  }

  test("a panel that cannot be fetched says so, and comes when asked again", async () => {
    await page.click("#tab-tokens");
    const gone = page.locator("#panel [role=alert]");
    expect(await gone.textContent()).toMatch(/Tokens could not be fetched: no network.*still here/);
    await gone.locator("button").click();
    await gone.waitFor();
    await goesOn();
    await page.unroute(/\/assets\/Tokens-/);
    await gone.locator("button").click();
    await page.waitForSelector('[data-testid="piece"]');
    expect((await data(page, "piece")).length).toBe(text.length);
    expect(await page.$eval('[data-testid="piece"]', (piece) => getComputedStyle(piece).display)).not.toBe("inline");
    await page.keyboard.press("1");
  });

  test("a dropped file that is no model", async () => {
    const notes = join(folder, "notes.txt");
    await writeFile(notes, "not a model");
    await writeFile(join(folder, "more.txt"), "nor is this");
    await dropOf(notes);
    await said(/notes\.txt: not a model\. Drop a Hugging Face folder: config\.json, model\.safetensors/);
    await dropOf(folder);
    await said(/vitrine-bad-.*: not a model/);
    await named("letters");
    await goesOn();
  });

  test("storage refused: the model is open all the same", async () => {
    await page.evaluate(() => (globalThis.refuseFiles = true));
    await open();
    await said(/keeps no files for this page, so my-model is open only until you leave/);
    await named("my-model");
    await tapeOf(page, text.length);
    await goesOn();
    await page.evaluate(() => (globalThis.refuseFiles = false));
  });

  test("storage full: how much room there would have to be, and how to make it", async () => {
    const { origin } = new URL(studio.site.address);
    await browser.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 200_000 });
    await open();
    await said(/no room for 9\d\d kB more, so my-model is open only until you leave\. Forget a model/);
    await browser.send("Storage.overrideQuotaForOrigin", { origin });
    await tapeOf(page, text.length);
    await goesOn();
  });

  test("a dropped folder is opened, and does not hide behind a model of the same name; the page can be used while it is kept", async () => {
    await page.evaluate(() => void (globalThis.holdWriting = new Promise((resolve) => (globalThis.letGo = resolve))));
    await dropOf(letters);
    await named("letters-2");
    expect(await page.getAttribute("progress", "aria-label")).toBe("Keeping letters-2 on this device");
    await goesOn();
  });

  test("a second tab that keeps the same model waits for nobody", async () => {
    const second = await page.context().newPage();
    await second.goto(`${studio.site.address}#write?m=letters&p=${encodeURIComponent(text)}&t=0`);
    await second.waitForSelector('[data-ready="true"]', { timeout: 60_000 });
    const twin = await page.context().newCDPSession(second);
    const drag = { x: 500, y: 400, data: { items: [], files: [letters], dragOperationsMask: 1 } };
    for (const type of ["dragEnter", "dragOver", "drop"] as const) await twin.send("Input.dispatchDragEvent", { type, ...drag });
    await said(/Another tab is keeping letters-2 just now; it is open here all the same/, second);
    await named("letters-2", second);
    await goesOn(second);
    await page.evaluate(() => globalThis.letGo());
    await said(/letters-2 is kept on this device/);

    await second.click("button.model");
    await second.waitForSelector('.menu-item[aria-label="Forget letters-2"]');
    expect((await second.locator(".menu-row").allTextContents()).filter((row) => row.includes("letters-2"))).toHaveLength(1);
    await second.click('.menu-item[aria-label="Forget letters-2"]');
    await second.waitForFunction(async () => {
      const models = await (await navigator.storage.getDirectory()).getDirectoryHandle("models");
      return models.getDirectoryHandle("letters-2").then(
        () => false,
        () => true,
      );
    });
    await second.close();
    await goesOn();
  });

  test("a link to a model that is not here: what to do, and the text stays", async () => {
    await page.waitForFunction(() => location.hash.includes("m=letters-2"));
    await page.reload();
    await page.waitForSelector('[data-ready="true"]', { timeout: 60_000 });
    await said(/asks for the model letters-2, which is not on this device/);
    await named("storyteller");
    expect(await page.inputValue("#prompt")).toBe(text);
    await goesOn();
  });

  test("no WebAssembly at all: why nothing can be computed, and the text stays", async () => {
    const bare = await studio.page();
    await bare.route(/engine-worker/, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: `delete globalThis.WebAssembly;\n${await answer.text()}` });
    });
    await bare.goto(`${studio.site.address}#write?p=${encodeURIComponent(text)}`);
    await bare.locator("#panel [role=alert]", { hasText: "this browser runs no WebAssembly here" }).waitFor();
    expect(await bare.inputValue("#prompt")).toBe(text);
    await bare.context().close();
  });

  test("an empty prompt: the model begins by itself", async () => {
    await prompt(page, "");
    await tapeOf(page, 1);
    const [, step] = await command("generate", "", "--model", "storyteller", "--temperature", "0", "--max-tokens", "1");
    await goesOn();
    await page.keyboard.press("ArrowRight");
    await tapeOf(page, 2);
    expect((await tape(page))[1].id).toBe(step.id);
    await allPanels();
  });

  test("a prompt longer than the context: what is not seen is shown, and kept", async () => {
    const long = "There was a little dog who liked to sit in the sun. ".repeat(40).trim();
    await prompt(page, long);
    const seen = page.locator('[data-testid="sees"]');
    await seen.waitFor();
    const length = Number(await page.getAttribute(".tape .next", "data-at"));
    expect(length).toBeGreaterThan(300);
    expect(await seen.textContent()).toBe(`The model sees the last 256 of ${length} tokens`);
    await page.$eval(".strip", (strip) => strip.scrollTo(0, 0));
    await page.waitForSelector('[data-testid="tape-token"].gone');
    expect(await page.inputValue("#prompt")).toBe(long);
    await allPanels();
    await page.keyboard.press("7");
    await page.locator("#panel", { hasText: "longer than the model can look back: both sides see its last 256 tokens" }).waitFor();
    await page.keyboard.press("1");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((n) => document.querySelector(".tape .next")?.getAttribute("data-at") === String(n), length + 1);
    const [, step] = await command("generate", long, "--model", "storyteller", "--temperature", "0", "--max-tokens", "1");
    expect((await tape(page)).at(-1)!.id).toBe(step.id);
  });

  test("emoji and right-to-left text: whole characters, in their own direction", async () => {
    const mixed = "שלום 👋🏽 مرحبا, said the king.";
    await prompt(page, mixed);
    const ids = (await command("tokenize", mixed, "--model", "storyteller")).filter(({ type }) => type === "token").map(({ id }) => id);
    await tapeOf(page, ids.length);
    expect((await tape(page)).map(({ id }) => id)).toEqual(ids);
    const shown = (await page.locator('[data-testid="tape-token"] .text').allTextContents()).join("");
    for (const character of "שלום👋🏽مرحبا") expect(shown).toContain(character);
    expect(shown).not.toContain("\u{fffd}");
    for (const place of ["#prompt", '[data-testid="prose"]'])
      expect(await page.$eval(place, (element) => getComputedStyle(element).direction)).toBe("rtl");
    await allPanels();
    await goesOn();
  });

  test("a model that cannot read the text does not take it away", async () => {
    const before = await tape(page);
    await page.click("button.model");
    await page.click('.menu-item:has-text("letters")');
    await said(/the vocabulary has no token for the character/);
    await named("storyteller");
    expect(await tape(page)).toEqual(before);
    await goesOn();
    const link = await studio.page();
    await link.goto(`${studio.site.address}#write?p=${encodeURIComponent("שלום")}`);
    await named("storyteller", link);
    await link.waitForFunction(() => document.querySelectorAll('[data-testid="tape-token"]').length > 0);
    expect(await link.locator("#panel [role=alert]").count()).toBe(0);
    await link.context().close();
  });

  test("the network goes: everything that is here goes on, a model of one's own too, and what is not is told", async () => {
    await prompt(page, text);
    await page.waitForFunction((n) => document.querySelectorAll('[data-testid="tape-token"]').length < n, text.length);
    await page.waitForLoadState("networkidle");
    await studio.site.close();
    await allPanels();
    await goesOn();
    await open();
    await named("my-model");
    await said(/my-model is kept on this device/);
    await tapeOf(page, text.length);
    await page.click("button.model");
    await page.click('.menu-item:has-text("storyteller")');
    await said(/models\/storyteller\/.*: cannot be fetched \(no network/);
    await named("my-model");
    expect(await page.inputValue("#prompt")).toBe(text);
    await tapeOf(page, text.length);
    await goesOn();
  });
});
