/**
 * Finding the other engines. They live in bench/peers, a workspace of its own that only `npm install --prefix bench/peers` fills;
 * a bench goes on without whatever is missing, and says so in one line.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./_machine.ts";

const folder = join(root, "bench/peers");

/** The package as `Module` (its default export when it is CommonJS), or undefined after one line that says what is missing. */
export async function peer<Module>(name: string): Promise<Module | undefined> {
  if (!existsSync(join(folder, "node_modules", name))) {
    console.log(`${name}: not installed, left out (npm install --prefix bench/peers)`);
    return undefined;
  }
  try {
    // load.mjs stands in bench/peers, so Node looks the name up from there, whether the package is CommonJS or ESM.
    const { load } = (await import(pathToFileURL(join(folder, "load.mjs")).href)) as { load: (name: string) => Promise<{ default?: Module }> };
    const module = await load(name);
    return module.default ?? (module as Module);
  } catch (error) {
    console.log(`${name}: does not load here, left out (${String(error).split("\n")[0]})`);
    return undefined;
  }
}

/** "onnxruntime-node 1.30.0", for tables and JSON. */
export function peerVersion(name: string): string {
  const { version } = JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")) as { version: string };
  return `${name} ${version}`;
}
