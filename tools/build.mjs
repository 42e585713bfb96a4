/** `npm run build`: kernels to WebAssembly and, where there is a C compiler, to a native add-on, the library to dist/ (ES modules and types), the command to one file, the studio to a static site. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./setup.mjs";
import { buildKernels } from "./build-kernels.mjs";
import { buildNative } from "./build-native.mjs";
import { buildStudio } from "./build-studio.mjs";

const dist = join(root, "dist");
if (existsSync(dist)) for (const entry of readdirSync(dist)) if (entry !== "kernels") rmSync(join(dist, entry), { recursive: true, force: true });

const native = buildNative(); // its compilers run beside the other
await buildKernels();
await native;
// Types are checked by `npm run check`; building only strips them, so that a first start stays short.
run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--noCheck"], "");
const { rolldown } = await import("rolldown");
const { default: command } = await import("./rolldown.config.mjs");
const bundle = await rolldown({ ...command, cwd: root });
await bundle.write(command.output);
await bundle.close();
await buildStudio();
