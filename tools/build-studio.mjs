/** The studio into dist/studio: the page by Vite, with the kernels and the embedded models beside it, so that the folder is all a file host needs. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup.mjs";

/** Files of a model folder that the page reads; cards and recipes stay behind. */
const needed =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|vocab)\.json$|^merges\.txt$|^model.*\.safetensors(\.index\.json)?$/;

export async function buildStudio() {
  const out = join(root, "dist/studio");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, "models"), { recursive: true });
  const { build } = await import("vite");
  await build({ configFile: join(root, "studio/vite.config.ts"), logLevel: "warn" });
  for (const file of readdirSync(join(root, "dist/kernels")))
    if (/^kernels-.*\.wasm$/.test(file)) cpSync(join(root, "dist/kernels", file), join(out, "kernels", file));
  writeFileSync(join(out, "models/index.json"), JSON.stringify(embedded(join(out, "models")), null, 2));
}

/** Copies the embedded models; gives their names and sizes, which the page asks for first. */
function embedded(out) {
  const from = join(root, "models");
  if (!existsSync(from)) return [];
  const names = readdirSync(from).filter((name) => existsSync(join(from, name, "config.json")));
  return names.map((name) => {
    const files = readdirSync(join(from, name)).filter((file) => needed.test(file));
    for (const file of files) cpSync(join(from, name, file), join(out, name, file));
    return { name, bytes: files.reduce((sum, file) => sum + statSync(join(from, name, file)).size, 0) };
  });
}

if (process.argv[1] === import.meta.filename) await buildStudio();
