/**
 * `node tools/screenshots.mjs [MODEL]`: every panel of the built studio, desktop and phone, dark and light, into docs/studio/.
 * For looking while working: --only flow,lens --size desktop --theme dark --language zh --prompt TEXT --out DIR.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { findBrowser } from "./browser.mjs";
import { root, setUp } from "./setup.mjs";

const text = { type: "string" };
const { values: asked, positionals } = parseArgs({
  options: { only: text, size: text, theme: text, language: text, prompt: text, out: text, steps: text },
  allowPositionals: true,
});
const model = positionals[0] ?? "storyteller";
const out = asked.out ?? join(root, "docs/studio");
const sizes = {
  desktop: { width: 1440, height: 900 },
  phone: { width: 390, height: 844 },
  small: { width: 1024, height: 768 },
  wide: { width: 1920, height: 1080 },
};

/** Pictures: the panel, and what is opened first, so that it shows what the panel can do. */
const pictures = {
  write: async (page, desk) => {
    await branch(page);
    if (desk) await click(page, '#panel [data-testid="bar-row"] .num');
  },
  distribution: async (page, desk) => desk && (await click(page, '#panel [data-testid="bar-row"] .num')),
  tokens: async (page) => await click(page, '[data-testid="piece"][data-at="8"]'),
  flow: async (page, desk) => desk && (await click(page, '[data-testid="flow-attention"][data-layer="1"]')),
  lens: async () => undefined,
  matrices: async () => undefined,
  matrix: async (page) => {
    await click(page, '[data-testid="open-Query"]');
    await page.waitForSelector('[data-testid="matrix-statistics"]');
  },
  context: async (page) => {
    await page.fill('[data-testid="context-number"]', "4");
    await page.keyboard.press("Enter");
    await click(page, '[data-testid="curve-start"]');
  },
};
const panels = ["write", "distribution", "tokens", "flow", "lens", "matrices", "context"];
const listed = (name, all) => asked[name]?.split(",") ?? all;

/** What is not there in this state of the panel is not opened. */
async function click(page, selector) {
  await page
    .locator(selector)
    .first()
    .click({ timeout: 5000 })
    .catch(() => undefined);
}

async function stepsOnTape(page, steps) {
  for (let i = 0; i < steps; i++) {
    const count = await page.locator('[data-testid="tape-token"]').count();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((n) => document.querySelectorAll('[data-testid="tape-token"]').length > n, count, { timeout: 30_000 });
  }
}

/** Two more stories beside the first, from other candidates. */
async function branch(page) {
  if ((await page.locator('[data-testid="branch"]').count()) !== 1) return;
  for (const [at, candidate] of [
    [12, 1],
    [17, 2],
  ]) {
    await page.locator(`[data-testid="tape-token"][data-at="${at}"]`).click();
    await page.waitForTimeout(800);
    await page.locator('#panel [data-testid="bar-row"] .pick').nth(candidate).click();
    await page.waitForTimeout(800);
    await page.evaluate(() => document.activeElement?.blur());
    await stepsOnTape(page, 5);
    await page.locator('[data-testid="branch"]').first().click();
    await page.waitForTimeout(800);
  }
}

setUp();
const { openSite, studioFolders } = await import(await (await import("./run.mjs")).bundle("src/server/site.ts"));
mkdirSync(out, { recursive: true });
const { site: folder, models } = studioFolders(root);
const site = await openSite({ folder, beside: { "/models": models }, host: "127.0.0.1", port: 0 });
const browser = await chromium.launch({ executablePath: findBrowser(), args: ["--no-sandbox"] });
const locale = asked.language === "zh" ? "zh-CN" : "en-US";
const prompt = asked.prompt ?? "Once upon a time, there was a";
for (const theme of listed("theme", ["dark", "light"]))
  for (const size of listed("size", ["desktop", "phone"])) {
    const context = await browser.newContext({ viewport: sizes[size], colorScheme: theme, locale, reducedMotion: "reduce" });
    const page = await context.newPage();
    await page.goto(`${site.address}#write?m=${model}&p=${encodeURIComponent(prompt)}&s=3&l=1`);
    await page.waitForSelector('[data-ready="true"]', { timeout: 120_000 });
    await stepsOnTape(page, Number(asked.steps ?? 14));
    for (const name of listed("only", Object.keys(pictures))) {
      await page.evaluate(() => document.activeElement?.blur());
      await page.keyboard.press(String(panels.indexOf(name === "matrix" ? "matrices" : name) + 1));
      await page.waitForTimeout(1500);
      await pictures[name](page, size !== "phone");
      await page.mouse.move(sizes[size].width / 2, 100);
      await page.evaluate((top) => top && document.querySelector("main").scrollTo(0, 0), size === "phone");
      await page.evaluate(() => document.activeElement?.blur());
      await page.waitForTimeout(2000);
      await page.screenshot({ path: join(out, `${name}-${size}-${theme}.png`) });
      await page.evaluate(() => document.activeElement?.blur());
      await page.keyboard.press("Escape");
    }
    await context.close();
  }
await browser.close();
await site.close();
