/** `npm run bench -- NAME [ARGS]`: runs bench/NAME.ts; without a name lists what there is. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";
import { bundle } from "./run.mjs";

setUp();
const folder = join(root, "bench");
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && !file.startsWith("_"))
  .map((file) => file.slice(0, -3));
const [name, ...args] = process.argv.slice(2);
if (!name) {
  console.log("npm run bench -- NAME, where NAME is one of\n");
  for (const each of names)
    console.log(`  ${each.padEnd(14)} ${/description = "([^"]*)"/.exec(readFileSync(join(folder, `${each}.ts`), "utf8"))?.[1] ?? ""}`);
  console.log("\nPeers that other packages bring are compared where installed: npm install --prefix bench/peers");
} else if (!existsSync(join(folder, `${name}.ts`))) {
  console.error(`bench: no bench/${name}.ts; there is ${names.join(", ")}`);
  process.exitCode = 2;
} else {
  const { status } = spawnSync(process.execPath, ["--expose-gc", "--enable-source-maps", await bundle(`bench/${name}.ts`), ...args], {
    stdio: "inherit",
    cwd: root,
  });
  process.exitCode = status ?? 1;
}
