/** The studio for everyone: no axe-core violations on any panel, everything by keyboard with a visible focus, words for those who listen, and pages without threads. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { serve } from "../browser/server.ts";
import { command, missing, openStudio, root, tape, tapeOf } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

/** What a panel has on screen once it is there. */
const contents = {
  write: '[data-testid="candidates"]:not(.dim) [data-testid="bar-row"]',
  distribution: '[data-testid="bars"][aria-busy="false"] [data-testid="bar-row"]',
  tokens: '[data-testid="piece"]',
  flow: '[data-testid="flow-spine"]:not(.waiting) [data-testid="flow-part"]',
  lens: '[data-testid="lens-cell"][data-id]',
  matrices: '[data-testid="tally-row"]',
  context: '[data-testid="comparison"] [data-testid="bar-row"]',
} as const;
type Panel = keyof typeof contents;
const panels = Object.keys(contents) as Panel[];

/** What is behind a click: selector to press, selector to wait for. */
const further: readonly (readonly [Panel, string, string])[] = [
  ["write", '[data-testid="view-blocks"]', '[data-testid="blocks"][data-asking="false"] [data-testid="block"]'],
  ["distribution", '[data-testid="view"] label:has([value="steps"])', '[data-testid="steps-row"]'],
  ["distribution", '[data-testid="mode"] label:has([value="lecture"])', '[data-testid="lecture-move"]'],
  ["tokens", '[data-testid="piece"][data-at="1"]', '[data-testid="bytes"]'],
  ["flow", '[data-testid="flow-attention"]', '[data-testid="flow-pattern"]'],
  ["flow", '[data-testid="flow-mlp"]', '[data-testid="flow-neuron"]'],
  ["lens", "#lens-tab-pushes", '[data-testid="push-sum"]'],
  ["lens", "#lens-tab-whatIf", '[data-testid="mute"]'],
  ["matrices", '[data-testid="open-Query"]', '[data-testid="matrix-statistics"]'],
  ["matrices", '[data-testid="matrix-multiply"]', '[data-testid="reader"]'],
];

async function open(page: Page, panel: Panel): Promise<void> {
  await page.click(`#tab-${panel}`);
  await page.waitForSelector(contents[panel], { state: "attached" });
  await calm(page);
}

/** Until nothing moves and nothing is dimmed on its way to another number. */
async function calm(page: Page): Promise<void> {
  await page.waitForTimeout(100);
  await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== "running"));
}

/** Rules that are broken, each with the elements that do. */
async function violations(page: Page, what: string, rules?: string[]): Promise<string[]> {
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const { violations: found } = await (rules ? axe.withRules(rules) : axe).analyze();
  return found.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary = "" }) => `${what}: ${id}: ${target.join(" ")}: ${failureSummary}`));
}

const hash = "?m=letters&p=The%20king%20is&t=1&s=3&l=1";

describe.skipIf(missing !== "")("the studio for everyone", { timeout: 240_000 }, () => {
  let studio: Studio;
  let page: Page;
  beforeAll(async () => {
    studio = await openStudio();
    page = await studio.visit(`#write${hash}`, { reducedMotion: "reduce" });
  }, 120_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  test("has a key for the temperature, for other candidates, for any token, and for everything by name", async () => {
    await page.keyboard.press("t");
    await page.keyboard.type("2.5");
    expect(await page.textContent("#temperature-value")).toBe("2.50");
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press("/");
    await page.waitForFunction(() => document.activeElement?.matches('[data-testid="token-search"]'));
    await page.keyboard.type("2"); // a text now, no panel's key
    await page.waitForSelector('#tab-distribution[aria-selected="true"]');
    await page.fill('[data-testid="token-search"]', "");
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press("b");
    await page.waitForFunction(() => document.activeElement?.matches('[data-testid="candidates"] button'));
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press("Control+k");
    await page.waitForFunction(() => document.activeElement?.matches('[data-testid="palette"] input'));
    await calm(page);
    expect(await violations(page, "palette")).toEqual([]);
    await page.keyboard.type("lens");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#tab-lens[aria-selected="true"]');
    await page.keyboard.press("Control+k");
    await page.waitForSelector('[data-testid="palette"]');
    await page.keyboard.type("write");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#tab-write[aria-selected="true"]');
    await page.waitForSelector('[data-testid="palette"]', { state: "detached" });
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press("t");
    await page.keyboard.type("1");
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  });

  test("announces a sampled word", async () => {
    await page.keyboard.press("ArrowRight");
    await tapeOf(page, 12);
    const [{ drawn }] = (await tape(page)).slice(-1);
    const said = await page.textContent('.visually-hidden[aria-live="polite"]');
    expect(said).toMatch(/^sampled ./);
    expect(parseFloat(said!.split(", ")[1])).toBeCloseTo(drawn * 100, 0);
  });

  test("breaks no rule of axe-core in the dark", async () => {
    const found: string[] = [];
    for (const panel of panels) {
      await open(page, panel);
      found.push(...(await violations(page, panel)));
    }
    expect(found).toEqual([]);
  });

  test("breaks no rule of colours in the light", async () => {
    await page.getByRole("button", { name: "Light or dark" }).click();
    const found: string[] = [];
    for (const panel of panels) {
      await open(page, panel);
      found.push(...(await violations(page, panel, ["color-contrast", "link-in-text-block"])));
    }
    await page.getByRole("button", { name: "Light or dark" }).click();
    expect(found).toEqual([]);
  });

  test("breaks no rule of axe-core on a phone", async () => {
    const phone = await studio.visit(`#write${hash}`, { viewport: { width: 390, height: 844 }, reducedMotion: "reduce", hasTouch: true });
    const found: string[] = [];
    for (const panel of panels) {
      await open(phone, panel);
      found.push(...(await violations(phone, `${panel} on a phone`)));
      expect(await phone.evaluate(() => document.documentElement.scrollWidth), `${panel} is not wider than the phone`).toBe(390);
    }
    await open(phone, "write");
    const touch = await phone.context().newCDPSession(phone);
    const swipe = async (from: number, to: number): Promise<void> => {
      await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [{ x: from, y: 420 }] });
      await touch.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: [{ x: to, y: 424 }] });
      await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    };
    for (const [from, to, panel] of [
      [300, 100, "distribution"],
      [100, 300, "write"],
      [100, 300, "write"],
    ] as const) {
      await swipe(from, to);
      await phone.waitForSelector(`#tab-${panel}[aria-selected="true"]`);
      await phone.waitForSelector(contents[panel], { state: "attached" });
      await calm(phone);
    }
    await phone.context().close();
    expect(found).toEqual([]);
  });

  test.each(panels)("%s is reached by the Tab key, and one sees where one is", async (panel) => {
    await page.keyboard.press("Escape");
    await open(page, panel);
    await page.evaluate(() => {
      document.body.tabIndex = -1; // the way begins at the page's beginning
      document.body.focus();
      document.body.removeAttribute("tabindex");
    });
    const met = new Set<string>();
    const unseen: string[] = [];
    for (let i = 0; i < 300 && !met.has("tape"); i++) {
      await page.keyboard.press("Tab");
      const { region, seen, name } = await page.evaluate(() => {
        const at = document.activeElement as HTMLElement;
        const region = at.closest(".bar")
          ? "bar"
          : at.closest(".tabs")
            ? "tabs"
            : at.closest("#panel")
              ? "panel"
              : at.closest(".strip")
                ? "tape"
                : "";
        const marked = (element: Element): boolean => {
          const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
          return (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || boxShadow !== "none";
        };
        // a hidden radio button is shown by its label
        const shown = at instanceof HTMLInputElement && at.offsetWidth <= 1 ? at.closest("label") : at;
        return { region, seen: shown !== null && marked(shown), name: `${region}: ${at.outerHTML.slice(0, 120)}` };
      });
      met.add(region);
      if (!seen) unseen.push(name);
    }
    expect(unseen).toEqual([]);
    for (const region of ["bar", "tabs", "panel", "tape"]) expect(met).toContain(region);
  });

  // the last test on this page: panels remember what was unfolded
  test("breaks no rule of axe-core, whatever is unfolded", async () => {
    const found: string[] = [];
    for (const [panel, press, wait] of further) {
      if ((await page.getAttribute(`#tab-${panel}`, "aria-selected")) !== "true") await open(page, panel);
      await page.locator(press).first().click();
      await page.waitForSelector(wait, { state: "attached" });
      await calm(page);
      found.push(...(await violations(page, `${panel} after ${press}`)));
    }
    await page.locator("#panel .num").first().click();
    await page.waitForSelector(".card .value");
    found.push(...(await violations(page, "why card")));
    expect(found).toEqual([]);
  });

  test("works with one thread, where a server does not isolate pages", async () => {
    const site = join(root, "dist/studio");
    const server = await serve({ "": site }, { "/": await readFile(join(site, "index.html"), "utf8") }, false);
    const plain = await studio.page();
    await plain.goto(`${server.address}/#write${hash}`);
    await plain.waitForSelector('[data-ready="true"]', { timeout: 60_000 });
    expect(await plain.evaluate(() => crossOriginIsolated)).toBe(false);
    await plain.click("button.model");
    expect(await plain.textContent('[data-testid="threads"]')).toMatch(/^Runs on 1 thread: this page is not cross-origin isolated/);
    await plain.keyboard.press("Escape");
    await plain.waitForSelector('[data-testid="threads"]', { state: "detached" });
    await plain.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    const given = (await tape(plain)).length;
    for (let n = given + 1; n <= given + 3; n++) {
      await plain.keyboard.press("ArrowRight");
      await tapeOf(plain, n);
    }
    const steps = (await command("generate", "The king is", "--model", "letters", "--temperature", "1", "--seed", "3", "--max-tokens", "3")).filter(
      ({ type }) => type === "step",
    );
    const shown = (await tape(plain)).slice(given);
    expect(shown.map(({ id }) => id)).toEqual(steps.map(({ id }) => id));
    steps.forEach((step, i) => expect(shown[i].p).toBeCloseTo(step.probability as number, 4));
    await plain.context().close();
    await server.close();
  });
});
