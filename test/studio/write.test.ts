/** Write in a real browser: branches come and are walked back, an address keeps them, and odd texts are met calmly. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { percent } from "../../studio/state/format.ts";
import { command, data, missing, openStudio, prompt, root, tape, tapeOf } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);
/** A small model that reads any bytes; `letters` knows English letters only. */
const llama = join(root, "../shared/data/stories260K");
if (!existsSync(llama)) console.log("studio test of any bytes skipped: ../shared/data/stories260K is not here");

const context = 128; // of letters
const ids = async (page: Page): Promise<number[]> => (await tape(page)).map(({ id }) => id);

describe.skipIf(missing !== "")("writing", { timeout: 120_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit("#write?m=letters&p=The%20king&t=1&s=5", { reducedMotion: "reduce" });
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  /** One more token, by the button. */
  async function one(): Promise<void> {
    const count = (await tape(page)).length;
    await page.click('[data-testid="one"]');
    await tapeOf(page, count + 1);
  }

  /** The branch that is not being walked. */
  const other = (): Promise<void> => page.click('[data-testid="branch"]:not([aria-current])');

  test("branches where another candidate is chosen, walks back, and keeps both in the address", async () => {
    const given = (await tape(page)).length;
    for (let i = 0; i < 5; i++) await one();
    const first = await tape(page);

    const at = given + 2;
    await page.click(`[data-testid="tape-token"][data-at="${at}"]`);
    await page.waitForSelector(`[data-testid="candidates"][data-at="${at}"][data-settled="true"]`);
    const rows = await data(page, "bar-row");
    expect(rows.filter(({ chosen }) => chosen === "true").map(({ id }) => Number(id))).toEqual([first[at].id]);
    const chosen = rows.find((row) => row.chosen === "false")!;
    await page.click(`[data-testid="candidates"] [data-id="${chosen.id}"] .pick`);
    await tapeOf(page, at + 1);
    const picked = (await tape(page))[at];
    expect(picked.id).toBe(Number(chosen.id));
    expect(picked.p).toBeCloseTo(Number(chosen.p), 5);
    await one();
    const second = await tape(page);
    expect(second.slice(0, at)).toEqual(first.slice(0, at));
    expect(await page.getByTestId("branch").count()).toBe(2);

    await other();
    await tapeOf(page, first.length);
    expect(await tape(page)).toEqual(first);

    await page.waitForTimeout(400); // the address follows a moment later
    const hash = new URL(page.url()).hash;
    await page.reload();
    await page.waitForSelector('[data-ready="true"]');
    await tapeOf(page, first.length);
    expect(await ids(page)).toEqual(first.map(({ id }) => id));
    expect(await page.getByTestId("branch").count()).toBe(2);
    await other();
    await tapeOf(page, second.length);
    expect(await ids(page)).toEqual(second.map(({ id }) => id));
    await other();
    await tapeOf(page, first.length);
    await page.waitForTimeout(400);
    expect(new URL(page.url()).hash).toBe(hash);
  });

  test("what a token was drawn from is shown where the pointer rests on it, on the tape and in the text", async () => {
    await prompt(page, "The dog is");
    await tapeOf(page, 10);
    for (let i = 0; i < 3; i++) await one();
    const steps = (
      await command("generate", "The dog is", "--model", "letters", "--temperature", "1", "--seed", "5", "--max-tokens", "3", "--show", "5")
    ).filter(({ type }) => type === "step") as unknown as { top: { id: number; probability: number }[] }[];
    const places = ['[data-testid="prose"] [data-at="11"]', '[data-testid="tape-token"][data-at="12"]', '[data-testid="prose"] [data-at="10"]'];
    for (const place of places) {
      await page.hover(place);
      const at = Number(/"(\d+)"\]$/.exec(place)![1]);
      await page.waitForSelector(`[data-testid="candidates"][data-at="${at}"]`);
      const rows = await data(page, "bar-row");
      const { top } = steps[at - 10];
      expect(rows.slice(0, 5).map(({ id }) => Number(id))).toEqual(top.map(({ id }) => id));
      rows.slice(0, 5).forEach((row, i) => expect(Number(row.p)).toBeCloseTo(top[i].probability, 4));
    }
    await page.hover("h1");
    await page.waitForSelector('[data-testid="candidates"][data-at="13"]');
  });

  test("branches inside the prompt: draws as the command does behind it, keeps the prompt, and finds both again", async () => {
    await prompt(page, "The king is");
    await tapeOf(page, 11);
    await one(); // a story behind the whole prompt
    const whole = await tape(page);
    const at = 4; // "The " and then another letter than k
    await page.click(`[data-testid="tape-token"][data-at="${at}"]`);
    await page.waitForSelector(`[data-testid="candidates"][data-at="${at}"][data-settled="true"]`);
    const another = (await data(page, "bar-row")).find((row) => row.chosen === "false")!;
    await page.click(`[data-testid="candidates"] [data-id="${another.id}"] .pick`);
    await tapeOf(page, at + 1);
    const picked = (await tape(page))[at];
    expect(picked.p).toBeCloseTo(Number(another.p), 5);
    const text = (await page.textContent('[data-testid="prose"]'))!.replaceAll("\u00a0", "").trimEnd();
    for (let i = 0; i < 4; i++) await one();
    const branch = await tape(page);
    const steps = (await command("generate", text, "--model", "letters", "--temperature", "1", "--seed", "5", "--max-tokens", "4")).filter(
      ({ type }) => type === "step",
    );
    expect(branch.slice(at + 1).map(({ id }) => id)).toEqual(steps.map(({ id }) => id));
    steps.forEach((step, i) => {
      expect(branch[at + 1 + i].p).toBeCloseTo(step.probability as number, 4);
      expect(branch[at + 1 + i].drawn).toBeCloseTo(step.sampledFrom as number, 4);
    });

    // what the tree says of both is a product of what stands on the tape
    const product = (all: readonly { readonly p: number }[]): number => all.slice(at).reduce((sofar, { p }) => sofar * p, 1);
    const shown = await page.$$eval('[data-testid="branch"]', (rows) => rows.map((row) => row.getAttribute("aria-label")!));
    expect(shown).toHaveLength(2);
    for (const [row, tokens] of [branch, whole].entries()) expect(shown[row]).toContain(percent(product(tokens)));

    await page.waitForTimeout(400);
    const { hash } = new URL(page.url());
    const fresh = await studio.visit(hash, { reducedMotion: "reduce" });
    await tapeOf(fresh, branch.length);
    expect(await ids(fresh)).toEqual(branch.map(({ id }) => id));
    await fresh.click('[data-testid="branch"]:not([aria-current])');
    await tapeOf(fresh, whole.length);
    expect(await ids(fresh)).toEqual(whole.map(({ id }) => id));
    await fresh.context().close();

    // back to the prompt: token by token, and at once by its own token
    for (let n = branch.length; n > at + 1; n--) {
      await page.click('[data-testid="undo"]');
      await tapeOf(page, n - 1);
    }
    await page.click('[data-testid="undo"]');
    await tapeOf(page, 11);
    expect(await ids(page)).toEqual(whole.slice(0, 11).map(({ id }) => id));
    await page.waitForTimeout(400);
    const undone = await studio.visit(new URL(page.url()).hash, { reducedMotion: "reduce" });
    await tapeOf(undone, 11); // the tape ends where it ended, though the tree goes on
    await undone.waitForSelector('[data-testid="branch"]:nth-child(1)');
    expect(await undone.getByTestId("branch").count()).toBe(2);
    await undone.context().close();
  });

  test("tells of a drawn token the knobs it was drawn with, after they moved and from the address", async () => {
    await page.goto("about:blank");
    await page.goto(`${studio.site.address}#write?m=letters&p=The%20king&t=1.5&k=8&tp=0.9&mp=0.01&s=3&c=6&d=code`);
    await page.waitForSelector('[data-ready="true"]');
    for (let i = 0; i < 3; i++) await one();
    const drawn = await tape(page);
    const at = drawn.length - 1;
    await page.fill("#temperature", "0.3");
    await page.waitForFunction(() => location.hash.includes("t=0.3") && location.hash.includes("y="));
    for (const from of [page, await studio.visit(new URL(page.url()).hash, { reducedMotion: "reduce" })]) {
      await tapeOf(from, drawn.length);
      (await tape(from)).forEach(({ drawn: own, id }, i) => {
        expect(id).toBe(drawn[i].id);
        if (i > 7) expect(own).toBeCloseTo(drawn[i].drawn, 5);
      });
      await from.click(`[data-testid="tape-token"][data-at="${at}"]`);
      await from.waitForSelector(`[data-testid="candidates"][data-at="${at}"][data-settled="true"]`);
      await from.getByText("they stand otherwise now").waitFor();
      await from.click('.facts :text("drawn with") .num');
      const [library, line] = await from.$$eval(".card pre", (parts) => parts.map((part) => part.textContent!));
      expect(library).toContain("sampler({ temperature: 1.5, topK: 8, topP: 0.9, minP: 0.01 })");
      expect(library).toContain("randomFrom(3)");
      expect(line).toBe(
        "vitrine generate 'The king' --model 'letters' --context 6 --temperature 1.5 --top-k 8 --top-p 0.9 --min-p 0.01 --seed 3 --max-tokens 3 --json",
      );
      // all candidates stand as they stood in that draw
      const rows = await data(from, "bar-row");
      expect(Number(rows.find(({ chosen }) => chosen === "true")?.drawn)).toBeCloseTo(drawn[at].drawn, 5);
    }
    const args = "--model letters --context 6 --temperature 1.5 --top-k 8 --top-p 0.9 --min-p 0.01 --seed 3 --max-tokens 3".split(" ");
    const steps = (await command("generate", "The king", ...args)).filter(({ type }) => type === "step");
    expect(drawn.slice(-3).map(({ id }) => id)).toEqual(steps.map(({ id }) => id));
    steps.forEach((step, i) => expect(drawn[8 + i].drawn).toBeCloseTo(step.sampledFrom as number, 4));
    await page.goto("about:blank");
    await page.goto(`${studio.site.address}#write?m=letters&p=The%20king&t=1&s=5`);
    await page.waitForSelector('[data-ready="true"]');
    for (let i = 0; i < 3; i++) await one();
  });

  test("takes tokens back, and not the prompt's", async () => {
    const before = await ids(page);
    await page.click('[data-testid="undo"]');
    await tapeOf(page, before.length - 1);
    expect(await ids(page)).toEqual(before.slice(0, -1));
    for (let n = before.length - 2; n >= "The king".length; n--) {
      await page.click('[data-testid="undo"]');
      await tapeOf(page, n);
    }
    expect(await page.isDisabled('[data-testid="undo"]')).toBe(true);
  });

  test("forgets the beginning of a text that is longer than the context", async () => {
    const text = "There was a little girl who liked to play. ".repeat(5).trim();
    await prompt(page, text);
    await tapeOf(page, text.length);
    expect(await page.locator('[data-testid="tape-token"].gone').count()).toBe(text.length - context);
    await one();
    const [, step] = await command("generate", text, "--model", "letters", "--temperature", "1", "--seed", "5", "--max-tokens", "1");
    const last = (await tape(page)).at(-1)!;
    expect(last.id).toBe(step.id);
    expect(last.p).toBeCloseTo(step.probability as number, 4);
  });

  test("begins without a text, and ends where the model ends it", async () => {
    await prompt(page, "");
    await tapeOf(page, 1); // the start token
    await page.fill('input[type="number"]', "18"); // the first draw of this seed is the end of text
    await page.press('input[type="number"]', "Enter");
    await one();
    const lines = await command("generate", "", "--model", "letters", "--temperature", "1", "--seed", "18");
    expect(lines.at(-1)).toMatchObject({ type: "end", reason: "end-of-text" });
    expect((await tape(page)).at(-1)?.id).toBe(73);
    await page.waitForSelector('[data-testid="ended"]');
    expect(await page.isDisabled('[data-testid="one"]')).toBe(true);
    expect(await page.isDisabled('[data-testid="play"]')).toBe(true);
    await page.click('[data-testid="undo"]');
    await tapeOf(page, 1);
  });

  test("says calmly what a model cannot read, and keeps the text", async () => {
    await prompt(page, "The king");
    await tapeOf(page, 8);
    await prompt(page, "The king 👑 שלום");
    await page.waitForSelector('.notice.error:has-text("👑")');
    expect((await tape(page)).length).toBe(8);
    await one();
  });

  test.skipIf(!existsSync(llama))("writes behind emoji and right-to-left text", async () => {
    await page.setInputFiles(
      'input[type="file"]',
      ["config.json", "model.safetensors", "tokenizer.json"].map((file) => join(llama, file)),
    );
    const text = "שלום 👋🏽 مرحبا";
    const cut = (await command("tokenize", text, "--model", llama)).filter(({ type }) => type === "token").map(({ id }) => id);
    await page.waitForFunction(() => document.querySelector(".model")?.textContent?.includes("my-model"));
    await prompt(page, text);
    await tapeOf(page, cut.length);
    expect(await ids(page)).toEqual(cut);
    for (let i = 0; i < 3; i++) await one();
    const shown = await page.textContent('[data-testid="prose"]');
    for (const character of "ש👋🏽م") expect(shown).toContain(character);
  });
});
