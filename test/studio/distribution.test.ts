/** Distribution and tokens in a real browser: bars, pieces and merges show the numbers that the command prints. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, missing, openStudio, root } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

interface Candidate {
  readonly id: number;
  readonly logit: number;
  readonly probability: number;
}

const model = "letters";
const prompt = "The king is";

/** The numbers in data attributes of all elements with this test id. */
function data(page: Page, id: string): Promise<Record<string, string>[]> {
  return page.$$eval(`[data-testid="${id}"]`, (elements) =>
    elements.map((element) => Object.fromEntries(Object.entries((element as HTMLElement).dataset).map(([name, value]) => [name, value ?? ""]))),
  );
}

describe.skipIf(missing !== "")("the distribution", { timeout: 120_000 }, () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await openStudio();
  }, 60_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  test.each([
    { t: 0, k: 0, p: 1 },
    { t: 1, k: 0, p: 1 },
    { t: 5, k: 0, p: 1 },
    { t: 2, k: 8, p: 0.9 },
  ])("at T = $t, top-k $k, top-p $p shows what the command says", async ({ t, k, p }) => {
    const page = await studio.visit(`#distribution?m=${model}&p=${encodeURIComponent(prompt)}&t=${t}&k=${k}&tp=${p}`);
    await page.waitForSelector('[data-testid="bar-row"]');
    const flags = ["--temperature", String(t), "--top-k", String(k), "--top-p", String(p)];
    const lines = await command("generate", prompt, "--model", model, "--show", "20", "--max-tokens", "1", "--seed", "7", ...flags);
    const step = lines.find(({ type }) => type === "step")!;
    const rows = await data(page, "bar-row");
    for (const [i, { id, logit, probability }] of (step.top as Candidate[]).entries()) {
      expect(Number(rows[i].id)).toBe(id);
      expect(Number(rows[i].logit)).toBeCloseTo(logit, 3);
      expect(Number(rows[i].p)).toBeCloseTo(probability, 6);
    }
    const drawn = rows.find(({ id }) => Number(id) === step.id);
    if (drawn) expect(Number(drawn.drawn)).toBeCloseTo(step.sampledFrom as number, 6);
    else expect(t).toBe(5); // only an even distribution draws a token without a row
    const [rest = { drawn: "0", tempered: "0" }] = await data(page, "rest-row");
    expect(rows.reduce((sum, row) => sum + Number(row.drawn), Number(rest.drawn))).toBeCloseTo(1, 9);
    await page.context().close();
  });

  test("the slider, the curve and the top bar are one temperature; bars follow", async () => {
    const page = await studio.visit(`#distribution?m=${model}&p=${encodeURIComponent(prompt)}&t=1`);
    await page.waitForSelector('[data-testid="bar-row"]');
    const share = async (): Promise<number> => Number((await data(page, "bar-row"))[0].tempered);
    const before = await share();
    await page.focus('[data-testid="curve"]');
    await page.keyboard.press("PageUp");
    await expect.poll(share).toBeLessThan(before);
    expect(await page.inputValue('[data-testid="slider-temperature"]')).toBe("2");
    await page.keyboard.press("Home");
    await expect.poll(share).toBe(1);
    await page.context().close();
  });

  test("search finds a token without a row", async () => {
    const page = await studio.visit(`#distribution?m=${model}&p=${encodeURIComponent(prompt)}`);
    await page.waitForSelector('[data-testid="bar-row"]');
    const rows = await data(page, "bar-row");
    await page.fill('[data-testid="token-search"]', "Z");
    const [{ id }] = await data(page, "found");
    expect(rows.map((row) => row.id)).not.toContain(id);
    await page.click('[data-testid="found"]');
    await expect.poll(async () => (await data(page, "bar-row")).map((row) => row.id)).toContain(id);
    await page.context().close();
  });

  test("the lecture's example gives the lecture's numbers", async () => {
    const page = await studio.visit(`#distribution?m=${model}&p=${encodeURIComponent(prompt)}`);
    await page.click('[data-testid="mode"] label:nth-child(2)');
    const shares = async (): Promise<string[]> => (await data(page, "bar-row")).map(({ tempered }) => Number(tempered).toFixed(4));
    await expect.poll(shares).toEqual(["0.0092", "0.0001", "0.0338", "0.0918", "0.6136", "0.0021", "0.2495"]);
    await page.click('[data-testid="lecture-move"] >> nth=12'); // after all moves, T = 7
    await expect.poll(async () => (await shares())[4]).toBe("0.3301");
    await page.context().close();
  });
});

describe.skipIf(missing !== "")("the tokens", { timeout: 120_000 }, () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await openStudio();
  }, 60_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  test("are the command's, and picking one selects it on the tape", async () => {
    const page = await studio.visit(`#tokens?m=${model}&p=${encodeURIComponent(prompt)}`);
    await page.waitForSelector('[data-testid="piece"]');
    const { stdout } = await promisify(execFile)(process.execPath, [join(root, "bin/vitrine.js"), "tokenize", prompt, "--model", model, "--json"], {
      cwd: root,
    });
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const ids = lines.filter(({ type }) => type === "token").map(({ id }) => Number(id));
    expect((await data(page, "piece")).map(({ id }) => Number(id))).toEqual(ids);
    const end = lines.at(-1)!;
    for (const what of ["tokens", "characters", "bytes"]) expect(Number((await data(page, `count-${what}`))[0].value)).toBe(end[what]);
    await page.click('[data-testid="piece"] >> nth=2');
    await expect.poll(() => new URL(page.url()).hash).toContain("i=2");
    await page.context().close();
  });

  test("bytes and characters beside them count as they must, whatever the text", async () => {
    const page = await studio.visit(`#tokens?m=${model}&p=${encodeURIComponent(prompt)}`);
    await page.click('[data-testid="source"] label:nth-child(2)');
    const text = "naïve 東京 👩‍👧 שלום";
    await page.fill('[data-testid="try"]', text);
    const beside = async (choice: string): Promise<void> => void (await page.selectOption('[data-testid="beside"]', choice));
    const count = async (): Promise<number> => Number((await data(page, "count-beside"))[0]?.value);
    await beside("bytes");
    await expect.poll(count).toBe(new TextEncoder().encode(text).length);
    await beside("characters");
    await expect.poll(count).toBe([...text].length);
    await page.context().close();
  });
});
