/**
 * Loads the native kernels that tools/build-native.mjs made, or says why there are none. Whatever lies there (a torn file, another
 * machine's) must not end the process: the file is compared with its record before the system's loader may see it.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import type { NativeLoad } from "../device/cpu/host.ts";
import type { NativeKernels } from "../device/cpu/native-runner.ts";

/** Where tools/build-native.mjs puts it, seen from src/host/, dist/host/ and a bundle in dist/. */
const folders = ["../../dist/kernels/", "../kernels/", "./kernels/"];

/** What the build writes beside the add-on. */
interface Record {
  /** Hash of the add-on's bytes; missing when none was built. */
  readonly sha256?: string;
  /** Why none was built. */
  readonly problem?: string;
}

let loaded: NativeLoad | undefined;

/** The add-on of this installation, loaded once. */
export function loadNative(): NativeLoad {
  loaded ??= loadNativeFrom(folders.map((folder) => fileURLToPath(new URL(folder, import.meta.url))).find(hasRecord) ?? "");
  return loaded;
}

function baseName(): string {
  return `vitrine-${process.platform}-${process.arch}`;
}

function hasRecord(folder: string): boolean {
  return existsSync(`${folder}${baseName()}.json`);
}

const cure = "run `npm run build`, which needs a C compiler (on Debian: apt install gcc libc6-dev)";

/** The add-on in a folder, whose name ends with a slash. Never throws. */
export function loadNativeFrom(folder: string): NativeLoad {
  const base = folder + baseName();
  if (folder === "" || !hasRecord(folder)) return { missing: `no native kernels were built for ${process.platform} ${process.arch}; ${cure}` };
  try {
    const { sha256, problem } = JSON.parse(readFileSync(`${base}.json`, "utf8")) as Record;
    if (sha256 === undefined) return { missing: `${problem ?? "the build made none"}; install a C compiler and run \`npm run build\`` };
    if (!existsSync(`${base}.node`)) return { missing: `the add-on ${baseName()}.node is gone; run \`npm run build\`` };
    const found = createHash("sha256")
      .update(readFileSync(`${base}.node`))
      .digest("hex");
    if (found !== sha256) return broken("is not the file that was built (damaged?)");
    const module: { exports: Partial<NativeKernels> } = { exports: {} };
    process.dlopen(module, `${base}.node`, constants.dlopen.RTLD_NOW);
    if (typeof module.exports.open !== "function") return broken("is not Vitrine's");
    return { kernels: module.exports as NativeKernels };
  } catch (error) {
    return broken(`does not load (${firstLine(error)})`);
  }
}

function broken(what: string): NativeLoad {
  return { missing: `the add-on ${baseName()}.node ${what}; run \`npm run build\``, broken: true };
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0];
}
