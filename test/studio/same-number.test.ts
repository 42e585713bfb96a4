/** "The same number by library and command": numbers are selected in a real browser, and what their why cards tell to run prints them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Locator, Page } from "playwright-core";
import { data, missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";
import { answer, run, runLibrary } from "./same-number.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const prompt = "Once upon a time there was a king. The king is";

/** The last number that the output has. */
const lastNumber = (output: string): number => Number(/(-?[\d.]+(e[-+]?\d+)?)\s*$/.exec(output.trim())?.[1]);
const plain = (shown: string): number => Number(shown.replaceAll(/[,%\s]/g, "").replace("−", "-"));

describe.skipIf(missing !== "")("the same number", { timeout: 120_000 }, () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await openStudio();
  }, 60_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  const open = (panel: string, more = ""): Promise<Page> =>
    studio.visit(`#${panel}?m=letters&p=${encodeURIComponent(prompt)}&d=code${more}`, { reducedMotion: "reduce" });
  const row = (page: Page, category: string): Locator => page.locator(`[data-testid="tally-row"][data-category="${category}"]`);

  test("of weights, matrices, shares and factors: counted, bent, and of a model that nobody trained", async () => {
    const page = await open("matrices");
    await page.waitForSelector('[data-testid="tally-row"]');
    const tell = async (category: string): Promise<void> => {
      const weights = Number(await row(page, category).getAttribute("data-weights"));
      const matrices = Number(await row(page, category).getAttribute("data-matrices"));
      const all = Number(await page.getByTestId("tally-total").getAttribute("data-value"));
      const share = await answer(page, row(page, category).locator(".share .num"));
      expect(lastNumber(await run(share.command))).toBeCloseTo(weights / all, 12);
      expect(share.value).toBe(await row(page, category).locator(".share .num").textContent());
      const count = await answer(page, row(page, category).locator(".count .num"));
      expect(plain(count.value)).toBe(matrices);
      expect(await run(count.command)).toContain(count.value);
      const own = await answer(page, row(page, category).locator(".weights .num"));
      expect(plain(own.value)).toBe(weights);
      expect((await run(own.command)).replaceAll(",", "")).toContain(String(weights));
      const factor = await answer(page, row(page, category).locator(".what .num").first());
      expect(await run(factor.command)).toContain(factor.value);
      const total = await answer(page, page.getByTestId("tally-matrices").locator(".num"));
      expect((await run(total.command)).replaceAll(",", "")).toContain(total.value.replaceAll(",", ""));
    };
    await tell("Key");
    await page.fill('[data-testid="dimension-width"]', "192");
    await page.press('[data-testid="dimension-width"]', "Enter");
    await page.waitForSelector('[data-testid="dimensions-restore"]');
    await tell("Up-projection");
    await page.selectOption('[data-testid="tally-source"]', "gpt3");
    await page.fill('[data-testid="dimension-layers"]', "12");
    await page.press('[data-testid="dimension-layers"]', "Enter");
    await tell("Output");
    await page.fill('[data-testid="dimension-mlpWidth"]', "50000");
    await page.press('[data-testid="dimension-mlpWidth"]', "Enter");
    await tell("Down-projection");
    await page.context().close();
  });

  test.each(["Query", "Output", "Unembedding"])("of %s times a vector, term by term", async (category) => {
    const page = await open("matrices", `&l=1&h=2&v.open=${category}&v.mode=multiply&v.row=7&v.terms=5`);
    await page.waitForSelector('[data-testid="reader"][data-row="7"]:not(.stale)');
    const numbers = page.locator('[data-testid="reader"] .num');
    const count = await numbers.count();
    expect(count).toBeGreaterThanOrEqual(category === "Unembedding" ? 7 : 8);
    for (let i = 0; i < count; i++) {
      const { title, value, command } = await answer(page, numbers.nth(i));
      const printed = lastNumber(await run(command));
      if (title === "difference") expect(Math.abs(printed), title).toBeLessThan(1e-4);
      else expect(printed, title).toBeCloseTo(plain(value), 4);
    }
    await page.context().close();
  });

  test("of a vector that is looked up", async () => {
    const page = await open("matrices", "&v.open=Embedding&v.mode=multiply");
    await page.waitForSelector('[data-testid="reader"]:not(.stale)');
    const { value, command } = await answer(page, page.locator('[data-testid="reader-difference"] .num'));
    expect([value, lastNumber(await run(command))]).toEqual(["0", 0]);
    await page.context().close();
  });

  test("of both memories, and of every point of the curve", async () => {
    const page = await open("context", "&c=8");
    await page.waitForSelector('[data-testid="curve"][data-busy="false"] [data-testid="curve-point"]:nth-of-type(7)');
    const printedChance = async (command: string, id: string): Promise<number> => {
      const output = await run(command);
      if (!output.startsWith("{")) return lastNumber(output);
      const steps = output.trim().split("\n").map((line) => JSON.parse(line) as { type: string; top?: { id: number; probability: number }[] }); // prettier-ignore
      return steps.find(({ type }) => type === "step")!.top!.find((one) => one.id === Number(id))!.probability;
    };
    const favourite = await page.locator('[data-testid="bar-row"].favourite').getAttribute("data-id");
    const points = page.getByTestId("curve-point");
    for (const { context, p } of await data(page, "curve-point")) {
      const point = page.locator(`[data-testid="curve-point"][data-context="${context}"]`);
      const { provenance, command } = await answer(page, point);
      expect(await point.getAttribute("aria-pressed")).toBe("true");
      expect(provenance).toContain("computed");
      expect(await printedChance(command, favourite!)).toBeCloseTo(Number(p), 5);
    }
    expect(await points.count()).toBe(7);
    await page.fill('[data-testid="context-number"]', "3");
    await page.press('[data-testid="context-number"]', "Enter");
    await page.waitForSelector('.below:not(.dim) .heads .short:has-text("3")');
    const rare = (await data(page, "bar-row")).at(-1)!;
    for (const [i, side] of (["full", "short"] as const).entries()) {
      const { command } = await answer(page, page.locator(`[data-testid="bar-row"][data-id="${rare.id}"] .num`).nth(i));
      expect(await printedChance(command, rare.id), side).toBeCloseTo(Number(rare[side]), 5);
    }
    for (const id of ["divergence", "entropy-full", "entropy-short"]) {
      const [{ bits }] = await data(page, id);
      const { command } = await answer(page, page.locator(`[data-testid="${id}"] .num`));
      expect(lastNumber(await run(command)), id).toBeCloseTo(Number(bits), 4);
    }
    await page.context().close();
  });

  test.each([
    ["all of the text", ""],
    ["a part of it", "&c=20"],
  ])("of a word chosen with %s in sight: surprise, rank, branches, blocks", async (_, context) => {
    const page = await open("write", `&s=3${context}`);
    for (let count = prompt.length; count < prompt.length + 4; count++) {
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction((n) => document.querySelectorAll('[data-testid="tape-token"]').length > n, count);
    }
    await page
      .locator('[data-testid="tape-token"]')
      .nth(prompt.length + 2)
      .click();
    await page.waitForSelector(`[data-testid="candidates"][data-at="${prompt.length + 2}"][data-settled="true"]`);
    for (const number of await page.locator(".facts .num").all()) {
      const { title, value, command } = await answer(page, number);
      const output = await run(command);
      if (title.startsWith("Surprise")) expect(context === "" ? output : `${lastNumber(output).toFixed(2)} bits`).toContain(value);
      if (title.startsWith("Rank"))
        expect(output.startsWith("{") ? (output.match(/"rank":(\d+)/g) ?? []).at(-1)!.slice(7) : output.trim()).toBe(value);
    }
    const joint = await answer(page, page.locator('[data-testid="branch"] + .num').first());
    expect((100 * lastNumber(await run(joint.command))).toPrecision(2)).toBe(plain(joint.value).toPrecision(2));
    await page.click('[data-testid="view-blocks"]');
    await page.waitForSelector('[data-testid="blocks"][data-asking="false"] [data-testid="block"]');
    for (let depth = 1; depth <= 2; depth++) {
      await page.locator('[data-testid="block"]').first().click();
      await page.waitForFunction((n) => document.querySelectorAll(".crumbs .crumb").length === n + 1, depth);
      const zoom = await answer(page, page.locator(".crumbs .num"));
      expect((100 * lastNumber(await run(zoom.command))).toFixed(1)).toBe(plain(zoom.value).toFixed(1));
    }
    await page.waitForSelector('[data-testid="blocks"][data-asking="false"] .rest');
    const rest = await answer(page, page.locator(".rest").first());
    expect((100 * lastNumber(await run(rest.command))).toFixed(1)).toBe(plain(rest.value).toFixed(1));
    await page.context().close();
  });

  test.each([
    ["bars", "&t=0.7&k=9&tp=0.9", "[data-testid='bar-row'] .num, [data-testid='rest-row'] .num, dl .num"],
    ["steps", "&t=0.7&v.view=steps", '[data-testid="steps"] .num'],
  ])("of a distribution: %s", async (_, knobs, numbers) => {
    const page = await open("distribution", `&s=3${knobs}`);
    await page.keyboard.press("ArrowRight"); // a word that was drawn: its tokens count, not how its text would be cut
    await page.waitForFunction((n) => document.querySelectorAll('[data-testid="tape-token"]').length > n, prompt.length);
    await page.waitForSelector('[aria-busy="false"] [data-testid="bar-row"], [data-testid="steps"]:not(.stale)');
    const all = page.locator(numbers);
    const count = await all.count();
    expect(count).toBeGreaterThan(8);
    for (let i = 0; i < count; i += i < 4 || i > count - 5 ? 1 : 5) {
      const { title, value, command, library } = await answer(page, all.nth(i));
      const wanted = Number(value.replaceAll(",", "").replace("−", "-").replace(" bits", "").replace("100 %", "1"));
      expect(Math.abs(lastNumber(await run(command)) - wanted), `${title}: ${command}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted)));
      if (i % 2 === 0) expect(Math.abs(lastNumber(await runLibrary(library)) - wanted), `${title}: ${library}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted))); // prettier-ignore
    }
    await page.context().close();
  });

  test("of the lens: ranks on the ladder, and a part that is scaled", async () => {
    const ladder = await open("lens");
    await ladder.waitForSelector('[data-testid="ladder-line"]');
    const line = await answer(ladder, ladder.locator(".ladder .num").first());
    const [rank] = /\d[\d,]*/.exec(line.value)!;
    for (const output of [await run(line.command), await runLibrary(line.library)]) expect(/\d+/.exec(output)![0]).toBe(rank.replaceAll(",", ""));
    await ladder.context().close();
    const page = await open("lens", "&v.tab=whatIf&v.scaled=0.1x0.5");
    await page.waitForFunction(() => Number(document.querySelector<HTMLElement>('[data-testid="whatif"][data-fresh="true"]')?.dataset.bits) > 0);
    const bits = Number(await page.getByTestId("whatif").getAttribute("data-bits"));
    const changed = await answer(page, page.locator('[data-testid="whatif"] .num').first());
    for (const output of [await run(changed.command), await runLibrary(changed.library)]) expect(lastNumber(output)).toBeCloseTo(bits, 4);
    await page.context().close();
  });

  test.each([
    ["write", "", ".facts .num, [data-testid='bar-row'] .num"],
    ["context", "&c=8", "[data-testid='bar-row'] .num"],
    ["tokens", "", ".counts .num"],
    ["matrices", "", "[data-testid='tally-row'] .weights .num"],
  ])("of %s: the library's calls run as they stand", async (panel, more, numbers) => {
    const page = await open(panel, more);
    const number = page.locator(numbers).first();
    await number.waitFor();
    const { value, library } = await answer(page, number);
    expect(library).toMatch(/^import /);
    const printed = lastNumber(await runLibrary(library));
    expect(
      [1, 0.01].some((unit) => Math.abs(printed - plain(value) * unit) <= 0.005 * Math.max(1, Math.abs(printed))),
      `${value} is ${printed}`,
    ).toBe(true);
    await page.context().close();
  });

  test("of a text: counts, single bytes, the rules of merges", async () => {
    const page = await studio.visit(`#tokens?m=storyteller&p=${encodeURIComponent("the 👋")}&d=code&v.beside=characters`, {
      reducedMotion: "reduce",
    });
    await page.waitForSelector('[data-testid="count-beside"]');
    const counts = page.locator(".counts .num, .sides .num");
    for (let i = 0; i < (await counts.count()); i++) {
      const { title, value, command } = await answer(page, counts.nth(i));
      const printed = [...(await run(command)).matchAll(/\d+(\.\d+)?/g)].map(([number]) => Number(number).toFixed(4));
      expect(printed, title).toContain(plain(value).toFixed(4));
    }
    const pieces = page.locator('[data-testid="pieces"] [data-testid="piece"]');
    await pieces.first().click();
    const rules = page.locator('[data-testid="merges"] .num');
    await rules.first().waitFor();
    for (let i = 0; i < (await rules.count()); i++) {
      const { value, command } = await answer(page, rules.nth(i));
      expect(await run(command)).toContain(`rule ${plain(value)}:`);
    }
    for (let at = 0; at < (await pieces.count()); at++) {
      await pieces.nth(at).click();
      const bytes = page.locator('[data-testid="bytes"] .num');
      for (let i = 0; i < (await bytes.count()); i++) {
        const { value, provenance, command } = await answer(page, bytes.nth(i));
        expect(provenance).toContain("computed");
        const token = JSON.parse((await run(command)).split("\n")[at]) as { bytes: string };
        expect(token.bytes.slice(2 * i, 2 * i + 2).toUpperCase()).toBe(value);
      }
    }
    await page.context().close();
  });
});
