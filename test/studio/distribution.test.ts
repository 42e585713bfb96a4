/** The distribution in a real browser: bars, filters, search and the lecture's example show the numbers of the command and of the lecture. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, data, missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

interface Candidate {
  readonly id: number;
  readonly text: string;
  readonly logit: number;
  readonly probability: number;
}
interface Step {
  readonly id: number;
  readonly sampledFrom: number;
  readonly top: readonly Candidate[];
  readonly rest: number;
}

const prompt = "Once upon a time, there was a";
const sum = (numbers: readonly number[]): number => numbers.reduce((total, x) => total + x, 0);

/** The one step of `vitrine generate`, with the `show` likeliest tokens. */
async function step(show: number, ...flags: string[]): Promise<Step> {
  const lines = await command("generate", prompt, "--model", "letters", "--max-tokens", "1", "--seed", "11", "--show", String(show), ...flags);
  return lines.find(({ type }) => type === "step") as unknown as Step;
}

/** softmax(logits / T), written down a second time; T = 0 gives everything to the first of the largest. */
function softmax(candidates: readonly Candidate[], T: number): Map<number, number> {
  const most = Math.max(...candidates.map(({ logit }) => logit));
  const best = candidates.find(({ logit }) => logit === most)?.id;
  const weight = ({ id, logit }: Candidate): number => (T === 0 ? Number(id === best) : Math.exp((logit - most) / T));
  const total = sum(candidates.map(weight));
  return new Map(candidates.map((candidate) => [candidate.id, weight(candidate) / total]));
}

async function sumsToOne(page: Page): Promise<void> {
  const rows = await data(page, "bar-row");
  const [rest] = await data(page, "rest-row");
  for (const column of ["tempered", "drawn"]) expect(sum(rows.map((row) => Number(row[column]))) + Number(rest[column])).toBeCloseTo(1, 6);
}

/** Presses a switch of choices. */
const choose = (page: Page, choices: string, value: string): Promise<void> =>
  page.check(`[data-testid="${choices}"] input[value="${value}"]`, { force: true });

describe.skipIf(missing !== "")("the distribution", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  /** All 74 of them. */
  let all: Step;
  beforeAll(async () => {
    studio = await openStudio();
    [page, all] = await Promise.all([
      studio.visit(`#distribution?m=letters&p=${encodeURIComponent(prompt)}&t=1&s=11`),
      step(1000, "--temperature", "1"),
    ]);
    await page.waitForSelector('[data-testid="bars"][aria-busy="false"] [data-testid="bar-row"]');
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  test("has the command's 20 likeliest tokens, and what is left", async () => {
    const shown = await step(20, "--temperature", "1");
    const rows = await data(page, "bar-row");
    expect(rows.map(({ id }) => Number(id))).toEqual(shown.top.map(({ id }) => id));
    for (const [i, { logit, probability }] of shown.top.entries()) {
      expect(Number(rows[i].logit)).toBeCloseTo(logit, 3);
      expect(Number(rows[i].p)).toBeCloseTo(probability, 5);
    }
    const [rest] = await data(page, "rest-row");
    expect(Number(rest.tempered)).toBeCloseTo(shown.rest, 5);
    expect(Number(rest.count)).toBe(all.top.length - 20);
    await sumsToOne(page);
  });

  test.each([0, 1, 5])("moves its bars to T = %d without asking the model again", async (temperature) => {
    const slider = page.getByTestId("slider-temperature");
    await slider.fill(String(temperature));
    await page.waitForFunction((t) => document.querySelector("#temperature-value")?.textContent === t.toFixed(2), temperature);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const { id, sampledFrom } = await step(1, "--temperature", String(temperature));
    const expected = softmax(all.top, temperature);
    const rows = await data(page, "bar-row");
    for (const row of rows) {
      expect(Number(row.tempered)).toBeCloseTo(expected.get(Number(row.id))!, 5);
      expect(Number(row.drawn)).toBeCloseTo(expected.get(Number(row.id))!, 5);
    }
    expect(expected.get(id)).toBeCloseTo(sampledFrom, 5);
    await sumsToOne(page);
  });

  test("lays out only what moves when a slider does", async () => {
    const tracing = await page.context().newCDPSession(page);
    const layouts: boolean[] = [];
    tracing.on("Tracing.dataCollected", ({ value }) => {
      for (const { name, args } of value as unknown as readonly { name: string; args?: { beginData?: { partialLayout: boolean } } }[])
        if (name === "Layout" && args?.beginData) layouts.push(args.beginData.partialLayout);
    });
    await tracing.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["devtools.timeline"] } });
    for (const slider of ["#temperature", '[data-testid="slider-temperature"]'])
      await page.evaluate(async (selector) => {
        const input = document.querySelector<HTMLInputElement>(selector)!;
        for (let i = 1; i <= 6; i++) {
          input.value = String(1 + i * 0.35);
          input.dispatchEvent(new Event("input", { bubbles: true }));
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        }
      }, slider);
    const ended = new Promise((done) => tracing.once("Tracing.tracingComplete", done));
    await tracing.send("Tracing.end");
    await ended;
    await tracing.detach();
    expect(layouts.length).toBeGreaterThanOrEqual(12);
    expect(layouts.filter((partial) => !partial).length).toBeLessThanOrEqual(2); // a font or an idle panel may arrive in between; a move that walks the page does so 12 times
  });

  test("finds the least likely token of the whole vocabulary with its exact probability", async () => {
    await page.getByTestId("slider-temperature").fill("1");
    const least = all.top.at(-1)!;
    await page.getByTestId("token-search").fill(`#${least.id}`);
    await page.click(`[data-testid="found"][data-id="${least.id}"]`);
    const row = page.locator(`[data-testid="bar-row"][data-id="${least.id}"]`);
    expect(Number(await row.getAttribute("data-p")) / least.probability).toBeCloseTo(1, 3);
    expect(Number(await row.getAttribute("data-rank"))).toBe(all.top.length);
    await sumsToOne(page);
    await row.locator(".unpin").click();
  });

  test("reproduces the lecture's logits, moves and temperatures", async () => {
    await choose(page, "mode", "lecture");
    await page.waitForSelector('[data-testid="lecture-move"]');
    const shares = async (): Promise<number[]> => (await data(page, "bar-row")).map(({ drawn }) => Number(drawn));
    const start = [0.0092, 0.0001, 0.0338, 0.0918, 0.6136, 0.0021, 0.2495];
    for (const [i, share] of (await shares()).entries()) expect(share).toBeCloseTo(start[i], 4);
    const snape = [0.3284, 0.5211, 0.3686, 0.1142, 0.9747, 0.4929, 0.2675, 0.7907, 1, 0.4171, 0.9747, 0.3301];
    const moves = page.getByTestId("lecture-move");
    expect(await moves.count()).toBe(snape.length + 1);
    for (const [i, share] of snape.entries()) {
      await moves.nth(i + 1).click();
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      expect((await shares())[4]).toBeCloseTo(share, 4);
    }
    await choose(page, "mode", "model");
  });

  test("filters as the command does, from the address", async () => {
    const [T, topK, topP, minP] = [1.5, 10, 0.9, 0.05];
    const flags = ["--temperature", String(T), "--top-k", String(topK), "--top-p", String(topP), "--min-p", String(minP)];
    await page.goto("about:blank");
    await page.goto(`${studio.site.address}#distribution?m=letters&p=${encodeURIComponent(prompt)}&t=${T}&k=${topK}&tp=${topP}&mp=${minP}`);
    await page.waitForSelector('[data-testid="bars"][aria-busy="false"] [data-testid="bar-row"]');
    const { id, sampledFrom } = await step(1, ...flags);

    // temperature, then the k best, then the fewest that make p, then those at least a share of the best
    const tempered = softmax(all.top, T);
    let kept = all.top.slice(0, topK).map((candidate) => ({ id: candidate.id, p: tempered.get(candidate.id)! }));
    const mass = sum(kept.map(({ p }) => p));
    let before = 0;
    kept = kept.filter(({ p }) => {
      const needed = before < topP * mass;
      before += p;
      return needed;
    });
    kept = kept.filter(({ p }) => p >= minP * kept[0].p);
    const total = sum(kept.map(({ p }) => p));
    const expected = new Map(kept.map((one) => [one.id, one.p / total]));
    expect(expected.get(id)).toBeCloseTo(sampledFrom, 5);

    const rows = await data(page, "bar-row");
    for (const row of rows) {
      expect(Number(row.drawn)).toBeCloseTo(expected.get(Number(row.id)) ?? 0, 5);
      expect(row.cut === undefined).toBe(expected.has(Number(row.id)));
    }
    await sumsToOne(page);
  });
});
