/** The flow in a real browser: attention patterns and neurons are those of `vitrine inspect`, and the keys move through layers and heads. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, data, missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const prompt = "The king is";
const last = prompt.length - 1;
const inspect = (...flags: string[]): ReturnType<typeof command> => command("inspect", prompt, "--model", "letters", ...flags);

describe.skipIf(missing !== "")("the flow", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit(`#flow?m=letters&p=${encodeURIComponent(prompt)}&l=1&h=2`, { reducedMotion: "reduce" });
    await page.waitForSelector('[data-testid="flow-spine"]');
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  /** Every cell that the keyboard walks to along the last row, against the command. */
  async function rowIs(layer: number, head: number): Promise<void> {
    const [{ pattern, weighted }] = (await inspect("--attention", `${layer}.${head}`)).filter(({ type }) => type === "attention") as unknown as {
      readonly pattern: number[][];
      readonly weighted: number[][];
    }[];
    await page.waitForFunction(
      ([l, h]) => document.querySelector(".left h3")?.textContent?.includes(`${h}`) && location.hash.includes(`l=${l}&h=${h}`),
      [layer, head] as const,
    );
    await page.waitForFunction(
      ([row, value]) =>
        [...document.querySelectorAll<HTMLElement>('[data-testid="flow-look"]')].some(
          ({ dataset }) => dataset.position === `${row}` && Math.abs(Number(dataset.weight) - value) < 1e-4,
        ),
      [pattern[last].indexOf(Math.max(...pattern[last])), Math.max(...pattern[last])] as const,
    );
    const map = page.getByTestId("flow-pattern");
    await map.focus();
    await page.keyboard.press("Home");
    for (let column = 0; column <= last; column++) {
      await page.waitForSelector(`[data-testid="flow-pattern"][data-row="${last}"][data-column="${column}"]`);
      expect(Number(await map.getAttribute("data-value"))).toBeCloseTo(pattern[last][column], 5);
      await page.keyboard.press("ArrowRight");
    }
    await page.keyboard.press("ArrowUp");
    await page.waitForSelector(`[data-testid="flow-pattern"][data-row="${last - 1}"][data-column="${last - 1}"]`);
    expect(Number(await map.getAttribute("data-value"))).toBeCloseTo(pattern[last - 1][last - 1], 5);
    for (const { position, weight, gives } of await data(page, "flow-look")) {
      expect(Number(weight)).toBeCloseTo(pattern[last - 1][Number(position)], 5);
      expect(Number(gives)).toBeCloseTo(weighted[last - 1][Number(position)], 4);
    }
    await page.keyboard.press("ArrowDown");
  }

  const letGo = (): Promise<void> => page.evaluate(() => (document.activeElement as HTMLElement).blur());

  test("shows a head's pattern as the command prints it, cell by cell", async () => {
    await page.click('[data-testid="flow-attention"][data-layer="1"]');
    await page.waitForSelector('[data-testid="flow-pattern"]');
    await rowIs(1, 2);
    await page.keyboard.press("Enter"); // the why card of the cell
    const why = await page.textContent(".card .value");
    expect(why).toMatch(/%$/);
  });

  test("goes to another layer and head by keys", async () => {
    await letGo();
    for (const [key, layer, head] of [
      ["ArrowDown", 2, 2], // the spine runs down: the next layer stands below
      ["]", 2, 3],
      ["[", 2, 2],
      ["[", 2, 1],
      ["ArrowUp", 1, 1],
      ["ArrowDown", 2, 1],
    ] as const) {
      await page.keyboard.press(key);
      await page.waitForFunction(([l, h]) => location.hash.includes(`l=${l}&h=${h}`), [layer, head] as const);
      expect(await page.getAttribute('[data-testid="flow-head"][aria-checked="true"]', "data-head")).toBe(String(head));
    }
    await rowIs(2, 1);
  });

  test("moves up and down on the screen, whatever of a row has the focus", async () => {
    await page.click('[data-testid="flow-attention"][data-layer="2"][aria-expanded="true"]'); // folded
    const focused = (): Promise<{ row: string; y: number; nth: number }> =>
      page.evaluate(() => {
        const row = document.activeElement!.closest<HTMLElement>("[data-row]")!;
        const main = row.closest("main")!;
        const y = row.getBoundingClientRect().top + main.scrollTop;
        return { row: row.dataset.row!, y, nth: [...row.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement) };
      });
    for (const nth of [0, 1, 2]) {
      await page.locator(`[data-row="mlp.1.${last}"] button`).nth(nth).focus();
      let before = await focused();
      for (const [key, row] of [
        ["ArrowDown", `attention.2.${last}`],
        ["ArrowDown", `mlp.2.${last}`],
        ["ArrowUp", `attention.2.${last}`],
        ["ArrowUp", `mlp.1.${last}`],
        ["ArrowUp", `attention.1.${last}`],
      ]) {
        await page.keyboard.press(key);
        await page.waitForFunction((name) => document.activeElement?.closest<HTMLElement>("[data-row]")?.dataset.row === name, row);
        const now = await focused();
        expect(Math.sign(now.y - before.y)).toBe(key === "ArrowDown" ? 1 : -1);
        expect(now.nth).toBe(nth);
        before = now;
      }
    }
    await page.locator('[data-number="1"]').focus();
    await page.keyboard.press("ArrowDown");
    await page.waitForFunction(() => (document.activeElement as HTMLElement).dataset.number === "2");
  });

  test("every amount answers: a neuron's push, the rest, the lengths at the collar", async () => {
    await letGo();
    await page.click('[data-testid="flow-mlp"][data-layer="2"]');
    await page.waitForSelector('[data-testid="flow-neuron"]');
    const answer = async (): Promise<string> => (await page.textContent(".card .value"))!.replace("−", "-");
    const word = page.locator('[data-testid="flow-neuron"] .word').first();
    await word.locator(".num").click();
    expect(Number(await answer())).toBeCloseTo(Number(await word.getAttribute("data-amount")), 3);
    await page.locator(".neurons > p .num").nth(1).click();
    expect(Number(await answer())).toBeGreaterThan(0);
    await page.click(".ending .rest .num");
    const shown = (await data(page, "bar-row")).reduce((sum, { p }) => sum + Number(p), 0);
    expect(parseFloat(await answer()) / 100).toBeCloseTo(1 - shown, 3);
    await page.click('[data-testid="flow-mlp"][data-layer="2"]');
  });

  test("names the neurons that the command names", async () => {
    await letGo();
    await page.click('[data-testid="flow-mlp"][data-layer="2"]');
    const [{ neurons }] = (await inspect("--neurons", "2")).filter(({ type }) => type === "neurons") as unknown as {
      readonly neurons: {
        readonly index: number;
        readonly activation: number;
        readonly strength: number;
        readonly promotes: { text: string; amount: number }[];
      }[];
    }[];
    await page.waitForSelector(`[data-testid="flow-neuron"][data-index="${neurons[0].index}"]`);
    const rows = await data(page, "flow-neuron");
    expect(rows.map(({ index }) => Number(index))).toEqual(neurons.map(({ index }) => index));
    for (const [i, { activation, strength }] of neurons.entries()) {
      expect(Number(rows[i].activation)).toBeCloseTo(activation, 4);
      expect(Number(rows[i].strength)).toBeCloseTo(strength, 4);
    }
    const first = page.getByTestId("flow-neuron").first();
    const amounts = await first.locator(".promotes .word").evaluateAll((words) => words.map((word) => Number((word as HTMLElement).dataset.amount)));
    const { promotes } = neurons[0];
    expect(amounts.length).toBeGreaterThanOrEqual(promotes.length);
    promotes.forEach(({ amount }, i) => expect(amounts[i]).toBeCloseTo(amount, 4));
  });

  test("ends in the command's probabilities", async () => {
    const [, step] = await command("generate", prompt, "--model", "letters", "--max-tokens", "1", "--show", "74");
    const chances = new Map((step.top as { id: number; probability: number }[]).map(({ id, probability }) => [id, probability]));
    const rows = await data(page, "bar-row");
    expect(rows.length).toBeGreaterThan(2);
    for (const { id, p } of rows) expect(Number(p)).toBeCloseTo(chances.get(Number(id))!, 5);
  });
});
