/** `node tools/screenshots.mjs [MODEL]`: every panel of the built studio, desktop and phone, dark and light, into docs/studio/. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { findBrowser } from "./browser.mjs";
import { root, setUp } from "./setup.mjs";

setUp();
const { openSite, studioFolders } = await import(await (await import("./run.mjs")).bundle("src/server/site.ts"));
const model = process.argv[2] ?? "storyteller";
const out = join(root, "docs/studio");
mkdirSync(out, { recursive: true });
const { site: folder, models } = studioFolders(root);
const site = await openSite({ folder, beside: { "/models": models }, host: "127.0.0.1", port: 0 });
const browser = await chromium.launch({ executablePath: findBrowser(), args: ["--no-sandbox"] });
const sizes = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const panels = ["write", "distribution", "tokens", "flow", "lens", "matrices", "context"];
/** What is opened before the picture is taken, so that it shows what the panel can do. */
const open = { flow: '[data-testid="flow-attention-open"]' };
for (const theme of ["dark", "light"])
  for (const [size, viewport] of Object.entries(sizes)) {
    const context = await browser.newContext({ viewport, colorScheme: theme, locale: "en-US", reducedMotion: "reduce" });
    const page = await context.newPage();
    await page.goto(`${site.address}#write?m=${model}&p=${encodeURIComponent("Once upon a time, there was a")}&s=3&l=1`);
    await page.waitForSelector('[data-ready="true"]', { timeout: 120_000 });
    for (let i = 0; i < 14; i++) {
      const count = await page.locator('[data-testid="tape-token"]').count();
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction((n) => document.querySelectorAll('[data-testid="tape-token"]').length > n, count, { timeout: 30_000 });
    }
    for (const [i, panel] of panels.entries()) {
      await page.evaluate(() => document.activeElement?.blur());
      await page.keyboard.press(String(i + 1));
      await page.waitForTimeout(2500);
      if (open[panel] && size === "desktop")
        await page
          .locator(open[panel])
          .nth(1)
          .click({ timeout: 5000 })
          .catch(() => undefined);
      if (size === "desktop" && (panel === "write" || panel === "distribution"))
        await page
          .locator('#panel [data-testid="bar-row"] .num')
          .first()
          .click()
          .catch(() => undefined);
      await page.waitForTimeout(2000);
      await page.screenshot({ path: join(out, `${panel}-${size}-${theme}.png`) });
      await page.keyboard.press("Escape");
    }
    await context.close();
  }
await browser.close();
await site.close();
