/** Every word of the studio in both languages: no blanks, the same placeholders. That the keys are the same is the types' business. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import type { Messages } from "./i18n.svelte.ts";

const seen: Messages<string>[] = [];
vi.mock("./i18n.svelte.ts", () => ({
  translator: (messages: Messages<string>) => {
    seen.push(messages);
    return (key: string) => messages.en[key];
  },
}));

const studio = fileURLToPath(new URL("..", import.meta.url));
const files = readdirSync(studio, { recursive: true, encoding: "utf8" }).filter((file) => /(^|[\\/])messages\.ts$/.test(file));
const holes = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).toSorted();

describe("messages", () => {
  test("are there for the shell and the panels", () => expect(files.length).toBeGreaterThan(0));

  test.each(files)("%s is whole in both languages", async (file) => {
    seen.length = 0;
    await import(`${studio}/${file}`);
    expect(seen.length).toBeGreaterThan(0);
    for (const { en, zh } of seen) {
      expect(Object.keys(zh).toSorted()).toEqual(Object.keys(en).toSorted());
      for (const key of Object.keys(en)) {
        expect(en[key].trim(), `en ${key}`).not.toBe("");
        expect(zh[key].trim(), `zh ${key}`).not.toBe("");
        expect(holes(zh[key]), key).toEqual(holes(en[key]));
      }
    }
  });
});
