/** The studio's own floor plan: only studio/engine/ knows src/, nothing random but the seeded sampler, and panels do not know each other. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const studio = fileURLToPath(new URL("../studio", import.meta.url));
const files = readdirSync(studio, { recursive: true, encoding: "utf8" })
  .filter((file) => (file.endsWith(".ts") || file.endsWith(".svelte")) && !file.endsWith(".test.ts"))
  .map((file) => file.replaceAll("\\", "/"));
const text = (file: string): string => readFileSync(join(studio, file), "utf8");
const importPattern = /(?:import|export)\s[^;]*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g;
const imports = (file: string): string[] =>
  [...text(file).matchAll(importPattern)]
    .map((match) => match[1] ?? match[2])
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => relative(studio, join(studio, dirname(file), specifier)).replaceAll("\\", "/"));

describe("the studio", () => {
  test("is seen at all", () => expect(files.length).toBeGreaterThan(20));

  test("asks src/ only through its engine folder", () => {
    const strays = files.filter((file) => !file.startsWith("engine/") && imports(file).some((target) => target.startsWith("../src/")));
    expect(strays).toEqual([]);
  });

  test("has panels that do not know each other", () => {
    const panel = (file: string): string | undefined => /^panels\/([^/]+)\//.exec(file)?.[1];
    const strays = files.filter(
      (file) => panel(file) !== undefined && imports(file).some((target) => (panel(target) ?? panel(file)) !== panel(file)),
    );
    expect(strays).toEqual([]);
  });

  test("draws nothing at random by itself", () => {
    expect(files.filter((file) => /Math\.random|crypto\.getRandomValues/.test(text(file)))).toEqual([]);
  });
});
