/** What the library costs a page: the browser entry, bundled and minified, and one build of the kernels, gzipped. The budget is 150 kB. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { root } from "./setup.mjs";

const BUDGET = 150_000;

const build = await rolldown({ input: join(root, "src/index.browser.ts"), platform: "browser", transform: { target: "es2023" }, logLevel: "warn" });
const { output } = await build.generate({ format: "esm", minify: true });
await build.close();
const parts = output.map((chunk) => [chunk.fileName, gzipSync(chunk.type === "chunk" ? chunk.code : chunk.source).length]);
parts.push(["kernels", gzipSync(readFileSync(join(root, "dist/kernels/kernels-relaxed-shared.wasm"))).length]);
const total = parts.reduce((sum, [, bytes]) => sum + bytes, 0);
for (const [name, bytes] of parts) console.log(`${String(bytes).padStart(8)} bytes  ${name}`);
console.log(`${String(total).padStart(8)} bytes of ${BUDGET}, gzipped`);
process.exitCode = total <= BUDGET ? 0 : 1;
