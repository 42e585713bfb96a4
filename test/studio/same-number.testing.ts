/** Selects a number on the page and runs the command that its why card gives. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Locator, Page } from "playwright-core";
import { root } from "./page.testing.ts";

export interface Answer {
  readonly title: string;
  readonly value: string;
  readonly provenance: string;
  readonly library: string;
  readonly command: string;
}

/** What the why card says, at depth "code". The page is asked for it anew. */
export async function answer(page: Page, number: Locator): Promise<Answer> {
  if ((await number.getAttribute("aria-pressed")) !== "true") await number.click();
  const card = page.locator("section.card:not(.empty)").first();
  await card.locator("pre").nth(1).waitFor();
  const text = async (selector: string): Promise<string> => ((await card.locator(selector).first().textContent()) ?? "").trim();
  const [library, command] = await card.locator("pre").allTextContents();
  return { title: await text("h2"), value: await text(".value"), provenance: await text(".provenance"), library, command };
}

/** Its output; `vitrine` is this checkout's. */
export async function run(command: string): Promise<string> {
  const own = `vitrine() { "${process.execPath}" "${join(root, "bin/vitrine.js")}" "$@"; }; ${command}`;
  const { stdout } = await promisify(execFile)("bash", ["-c", own], { cwd: root, maxBuffer: 2 ** 26 });
  return stdout;
}

/** What the library's calls of a card come to: the last one is printed. */
export async function runLibrary(library: string): Promise<string> {
  const printed = library.replace(/\n([^\n]+);[^;\n]*$/, "\nconsole.log($1);");
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", `${printed}\nprocess.exit();`], { cwd: root });
  return stdout;
}
