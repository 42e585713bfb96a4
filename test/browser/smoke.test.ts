/**
 * The library in a real browser: headless Chromium, with cross-origin isolation (threads) and without (one thread),
 * in a worker and on the page itself. Greedy tokens must be Node's own.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryTinyModel } from "../tiny-model.ts";
import { serve } from "./server.ts";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const tools = (await import(new URL("../../tools/browser.mjs", import.meta.url).href)) as { findBrowser(): string | undefined };
const browserPath = tools.findBrowser();
const missing =
  browserPath === undefined
    ? "no Chromium or Chrome found, name one in CHROME_PATH"
    : existsSync(`${dist}/index.browser.js`)
      ? ""
      : "dist/ is not built";

/** What the page or its worker does, told as a module. Answers with what it saw. */
const job = `
export async function run(address) {
  const { loadModel } = await import("/dist/index.browser.js");
  const progress = [];
  const model = await loadModel(address, { onProgress: (done, total) => progress.push(done / total) });
  const ids = [];
  let text = "";
  for await (const step of model.generate("In the beginning", { temperature: 0, maxTokens: 24 })) {
    ids.push(step.token.id);
    text += step.text;
  }
  const top = (await model.predict("In the beginning")).top(3);
  model.dispose();
  return { isolated: globalThis.crossOriginIsolated === true, device: model.info.device, ids, text, top, progress: progress.at(-1) };
}`;
const worker = `import { run } from "/job.js";
onmessage = ({ data }) => run(data).then((answer) => postMessage({ answer }), (error) => postMessage({ error: String(error?.stack ?? error) }));`;
const pages = { "/": "<!doctype html><title>Vitrine</title><link rel=icon href=data:,>", "/job.js": job, "/worker.js": worker };

/** The job as text: a function would reach the page with the test runner's own rewriting of imports in it. */
function asked(where: string, address: string): string {
  if (where === "page") return `import("/job.js").then(({ run }) => run("${address}"))`;
  return `new Promise((resolve, reject) => {
    const worker = new Worker("/worker.js", { type: "module" });
    worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data.answer) : reject(new Error(data.error)));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage("${address}");
  })`;
}

interface Answer {
  readonly isolated: boolean;
  readonly device: string;
  readonly ids: number[];
  readonly text: string;
  readonly top: { readonly id: number; readonly probability: number }[];
  readonly progress: number;
}

describe.skipIf(missing !== "")(`in headless Chromium${missing === "" ? "" : ` (skipped: ${missing})`}`, () => {
  let browser: Browser;
  let model: Awaited<ReturnType<typeof temporaryTinyModel>>;
  let expected: Answer;

  beforeAll(async () => {
    model = await temporaryTinyModel({ width: 32, layers: 3 });
    browser = await chromium.launch({
      executablePath: browserPath,
      headless: true,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
    const { loadModel } = (await import(`${dist}/index.js`)) as typeof import("../../src/index.ts");
    const engine = await loadModel(model.path);
    const ids: number[] = [];
    let text = "";
    for await (const step of engine.generate("In the beginning", { temperature: 0, maxTokens: 24 })) {
      ids.push(step.token.id);
      text += step.text;
    }
    expected = { isolated: false, device: "", ids, text, top: (await engine.predict("In the beginning")).top(3), progress: 1 };
    engine.dispose();
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await model?.remove();
  });

  test.each([
    { where: "worker", isolated: true, threads: /[2-9] threads/ },
    { where: "worker", isolated: false, threads: /1 thread/ },
    { where: "page", isolated: true, threads: /threads?/ },
    { where: "page", isolated: false, threads: /1 thread/ },
  ])("generates what Node generates, in a $where, cross-origin isolated: $isolated", { timeout: 60_000 }, async ({ where, isolated, threads }) => {
    const server = await serve({ "/dist": dist, "/model": model.path }, pages, isolated);
    const page = await browser.newPage();
    const trouble: string[] = [];
    page.on("pageerror", (error) => trouble.push(String(error)));
    try {
      await page.goto(server.address);
      const answer = await page.evaluate<Answer>(asked(where, `${server.address}/model`));
      expect(answer.isolated).toBe(isolated);
      expect(answer.device).toMatch(threads);
      expect(answer.ids).toEqual(expected.ids);
      expect(answer.text).toBe(expected.text);
      answer.top.forEach(({ id, probability }, at) => {
        expect(id).toBe(expected.top[at].id);
        expect(probability).toBeCloseTo(expected.top[at].probability, 5);
      });
      expect(answer.progress).toBe(1);
      expect(trouble).toEqual([]);
    } finally {
      await page.close();
      await server.close();
    }
  });
});
