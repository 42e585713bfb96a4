/**
 * The built studio in a real Chromium, and the command beside it: what a page shows is compared with what `vitrine ... --json` prints.
 * Without a browser or a build the tests say so and skip.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { openSite } from "../../src/server/site.ts";
import type { Site } from "../../src/server/site.ts";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));
const tools = (await import(new URL("../../tools/browser.mjs", import.meta.url).href)) as { findBrowser(): string | undefined };
const browserPath = tools.findBrowser();

/** Why these tests cannot run here; "" when they can. */
export const missing: string =
  browserPath === undefined
    ? "no Chromium or Chrome found, name one in CHROME_PATH"
    : existsSync(join(root, "dist/studio/index.html"))
      ? ""
      : "the studio is not built";

export interface Studio {
  readonly browser: Browser;
  readonly site: Site;
  /** A fresh page, not yet anywhere; messages of errors gather in `problems`. */
  page(options?: BrowserContextOptions): Promise<Page>;
  /** Opens the studio at an address behind "#" and waits until its model has read the text. */
  visit(hash: string, options?: BrowserContextOptions): Promise<Page>;
  readonly problems: string[];
  close(): Promise<void>;
}

export async function openStudio(): Promise<Studio> {
  const site = await openSite({ folder: join(root, "dist/studio"), beside: { "/models": join(root, "models") }, host: "127.0.0.1", port: 0 });
  const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
  const problems: string[] = [];
  const studio: Studio = {
    browser,
    site,
    problems,
    page: async (options = {}) => {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US", colorScheme: "dark", ...options });
      const page = await context.newPage();
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error" && !/404/.test(message.text())) problems.push(message.text());
      });
      return page;
    },
    visit: async (hash, options) => {
      const page = await studio.page(options);
      await page.goto(site.address + hash);
      await page.waitForSelector('[data-ready="true"]', { timeout: 60_000 });
      return page;
    },
    close: async () => {
      await browser.close();
      await site.close();
    },
  };
  return studio;
}

/** What the tape says: ids with the model's probability and the one they were drawn with. */
export function tape(page: Page): Promise<{ id: number; p: number; drawn: number }[]> {
  return page.$$eval('[data-testid="tape-token"]', (tokens) =>
    tokens.map((token) => {
      const { id, p, drawn } = (token as HTMLElement).dataset;
      return { id: Number(id), p: Number(p), drawn: Number(drawn) };
    }),
  );
}

/** Lines of `vitrine ARGS --json` on the kernels that the page uses. */
export async function command(...args: string[]): Promise<Record<string, unknown>[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, "bin/vitrine.js"), ...args, "--json", "--device", "wasm"], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
