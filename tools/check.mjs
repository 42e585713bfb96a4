/** `npm run check`: types (all, and the core without Node or a page), lint, format, unused files and dependencies. */
import { spawnSync } from "node:child_process";
import { root, setUp } from "./setup.mjs";

setUp();
const steps = [
  ["types", "typescript/bin/tsc", ["-p", "tsconfig.json"]],
  ["types of the core", "typescript/bin/tsc", ["-p", "tsconfig.core.json"]],
  [
    "types of the studio",
    "svelte-check/bin/svelte-check",
    ["--workspace", "studio", "--tsconfig", "./tsconfig.json", "--fail-on-warnings", "--output", "human"],
  ],
  ["lint", "oxlint/bin/oxlint", ["--type-aware", "--deny-warnings", "src", "studio", "test", "bench", "examples", "tools"]],
  ["format", "prettier/bin/prettier.cjs", [process.argv.includes("--fix") ? "--write" : "--check", "--log-level=warn", "."]],
  ["unused", "knip/bin/knip.js", []],
  ["package", "publint/src/cli.js", ["--strict", "--pack", "false"]],
  ["size", "../tools/size.mjs", []],
];
let failed = 0;
for (const [name, program, args] of steps) {
  const started = Date.now();
  const { status } = spawnSync(process.execPath, [`node_modules/${program}`, ...args], { cwd: root, stdio: ["ignore", 1, 1] });
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
