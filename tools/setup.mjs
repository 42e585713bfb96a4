/**
 * Makes a fresh clone ready: Node version, npm packages, kernels, build. Quick when nothing changed.
 * Needs nothing but Node itself, since it runs before anything is installed.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** What tools/build.mjs can make. */
export const allParts = ["command", "library", "studio"];

/** Installs, and builds what of `parts` is missing or out of date. Talks on stderr only: stdout belongs to the command. */
export function setUp(parts = allParts) {
  checkNode();
  mkdirSync(join(root, "out"), { recursive: true });
  const packages = fingerprint(["package.json", "package-lock.json"]) + process.version;
  if (lstatSync(join(root, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
    if (stamp("node_modules/.vitrine-stamp") !== packages) say("node_modules is a link; the packages it leads to are used as they are");
  } else if (stamp("node_modules/.vitrine-stamp") !== packages) {
    say("installing packages (once) ...");
    run("npm", ["ci", "--ignore-scripts", "--loglevel=error", "--no-fund", "--no-audit"], "is the npm registry reachable?");
    writeFileSync(join(root, "node_modules/.vitrine-stamp"), packages);
  }
  const sources = fingerprint(["package-lock.json", "tsconfig.json", "tsconfig.build.json", "tools", "kernels", "src", "studio", "models"]);
  const stale = parts.filter((part) => stamp(`dist/.${part}`) !== sources);
  if (stale.length === 0) return;
  say(`building ${stale.length === allParts.length ? "" : `the ${stale.join(" and ")} `}(once) ...`);
  for (const part of stale) rmSync(join(root, `dist/.${part}`), { force: true });
  run(process.execPath, ["tools/build.mjs", ...stale], "");
  for (const part of stale) writeFileSync(join(root, `dist/.${part}`), sources);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  say(`needs Node 20.19 or newer, this is ${process.version}; install a newer one from your package manager or nodejs.org`);
  process.exit(2);
}

/** Runs a program of the set-up with its stdout sent to stderr; ends the process when it fails. */
export function run(program, args, hint, options = {}) {
  const shell = process.platform === "win32";
  const { status } = spawnSync(program, args, { cwd: root, stdio: ["ignore", 2, 2], shell, ...options });
  if (status === 0) return;
  say(`${[program, ...args].join(" ")} failed${hint ? `; ${hint}` : ""}`);
  process.exit(1);
}

export function say(message) {
  process.stderr.write(`vitrine set-up: ${message}\n`);
}

function stamp(path) {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** A hash over the bytes of files and of all files in folders; tests do not count. */
function fingerprint(paths) {
  const hash = createHash("sha256");
  const visit = (path) => {
    if (!existsSync(join(root, path))) return;
    if (statSync(join(root, path)).isDirectory()) {
      for (const entry of readdirSync(join(root, path)).sort()) visit(`${path}/${entry}`);
    } else if (!/\.test\.ts$|\.testing\.ts$/.test(path)) hash.update(path).update(readFileSync(join(root, path)));
  };
  paths.forEach(visit);
  return hash.digest("hex");
}
