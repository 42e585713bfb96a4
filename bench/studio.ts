/**
 * The studio's latencies in a real Chromium, against its budgets: first paint, bytes before the model, slider to bars, hover card, tasks that
 * block the page while it writes, and memory over 2,000 tokens with all panels in turn. Software rendering: a real screen is faster.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import type { Page } from "playwright-core";
import { openSite, studioFolders } from "../src/server/site.ts";
import { numberOption, textOption } from "./_machine.ts";
import { finish, showTable, spread } from "./_report.ts";

export const name = "studio";
export const description = "the web app's latencies in Chromium: first paint, slider to bars, hover card, blocked tasks, memory over 2,000 tokens";

const model = textOption("model") ?? "storyteller";
const moves = numberOption("moves", 120);
const tokens = numberOption("tokens", 2000);
const prompt = encodeURIComponent("Once upon a time, there was a");

async function run(): Promise<void> {
  const { findBrowser } = (await import(pathToFileURL(join(process.cwd(), "tools/browser.mjs")).href)) as { findBrowser(): string | undefined };
  const executablePath = findBrowser();
  if (executablePath === undefined) throw new Error("bench: no Chromium or Chrome; install one or name it in CHROME_PATH");
  const root = process.cwd();
  const { site: folder, models } = studioFolders(root);
  const site = await openSite({ folder, beside: { "/models": models }, host: "127.0.0.1", port: 0 });
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const fresh = async (hash = ""): Promise<Page> => {
    const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US" })).newPage();
    await page.addInitScript(() => {
      Object.assign(globalThis, { longTasks: [] });
      new PerformanceObserver((list) =>
        (globalThis as unknown as { longTasks: number[] }).longTasks.push(...list.getEntries().map((e) => e.duration)),
      ).observe({
        type: "longtask",
        buffered: true,
      });
    });
    await page.addInitScript({ content: costOf });
    await page.goto(site.address + hash);
    return page;
  };
  try {
    const rows = [
      ...(await firstPaint(fresh)),
      await sliderToBars(await fresh(`#distribution?m=${model}&p=${prompt}`)),
      await hoverCard(await fresh(`#write?m=${model}&p=${prompt}`)),
      ...(await writing(await fresh(`#write?m=${model}&p=${prompt}`))),
    ];
    showTable(
      ["", "measured", "budget", ""],
      rows.map(({ what, value, unit, budget }) => [
        what,
        `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`,
        `${budget} ${unit}`,
        value <= budget ? "kept" : "MISSED",
      ]),
    );
    finish(name, { model, rows });
  } finally {
    await browser.close();
    await site.close();
  }
}

interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly budget: number;
}

const ready = (page: Page): Promise<unknown> => page.waitForSelector('[data-ready="true"]', { timeout: 120_000 });
const p95 = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.95) - 1];

/** Five cold visits: the first words on screen, and what came over the wire (compressed) that is not a model. */
async function firstPaint(fresh: (hash?: string) => Promise<Page>): Promise<Row[]> {
  const paints: number[] = [];
  let bytes = 0;
  for (let round = 0; round < 5; round++) {
    const page = await fresh();
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
    if (round === 0) {
      await page.waitForSelector('[data-testid="tape-token"]', { timeout: 60_000 });
      const urls = await page.evaluate(() => [location.href.split("#")[0], ...performance.getEntriesByType("resource").map((entry) => entry.name)]);
      const kernels = new URL("kernels/kernels-relaxed.wasm", page.url()).href; // fetched by the worker, which the page does not list
      for (const url of new Set([...urls, kernels])) if (url.startsWith("http") && !/\/models\/[^/]+\//.test(url)) bytes += await compressed(url);
    }
    await page.context().close();
  }
  return [
    { what: "first paint, median of 5 cold visits", value: spread(paints).median, unit: "ms", budget: 1500 },
    { what: "everything but the model, gzip", value: bytes / 1e6, unit: "MB", budget: 3 },
  ];
}

async function compressed(url: string): Promise<number> {
  const answer = await fetch(url);
  return answer.ok ? gzipSync(Buffer.from(await answer.arrayBuffer())).length : 0;
}

/**
 * What a change costs the page: its handlers and what they schedule at once, then all of the next frame's work (callbacks, style, layout).
 * Waiting for the screen between the two does not count.
 */
const costOf = `globalThis.costOf = async (change) => {
  const began = performance.now();
  change();
  await Promise.resolve();
  const handled = performance.now() - began;
  const frame = await new Promise((resolve) => requestAnimationFrame(() => {
    const start = performance.now();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(performance.now() - start);
    port2.postMessage(0);
  }));
  return handled + frame;
}`;

/** The temperature moves; the time until the bars have their new widths. */
async function sliderToBars(page: Page): Promise<Row> {
  await ready(page);
  await page.waitForSelector('[data-testid="bar-row"]', { timeout: 60_000 });
  const times = await page.evaluate(async (count) => {
    const cost = (globalThis as unknown as { costOf(change: () => void): Promise<number> }).costOf;
    const slider = document.querySelector<HTMLInputElement>("#temperature")!;
    const found: number[] = [];
    for (let i = 1; i <= count; i++)
      found.push(
        await cost(() => {
          slider.value = String((i * 0.35) % 10);
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }),
      );
    return found;
  }, moves);
  await page.context().close();
  return { what: "slider to bars, p95", value: p95(times), unit: "ms", budget: 16 };
}

/** The pointer enters one token of the text after another; the time until its distribution stands there. */
async function hoverCard(page: Page): Promise<Row> {
  await ready(page);
  await page.waitForSelector(".prose [data-at]", { timeout: 60_000 });
  const times = await page.evaluate(async (count) => {
    const cost = (globalThis as unknown as { costOf(change: () => void): Promise<number> }).costOf;
    const found: number[] = [];
    for (let i = 0; i < count; i++) {
      const all = document.querySelectorAll(".prose [data-at]");
      const token = all[i % all.length];
      found.push(
        await cost(() => {
          for (const name of ["pointerover", "pointerenter", "mouseover", "mouseenter"])
            token.dispatchEvent(new PointerEvent(name, { bubbles: name.endsWith("over"), pointerType: "mouse" }));
        }),
      );
    }
    return found;
  }, moves);
  await page.context().close();
  return { what: "hover to card, p95", value: p95(times), unit: "ms", budget: 50 };
}

/**
 * Plays on, with another panel every 50 tokens and another story where one ends: tasks that block the page, and memory that stays after
 * the garbage is gone. All stories stay in the tree.
 */
async function writing(page: Page): Promise<Row[]> {
  await ready(page);
  const session = await page.context().newCDPSession(page);
  const heap = async (): Promise<number> => {
    await session.send("HeapProfiler.collectGarbage");
    return ((await session.send("Runtime.getHeapUsage")) as { usedSize: number }).usedSize;
  };
  const count = (): Promise<number> => page.evaluate(() => Number(document.querySelector<HTMLElement>(".tape .next")!.dataset.at));
  const keys = async (...pressed: string[]): Promise<void> => {
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    for (const key of pressed) await page.keyboard.press(key);
  };
  const playing = (): Promise<boolean> => page.evaluate(() => document.querySelector<HTMLElement>(".tape .play")!.dataset.playing === "true");
  const begin = await count();
  /** Takes the whole text back as a key would, and draws another way on behind the prompt; the old one stays in the tree. */
  const another = async (have: number): Promise<void> => {
    await page.evaluate((times) => {
      const press = (key: string): boolean => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      for (let i = 0; i < times; i++) press("Backspace");
      press("r");
    }, have - begin);
    await page.waitForFunction((length) => Number(document.querySelector<HTMLElement>(".tape .next")!.dataset.at) === length, begin + 1);
  };
  let written = 0;
  const until = async (wanted: number): Promise<void> => {
    let [panel, turned, have, stood] = [0, written, await count(), -1];
    while (written < wanted) {
      if (!(await playing())) {
        if (have === stood) await another(have); // the story has ended
        stood = have = await count();
        await keys(" ");
      }
      await page.waitForTimeout(250);
      const now = await count();
      written += now - have;
      have = now;
      if (written - turned < 50) continue;
      await keys(String((++panel % 7) + 1));
      turned = written;
    }
    if (await playing()) await keys(" ");
  };
  /** The page's own JavaScript, and everything: page, worker, and the engine's memory. */
  const settle = async (): Promise<{ readonly page: number; readonly all: number }> => {
    await keys("1");
    await page.waitForTimeout(1000);
    const all = await page.evaluate(async () => {
      const { measureUserAgentSpecificMemory } = performance as unknown as { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> };
      return (await measureUserAgentSpecificMemory?.call(performance))?.bytes ?? NaN;
    });
    return { page: await heap(), all };
  };
  await page.evaluate(() => ((globalThis as unknown as { longTasks: number[] }).longTasks.length = 0));
  await page.keyboard.press("Space");
  await page.waitForTimeout(15_000);
  await page.keyboard.press("Space");
  const longest = await page.evaluate(() => Math.max(0, ...(globalThis as unknown as { longTasks: number[] }).longTasks));
  await page.locator('[data-testid="speed"]').evaluate((slider: HTMLInputElement) => {
    slider.value = slider.max;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await until(Math.round(tokens / 4));
  const early = await settle();
  await until(tokens);
  const late = await settle();
  await page.context().close();
  const stretch = `from ${Math.round(tokens / 4)} to ${tokens} tokens, a token`;
  return [
    { what: "longest task on the page while it writes for 15 s", value: longest, unit: "ms", budget: 50 },
    { what: `the page's memory ${stretch}`, value: (late.page - early.page) / 1e3 / (tokens * 0.75), unit: "kB", budget: 16 },
    { what: `all memory, worker and engine too, ${stretch}`, value: (late.all - early.all) / 1e3 / (tokens * 0.75), unit: "kB", budget: 16 },
  ];
}

await run();
