/** `npm test [-- FILTERS]`: sets up (a browser too, where it can), then runs every test. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, say, setUp } from "./setup.mjs";
import { findBrowser } from "./browser.mjs";

setUp();
const browser = findBrowser() ?? installBrowser();
if (!browser) say("no Chromium or Chrome found: the browser tests will be skipped (install one, or name it in CHROME_PATH)");
if (!existsSync(join(root, "../shared/data"))) say("../shared/data is not here: tests on its golden vectors will be skipped");

const report = join(root, "out/test-report.json");
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit", env: { ...process.env, ...(browser ? { CHROME_PATH: browser } : {}) } },
);
const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
process.exitCode = status ?? 1;

/** Debian's Chromium, where this process may install it: as root, with apt-get. */
function installBrowser() {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get") || !existsSync("/etc/debian_version")) return undefined;
  say("installing Debian's Chromium for the browser tests (once) ...");
  const apt = (...args) =>
    spawnSync("apt-get", ["-qq", ...args], { stdio: ["ignore", "ignore", 2], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  apt("update");
  apt("install", "--no-install-recommends", "-y", "chromium");
  return findBrowser();
}
