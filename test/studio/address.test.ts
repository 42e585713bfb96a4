/** Every panel in a real browser: something unusual is set, the address is opened in a fresh page, and the same is shown. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { data, missing, openStudio } from "./page.testing.ts";
import type { Studio } from "./page.testing.ts";

if (missing) console.log(`studio tests skipped: ${missing}`);

const text = "m=letters&p=The%20king%20is";

/** Presses a switch of choices. */
const choose = (page: Page, choices: string, value: string): Promise<void> =>
  page.check(`[data-testid="${choices}"] input[value="${value}"]`, { force: true });
const press = (page: Page, id: string): Promise<void> => page.click(`[data-testid="${id}"]`);
const pressed = (page: Page): Promise<(string | null)[]> =>
  page.$$eval("#panel [aria-pressed=true], #panel [aria-expanded=true], #panel [aria-selected=true], #panel input:checked, #panel select", (all) =>
    all.map((one) =>
      one instanceof HTMLSelectElement || one instanceof HTMLInputElement ? one.value : (one.getAttribute("aria-label") ?? one.textContent),
    ),
  );

interface Case {
  readonly name: string;
  readonly hash: string;
  /** Parameters that the address then has. */
  readonly told: readonly string[];
  set(page: Page): Promise<void>;
  /** When it is there, what is shown. */
  shown(page: Page): Promise<unknown>;
}

const cases: readonly Case[] = [
  {
    name: "write: blocks",
    hash: `#write?${text}`,
    told: ["branches=blocks"],
    set: (page) => press(page, "view-blocks"),
    shown: async (page) => {
      await page.waitForSelector('[data-testid="blocks"][data-asking="false"] [data-testid="block"]');
      return (await data(page, "block")).map(({ ids }) => ids).slice(0, 3);
    },
  },
  {
    name: "write: blocks zoomed into two tokens",
    hash: `#write?${text}`,
    told: ["branches=blocks", "zoom="],
    set: async (page) => {
      await press(page, "view-blocks");
      for (const depth of [1, 2]) {
        await page.waitForSelector('[data-testid="blocks"][data-asking="false"] [data-testid="block"]');
        await page.locator('[data-testid="block"]').first().click();
        await page.waitForFunction((n) => document.querySelectorAll(".crumbs .crumb").length === n + 1, depth);
      }
    },
    shown: async (page) => {
      await page.waitForFunction(() => document.querySelectorAll(".crumbs .crumb").length === 3);
      await page.waitForFunction(() =>
        [...document.querySelectorAll<HTMLElement>('[data-testid="block"]')].some(({ dataset }) => dataset.ids!.split(",").length > 4),
      );
      const first = (await data(page, "block")).filter(({ ids }) => ids.split(",").length === 3);
      return [await page.textContent(".crumbs"), first.map(({ ids, p }) => [ids, Number(p).toFixed(5)])];
    },
  },
  {
    name: "distribution: steps, another axis, a token searched and followed",
    hash: `#distribution?${text}&t=1`,
    told: ["axis=largest", "pinned=7", "follow=7"],
    set: async (page) => {
      await press(page, "axis");
      await page.fill('[data-testid="token-search"]', "#7");
      await page.click('[data-testid="found"][data-id="7"]');
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="bars"][aria-busy="false"] [data-testid="bar-row"][data-id="7"]');
      return [await pressed(page), (await data(page, "bar-row")).map(({ id }) => id)];
    },
  },
  {
    name: "distribution: the lecture's example in steps, moved by hand",
    hash: `#distribution?${text}`,
    told: ["mode=lecture", "moves=6", "view=steps", "logits=", "t=4"],
    set: async (page) => {
      await choose(page, "mode", "lecture");
      await page.getByTestId("lecture-move").nth(6).click();
      await page.getByTestId("lecture-slider").first().fill("-2.5");
      await choose(page, "view", "steps");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="steps-row"]');
      return page.textContent("#panel .body");
    },
  },
  {
    name: "tokens: a text of one's own, by bytes, one opened",
    hash: `#tokens?${text}`,
    told: ["source=own", "own=Two+kings", "beside=bytes", "opened=4"],
    set: async (page) => {
      await choose(page, "source", "own");
      await page.fill('[data-testid="try"]', "Two kings");
      await page.selectOption('[data-testid="beside"]', "bytes");
      await page.click('[data-testid="pieces"] [data-at="4"]');
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="bytes"]');
      await page.waitForSelector('[data-testid="count-beside"]');
      return [await pressed(page), await page.textContent(".detail"), await data(page, "piece")];
    },
  },
  {
    name: "tokens: a piece that grew half way",
    hash: "#tokens?m=storyteller&p=The%20little%20king",
    told: ["opened=1", "step=2"],
    set: async (page) => {
      await page.click('[data-testid="pieces"] [data-at="1"]');
      await page.waitForSelector('[data-testid="merges"] li:nth-child(6)');
      await page.fill('.merges input[type="range"]', "2");
    },
    shown: async (page) => {
      await page.waitForFunction(() => document.querySelectorAll('[data-testid="merges"] li').length === 3);
      return page.textContent(".merges");
    },
  },
  {
    name: "tokens: words, beside another model",
    hash: `#tokens?${text}`,
    told: ["cut=words", "beside=embedded%3Astoryteller"],
    set: async (page) => {
      await choose(page, "cut", "words");
      await page.selectOption('[data-testid="beside"]', "embedded:storyteller");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="count-beside"]');
      return [await pressed(page), await page.textContent("#panel")];
    },
  },
  {
    name: "flow: attention unfolded, another token followed, contributions, the first token dimmed",
    hash: `#flow?${text}&l=1&h=2`,
    told: ["open=attention", "also=3", "measure=contribution", "dim=1"],
    set: async (page) => {
      await page.click('[data-testid="flow-attention"][data-layer="1"]');
      await page.click('[data-testid="flow-token"][data-at="3"]', { modifiers: ["Shift"] });
      await press(page, "flow-measure-contribution");
      await page.check('[data-testid="flow-dim"]');
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="flow-pattern"]');
      await page.waitForSelector('[data-testid="flow-column"][data-at="3"]');
      await page.waitForSelector('[data-testid="flow-look"]');
      return [
        await pressed(page),
        (await data(page, "flow-column")).map(({ at }) => at),
        (await data(page, "flow-look")).map(({ position }) => position),
      ];
    },
  },
  {
    name: "lens: half a layer, a head muted, an MLP louder, a token swapped",
    hash: `#lens?${text}&i=6&l=2`,
    told: ["point=mid", "tab=whatIf", "scaled=1.2x0_mlp0x1.5", "swaps=5."],
    set: async (page) => {
      await page.focus('[data-testid="lens-grid"]');
      await page.keyboard.press("ArrowDown");
      await page.click("#lens-tab-whatIf");
      await page.click('[data-testid="mute"][data-layer="1"][data-head="2"]');
      await page.click('[data-testid="mute"][data-layer="0"][data-head="-1"]');
      await page.fill('[data-testid="scale"]', "1.5");
      await page.click('[data-testid="swap-token"] >> nth=0');
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="whatif"][data-fresh="true"] [data-testid="edit"] >> nth=2');
      await page.waitForFunction(() => Number(document.querySelector<HTMLElement>('[data-testid="whatif"]')?.dataset.bits) > 0);
      const [{ bits }] = await data(page, "whatif");
      return [Number(bits).toFixed(4), await page.textContent(".chips"), await page.inputValue('[data-testid="scale"]'), await pressed(page)];
    },
  },
  {
    name: "lens: pushes of another word, the strongest first, a layer's heads",
    hash: `#lens?${text}&i=6&l=2`,
    told: ["tab=pushes", "sorted=1", "relative=0", "unfolded=1", "target="],
    set: async (page) => {
      await page.click("#lens-tab-pushes");
      await page.waitForSelector('[data-testid="push-row"]');
      await page.selectOption('[data-testid="push-target"]', { index: 2 });
      await page.click(".pushes .both button >> nth=1");
      await page.uncheck(".pushes .tick input");
      await page.click('[data-part="attention.1"] .name');
    },
    shown: async (page) => {
      await page.waitForSelector('[data-part="head.1.0"]');
      await page.waitForSelector('[data-testid="push-sum"]');
      const rows = await data(page, "push-row");
      return [await pressed(page), rows.map(({ part, amount }) => [part, Number(amount).toFixed(3)])];
    },
  },
  {
    name: "matrices: GPT-3 bent, by the exact rule",
    hash: `#matrices?${text}`,
    told: ["source=gpt3", "rule=exact", "bent=12288_96_49152_12_50257_2048"],
    set: async (page) => {
      await page.selectOption('[data-testid="tally-source"]', "gpt3");
      await press(page, "tally-rule-exact");
      await page.fill('[data-testid="dimension-layers"]', "12");
      await page.press('[data-testid="dimension-layers"]', "Enter");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="dimensions-restore"]');
      return [await data(page, "tally-total"), await pressed(page)];
    },
  },
  {
    name: "matrices: a matrix multiplied with a row that was chosen",
    hash: `#matrices?${text}&l=1`,
    told: ["open=Up-projection", "mode=multiply", "row=17"],
    set: async (page) => {
      await press(page, "open-Up-projection");
      await press(page, "matrix-multiply");
      await page.fill('[data-testid="reader-row"]', "17");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="reader"][data-row="17"]:not(.stale)');
      return [await data(page, "reader-total"), await page.inputValue('[data-testid="matrix-category"]')];
    },
  },
  {
    name: "matrices: the unembedding with a row that is not the favourite's, five terms summed",
    hash: `#matrices?${text}`,
    told: ["open=Unembedding", "mode=multiply", "row=9", "terms=5"],
    set: async (page) => {
      await press(page, "open-Unembedding");
      await press(page, "matrix-multiply");
      await page.waitForSelector('[data-testid="reader"]:not(.stale)');
      expect(await page.inputValue('[data-testid="reader-row"]')).not.toBe("9");
      await page.fill('[data-testid="reader-row"]', "9");
      await page.waitForSelector('[data-testid="reader"][data-row="9"]:not(.stale)');
      await press(page, "reader-first");
      for (let i = 0; i < 5; i++) await press(page, "reader-next");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="reader"][data-row="9"]:not(.stale) [data-testid="reader-running"][data-terms="5"]');
      await page.waitForTimeout(300); // nothing else takes the row
      return [await data(page, "reader-running"), await data(page, "reader-total"), await page.inputValue('[data-testid="reader-row"]')];
    },
  },
  {
    name: "matrices: zoomed in, somewhere else",
    hash: `#matrices?${text}&l=1&h=2`,
    told: ["open=Up-projection", "zoom=24", "corner=", "cell="],
    set: async (page) => {
      await press(page, "open-Up-projection");
      await page.waitForSelector('[data-testid="matrix-cell"][data-value]');
      await page.focus('[data-testid="matrix-stage"]');
      for (const key of ["+", "+", "+", "PageDown", "PageDown", "End", "ArrowUp"]) await page.keyboard.press(key);
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="matrix-stage"][data-level="3"]');
      await page.waitForSelector('[data-testid="matrix-cell"][data-value]');
      return [await data(page, "matrix-cell"), await data(page, "matrix-statistics")];
    },
  },
  {
    name: "matrices: one of the biases",
    hash: `#matrices?${text}&v.rule=exact&l=1`,
    told: ["open=Biases", "vector=transformer.h.1.mlp.c_fc.bias"],
    set: async (page) => {
      await press(page, "open-Biases");
      await page.selectOption('[data-testid="matrix-vector"]', "transformer.h.1.mlp.c_fc.bias");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="matrix-statistics"][data-count="384"]');
      return [await data(page, "matrix-statistics"), await page.inputValue('[data-testid="matrix-vector"]')];
    },
  },
  {
    name: "matrices: all heads of a layer",
    hash: `#matrices?${text}&l=2&h=1`,
    told: ["open=Key", "all=1"],
    set: async (page) => {
      await press(page, "open-Key");
      await page.selectOption('[data-testid="matrix-head"]', "-1");
    },
    shown: async (page) => {
      await page.waitForSelector('[data-testid="matrix-statistics"]');
      return [await data(page, "matrix-statistics"), await page.inputValue('[data-testid="matrix-head"]')];
    },
  },
  {
    name: "context: a short memory",
    hash: `#context?${text}`,
    told: [],
    set: async (page) => {
      await page.fill('[data-testid="context-number"]', "4");
      await page.press('[data-testid="context-number"]', "Enter");
    },
    shown: async (page) => {
      await page.waitForFunction(() => document.querySelectorAll("#panel .token.gone").length === 7);
      await page.waitForFunction(() => Number(document.querySelector<HTMLElement>('[data-testid="divergence"]')?.dataset.bits) > 0);
      return [await page.inputValue('[data-testid="context-number"]'), (await data(page, "divergence"))[0].bits.slice(0, 6)];
    },
  },
];

describe.skipIf(missing !== "")("an address", { timeout: 120_000 }, () => {
  let studio: Studio;
  beforeAll(async () => {
    studio = await openStudio();
  }, 60_000);
  afterAll(async () => {
    expect(studio.problems).toEqual([]);
    await studio.close();
  });

  test.each(cases)("gives the same view again: $name", async ({ hash, told, set, shown }) => {
    const page = await studio.visit(hash, { reducedMotion: "reduce" });
    await set(page);
    const before = await shown(page);
    await page.waitForTimeout(400); // the address follows a moment later
    const address = new URL(page.url()).hash;
    for (const parameter of told) expect(address).toContain(`v.${parameter}`);
    await page.context().close();

    const fresh = await studio.visit(address, { reducedMotion: "reduce" });
    expect(await shown(fresh)).toEqual(before);
    await fresh.waitForTimeout(400);
    expect(new URL(fresh.url()).hash).toBe(address);
    await fresh.context().close();
  });

  test("put into a tab where the studio is already open is followed", async () => {
    const page = await studio.visit(`#write?${text}`);
    await page.evaluate(() => (location.hash = "#tokens?m=letters&p=A%20dog"));
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="piece"]').length === 5);
    expect(await page.inputValue("#prompt")).toBe("A dog");
    await page.context().close();
  });

  test("holds only the panel that is shown", async () => {
    const page = await studio.visit(`#tokens?${text}&v.cut=words`);
    await page.waitForSelector('[data-testid="words"]');
    await page.click("#tab-context");
    await page.waitForFunction(() => location.hash.startsWith("#context") && !location.hash.includes("v."));
    await page.click("#tab-tokens");
    await page.waitForFunction(() => location.hash.includes("v.cut=words"));
    await page.context().close();
  });

  test.each([
    `#write?${text}&x=((((&y=*&n=0&v.branches=constructor&v.zoom=99999_-1`,
    `#flow?${text}&v.open=__proto__&v.also=99_-1_1e9&v.measure=x&v.mean=2`,
    `#lens?${text}&v.point=up&v.tab=toString&v.scaled=99.99x0_1.1x9&v.swaps=999.1_0.99999&v.target=99999&v.unfolded=-1`,
    `#matrices?${text}&v.source=../../etc&v.rule=x&v.bent=1e9_0_1_1_1&v.open=Nothing&v.row=-5&v.zoom=1e9&v.corner=-1_x&v.cell=1&v.terms=1.5`,
    `#distribution?${text}&v.mode=lecture&v.moves=999&v.logits=1_2&v.t=-1&v.follow=9999`,
    `#tokens?${text}&v.beside=embedded%3Anone&v.opened=-1&v.own=${"x".repeat(5000)}`,
    `#context?${text}&${Array.from({ length: 500 }, (_, i) => `v.${"abcdefghij"[i % 10]}=${i}`).join("&")}`,
  ])("that is hostile is met calmly: %s", async (hash) => {
    const page = await studio.visit(hash);
    await page.waitForFunction(
      (panel) => document.querySelector(`#tab-${panel}`)?.getAttribute("aria-selected") === "true",
      /^#(\w+)/.exec(hash)![1],
    );
    await page.waitForFunction(() => (document.querySelector("#panel")?.textContent ?? "").trim().length > 40);
    await page.waitForFunction(() => !location.hash.includes("v.") || location.hash.includes("v.mode=lecture"), undefined, { timeout: 5000 });
    expect(await page.$$eval(".notice.error", (all) => all.map((one) => one.textContent))).toEqual([]);
    await page.context().close();
  });
});
