/** Runs a TypeScript file of this repo: `node tools/run.mjs bench/gemm.ts ARGS`. Bundled by rolldown, since Node 20 cannot strip types. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./setup.mjs";

/** Bundles `file` and gives the path of the result. `import "vitrine"` stays an import of the built package. */
export async function bundle(file) {
  const { rolldown } = await import("rolldown");
  const out = join(root, "out/run", `${basename(file, ".ts")}.mjs`);
  mkdirSync(join(root, "out/run"), { recursive: true });
  const build = await rolldown({
    input: resolve(root, file),
    platform: "node",
    external: [/^node:/, /^(?!@oxc-project\/)[a-z@]/],
    transform: { target: "node20" },
    logLevel: "warn",
  });
  await build.write({ file: out, format: "esm", sourcemap: "inline", codeSplitting: false });
  await build.close();
  return out;
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  const [file, ...args] = process.argv.slice(2);
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", await bundle(file), ...args], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
