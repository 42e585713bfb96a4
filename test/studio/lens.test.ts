/** The lens in a real browser: cells, ladder, pushes and what-if show the numbers that `vitrine inspect` prints. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { command, missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

interface Candidate {
  readonly id: number;
  readonly probability: number;
}

const model = "letters";
const prompt = "The king is";
const position = 3;
const hash = `#lens?m=${model}&p=${encodeURIComponent(prompt)}&i=${position + 1}&l=1`;
const inspect = (...flags: string[]): ReturnType<typeof command> =>
  command("inspect", prompt, "--model", model, "--position", String(position), ...flags);

/** The numbers in data attributes of all elements with this test id. */
function data(page: Page, id: string): Promise<Record<string, string>[]> {
  return page.$$eval(`[data-testid="${id}"]`, (elements) =>
    elements.map((element) => Object.fromEntries(Object.entries((element as HTMLElement).dataset).map(([name, value]) => [name, value ?? ""]))),
  );
}

describe.skipIf(missing !== "")("the lens", { timeout: 120_000 }, () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await openStudio();
  }, 60_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  test("says at every stage what the command says", async () => {
    const page = await studio.visit(hash);
    await page.waitForSelector(`[data-testid="lens-cell"][data-column="${position}"][data-id]`);
    const cells = (await data(page, "lens-cell")).filter(({ column }) => Number(column) === position);
    const lines = (await inspect("--lens")).filter(({ type }) => type === "lens");
    expect(cells.length).toBe(lines.length);
    for (const { stage, id, p } of cells) {
      const [best] = lines[Number(stage)].top as Candidate[];
      expect(Number(id)).toBe(best.id);
      expect(Number(p)).toBeCloseTo(best.probability, 5);
    }
    // the ladder's line of the token that came
    const target = lines.at(-1)!.target as Candidate & { readonly rank: number };
    const line = (await data(page, "ladder-label")).find(({ id }) => Number(id) === target.id);
    expect(Number(line?.rank)).toBe(target.rank);
    expect(Number(line?.p)).toBeCloseTo(target.probability, 5);
    await page.context().close();
  });

  test("moves with the arrow keys, and the selection is the studio's", async () => {
    const page = await studio.visit(hash);
    await page.focus('[data-testid="lens-grid"]');
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction((at) => new RegExp(`[?&]i=${at}(&|$)`).test(location.hash), position);
    const chosen = page.locator('[data-testid="lens-cell"][aria-selected="true"]');
    expect(await chosen.getAttribute("data-column")).toBe(String(position - 1));
    expect(await chosen.getAttribute("data-stage")).toBe("5"); // l=1 is stage 4, after its MLP; one up is attention 2
    await page.context().close();
  });

  test("tells who pushes as the command tells it", async () => {
    const page = await studio.visit(hash);
    await page.click("#lens-tab-pushes");
    await page.waitForSelector('[data-testid="push-sum"]');
    const target = await page.inputValue('[data-testid="push-target"]');
    const [line] = (await inspect("--contributions", `id:${target}`)).filter(({ type }) => type === "contributions");
    const [sum] = await data(page, "push-sum");
    expect(Number(sum.value)).toBeCloseTo(line.logit as number, 4);
    const rows = await data(page, "push-row");
    expect(rows.reduce((total, { amount }) => total + Number(amount), 0)).toBeCloseTo(line.logit as number, 3);
    const pushes = line.pushes as { readonly kind: string; readonly layer: number | null; readonly amount: number }[];
    for (const { kind, layer, amount } of pushes.filter((push) => push.kind === "mlp"))
      expect(Number(rows.find(({ part }) => part === `${kind}.${layer}`)?.amount)).toBeCloseTo(amount, 4);
    await page.context().close();
  });

  test("mutes a head and an MLP as the command does, and takes it back", async () => {
    const page = await studio.visit(hash);
    await page.click("#lens-tab-whatIf");
    await page.click('[data-testid="mute"][data-layer="0"][data-head="1"]');
    await page.click('[data-testid="mute"][data-layer="1"][data-head="-1"]');
    await page.waitForFunction(() => {
      const outcome = document.querySelector<HTMLElement>('[data-testid="whatif"]');
      return outcome?.dataset.fresh === "true" && Number(outcome.dataset.bits) > 0;
    });
    await page.waitForTimeout(300);
    const [line] = (await inspect("--mute", "0.1,mlp1")).filter(({ type }) => type === "mute");
    const [outcome] = await data(page, "whatif");
    expect(Number(outcome.bits)).toBeCloseTo((line.divergence as number) / Math.LN2, 3);
    const rows = new Map((await data(page, "difference-row")).map((row) => [Number(row.id), row]));
    for (const { id, probability } of line.before as Candidate[]) expect(Number(rows.get(id)?.before)).toBeCloseTo(probability, 4);
    for (const { id, probability } of line.after as Candidate[]) expect(Number(rows.get(id)?.after)).toBeCloseTo(probability, 4);
    await page.click('[data-testid="reset"]');
    await page.waitForFunction(() => document.querySelector<HTMLElement>('[data-testid="whatif"]')?.dataset.bits === "0");
    await page.context().close();
  });
});
