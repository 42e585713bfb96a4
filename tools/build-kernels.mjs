/**
 * Compiles kernels/*.c to dist/kernels/kernels-{relaxed,simd}-{shared,single}.wasm.
 *
 * Uses `@yowasp/clang` (clang and lld inside an npm package) unless VITRINE_CLANG names a clang that targets wasm32.
 * Does nothing when sources, flags and compiler are those of the last build. `--force` builds anyway; `--out DIR` elsewhere.
 */
import { createHash } from "node:crypto";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";

const root = fileURLToPath(new URL("..", import.meta.url));

/** relaxed: fused multiply-add, chosen at run time where the engine has relaxed SIMD. */
const instructionSets = { relaxed: ["-mrelaxed-simd"], simd: [] };
/** shared: threads on one memory (needs cross-origin isolation in a page); single: the same object on a memory of its own. */
const memories = { shared: ["--shared-memory"], single: ["--no-check-features"] };

// prettier-ignore
const compileFlags = [
  "-c", "-target", "wasm32-unknown-unknown", "-std=gnu11", "-ffreestanding", "-Wall", "-Wextra", "-Werror",
  "-msimd128", "-matomics", "-mbulk-memory", "-ffp-contract=off", "-fno-math-errno",
  // Loops are vectorised and unrolled by hand where it pays; the compiler's own tries only make the files larger.
  "-O2", "-fno-unroll-loops", "-fno-vectorize", "-fno-slp-vectorize",
];
// prettier-ignore
const linkFlags = [
  "--no-entry", "--strip-all", "--import-memory", "--max-memory=4294967296", "--export=__stack_pointer", "--export=__heap_base",
  "--stack-first", "-z", `stack-size=${1 << 20}`,
];

/**
 * Builds what is out of date, each set in a process of its own: they run side by side, and clang there runs in V8's quick-to-start
 * compiler (10 s become 4), a switch that would make everything else here slow. Throws with the compiler's words when the kernels
 * do not compile. `sets`: those wanted; Node itself only ever takes "relaxed".
 * @param {{ force?: boolean, out?: string, defines?: string[], sets?: string[] }} [options]
 * @returns {Promise<{ seconds: number, built: boolean, directory: string }>}
 */
export async function buildKernels({ force = false, out = join(root, "dist", "kernels"), defines = [], sets = Object.keys(instructionSets) } = {}) {
  const started = performance.now();
  const sources = readSources();
  const stale = sets.filter((set) => force || !isCurrent(out, set, stampOf(set, sources, defines)));
  await Promise.all(stale.map((set) => compileApart(out, set, defines)));
  return { seconds: (performance.now() - started) / 1000, built: stale.length > 0, directory: out };
}

function stampOf(set, sources, defines) {
  const compiler = process.env.VITRINE_CLANG ?? "@yowasp/clang";
  return createHash("sha256")
    .update(JSON.stringify([sources, instructionSets[set], memories, compileFlags, linkFlags, compiler, defines]))
    .digest("hex");
}

function isCurrent(out, set, stamp) {
  const stampFile = join(out, `kernels-${set}.hash`);
  return (
    existsSync(stampFile) &&
    readFileSync(stampFile, "utf8") === stamp &&
    Object.keys(memories).every((memory) => existsSync(fileOf(out, set, memory)))
  );
}

function fileOf(out, set, memory) {
  return join(out, `kernels-${set}-${memory}.wasm`);
}

function compileApart(out, set, defines) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), "--compile", out, set, ...defines], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (status) => (status === 0 ? resolve() : reject(new Error(`kernels did not compile:\n${said}`))));
  });
}

/** The work itself: one object, linked once per kind of memory. */
async function compileSet(out, set, defines) {
  setFlagsFromString("--liftoff-only");
  const sources = readSources();
  mkdirSync(out, { recursive: true });
  const tools = process.env.VITRINE_CLANG ? systemTools(process.env.VITRINE_CLANG) : await packageTools();
  const object = await tools.compile([...compileFlags, ...instructionSets[set], ...defines.map((define) => `-D${define}`)], sources);
  for (const [memory, flags] of Object.entries(memories)) {
    const file = fileOf(out, set, memory);
    writeFileSync(`${file}.${process.pid}`, await tools.link([...linkFlags, ...flags], object));
    renameSync(`${file}.${process.pid}`, file);
  }
  writeFileSync(join(out, `kernels-${set}.hash`), stampOf(set, sources, defines));
}

/** @returns {Record<string, string>} */
function readSources() {
  const directory = join(root, "kernels");
  const names = readdirSync(directory)
    .filter((name) => /\.[ch]$/.test(name))
    .sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]));
}

/** clang and lld as WebAssembly, from npm. */
async function packageTools() {
  const { runClang, runLLVM } = await import("@yowasp/clang");
  return {
    compile: (flags, sources) => outputOf(runClang, ["clang", ...flags, "all.c", "-o", "all.o"], sources, "all.o"),
    link: (flags, object) => outputOf(runLLVM, ["wasm-ld", ...flags, "all.o", "-o", "kernels.wasm"], { "all.o": object }, "kernels.wasm"),
  };
}

async function outputOf(tool, args, files, out) {
  const said = [];
  const keep = (bytes) => void (bytes && said.push(Buffer.from(bytes).toString()));
  try {
    return (await tool(args, files, { stdout: keep, stderr: keep }))[out];
  } catch (error) {
    throw new Error(said.join("") || error.message, { cause: error });
  }
}

/** A clang of the machine, which finds its own wasm-ld. */
function systemTools(clang) {
  const run = (args) => execFileSync(clang, args, { stdio: ["ignore", "inherit", "inherit"] });
  return {
    compile: (flags) =>
      inFolder((folder) => {
        run([...flags, join(root, "kernels", "all.c"), "-o", join(folder, "all.o")]);
        return readFileSync(join(folder, "all.o"));
      }),
    link: (flags, object) =>
      inFolder((folder) => {
        writeFileSync(join(folder, "all.o"), object);
        const toLinker = flags.map((flag) => `-Wl,${flag}`);
        run(["-target", "wasm32-unknown-unknown", "-nostdlib", ...toLinker, join(folder, "all.o"), "-o", join(folder, "kernels.wasm")]);
        return readFileSync(join(folder, "kernels.wasm"));
      }),
  };
}

/** Does some work in a folder that is gone afterwards. */
function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-kernels-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv[2] === "--compile") {
    const [out, set, ...defines] = process.argv.slice(3);
    await compileSet(out, set, defines).catch((error) => {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    });
  } else {
    const { values } = parseArgs({ options: { force: { type: "boolean" }, out: { type: "string" }, define: { type: "string", multiple: true } } });
    const { seconds, built, directory } = await buildKernels({ force: values.force, out: values.out, defines: values.define });
    process.stderr.write(built ? `kernels: built in ${seconds.toFixed(1)} s into ${directory}\n` : "kernels: up to date\n");
  }
}
