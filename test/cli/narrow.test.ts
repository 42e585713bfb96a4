/**
 * Nothing is wider than the window, also where the window is small: tables, charts, scores and their totals.
 */
import { describe, expect, it } from "vitest";
import { drawTable } from "../../src/cli/table.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import { foldWords, widthOf } from "../../src/cli/width.ts";
import { fakeModels, plain, vitrine } from "./fake.testing.ts";

function expectWithin(text: string, columns: number): void {
  for (const line of plain(text).split("\n")) expect(widthOf(line), line).toBeLessThan(columns);
}

const listed = {
  name: `organisation/a-model-with-a-long-name@${"0123456789".repeat(4)}`,
  source: "cache",
  folder: "/m",
  bytes: 1_200_000,
  architecture: "some_architecture",
  loadable: false,
  why: "config.json: the architecture some_architecture is not one of those that can be run here, which are gpt2, gpt_neox and llama",
} as const;

describe("in a narrow window", () => {
  it.each([40, 50, 60, 80, 120])("params fits %i columns, with every part of every formula", async (columns) => {
    for (const argv of [
      ["params", "gpt2", "--rule", "exact"],
      ["params", "gpt3"],
    ]) {
      const { stdout } = await vitrine(argv, { columns });
      expectWithin(stdout, columns);
    }
    const { stdout } = await vitrine(["params", "gpt2", "--rule", "exact"], { columns: 80 });
    expect(plain(stdout)).toMatch(/^Biases +\S.* 82,944 /m);
    expect(plain(stdout)).toMatch(/Total +124,439,808/);
  });

  it.each([40, 60, 80])("models fits %i columns, and leaves out most of a commit", async (columns) => {
    const models = fakeModels({ more: { list: async () => [listed] } });
    const { stdout } = await vitrine(["models"], { models, columns });
    expectWithin(stdout, columns);
    if (columns === 80) expect(plain(stdout).replaceAll(/\s/g, "")).toContain("0123456789…");
    expect(plain(stdout)).not.toContain("01234567890");
    expect((await vitrine(["models", "--json"], { models })).stdout).toContain(listed.name);
  });

  it.each([20, 24, 30, 40, 48])("charts and scores fit %i columns", async (columns) => {
    const text = " little cat";
    const show = await vitrine(["generate", text, "-n", "9", "--seed", "12", "--show", "3", "--context", "6", "--slide-by", "2"], { columns });
    expectWithin(show.stdout, columns);
    expectWithin(
      (await vitrine(["generate", text, "-n", "4", "--seed", "4", "--show", "3", "-t", "1.5", "--top-k", "4"], { columns })).stdout,
      columns,
    );
    const score = await vitrine(["score", text], { columns });
    expectWithin(score.stdout, columns);
    expect(score.stdout).toContain("2 tokens scored");
  });

  it("a table without room wraps its cells and loses nothing", () => {
    const terminal = terminalOf({ isTTY: true, columns: 30 }, { NO_COLOR: "1" }, "linux");
    const lines = drawTable([{ title: "name" }, { title: "why", wrap: true }], [["a", "one two three four five six seven eight"]], terminal);
    expect(lines.slice(2)).toEqual(["a     one two three four five", "      six seven eight"]);
    for (const line of lines) expect(widthOf(line)).toBeLessThan(30);
  });

  it("folds words that are longer than a line", () => {
    expect(foldWords("ab abcdefgh i", 3)).toEqual(["ab", "abc", "def", "gh", "i"]);
    expect(foldWords("東京語", 1)).toEqual(["東", "京", "語"]);
    expect(foldWords("", 5)).toEqual([""]);
  });
});
