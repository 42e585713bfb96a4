/**
 * `npm run build [-- PARTS]`: all, or only the parts named (set-up starts with what is asked for).
 *
 * - command: the `vitrine` command as one file, with the kernels that this machine's Node and processor take;
 * - library: ES modules and types in dist/;
 * - studio: the web app as a static site in dist/studio.
 *
 * Kernels go to WebAssembly and, where there is a C compiler, to a native add-on.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { allParts, root, run } from "./setup.mjs";
import { buildKernels } from "./build-kernels.mjs";
import { buildNative, ownSets } from "./build-native.mjs";
import { buildStudio } from "./build-studio.mjs";

const builds = { command: buildCommand, library: buildLibrary, studio: buildStudio };
const parts = process.argv.length > 2 ? process.argv.slice(2) : allParts;
for (const part of parts) {
  if (allParts.includes(part)) continue;
  process.stderr.write(`build: no part ${part}; there is ${allParts.join(", ")}\n`);
  process.exit(2);
}
const own = !parts.includes("library"); // what is made to be taken elsewhere holds all
await Promise.all([
  buildNative({ sets: own ? ownSets() : undefined }),
  buildKernels({ sets: parts.every((part) => part === "command") ? ["relaxed"] : undefined }),
]);
for (const part of parts) await builds[part]();

async function buildCommand() {
  const { rolldown } = await import("rolldown");
  const { default: command } = await import("./rolldown.config.mjs");
  const bundle = await rolldown({ ...command, cwd: root });
  await bundle.write(command.output);
  await bundle.close();
}

/** Types are checked by `npm run check`; building only strips them, so that a first start stays short. */
function buildLibrary() {
  const dist = join(root, "dist");
  const others = ["kernels", "cli", "studio"];
  if (existsSync(dist))
    for (const entry of readdirSync(dist))
      if (!others.includes(entry) && !entry.startsWith(".")) rmSync(join(dist, entry), { recursive: true, force: true });
  run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--noCheck"], "");
}
