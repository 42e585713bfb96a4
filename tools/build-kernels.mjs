/**
 * Compiles kernels/*.c to dist/kernels/kernels-{relaxed,simd}-{shared,single}.wasm.
 *
 * Uses `@yowasp/clang` (clang and lld inside an npm package) unless VITRINE_CLANG names a clang that targets wasm32.
 * Does nothing when sources, flags and compiler are those of the last build. `--force` builds anyway; `--out DIR` elsewhere.
 */
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));

/** relaxed: fused multiply-add, chosen at run time where the engine has relaxed SIMD. */
const instructionSets = { relaxed: ["-mrelaxed-simd"], simd: [] };
/** shared: threads on one memory (needs cross-origin isolation in a page); single: the same object on a memory of its own. */
const memories = { shared: ["--shared-memory"], single: ["--no-check-features"] };

const compileFlags = [
  ...["-c", "-target", "wasm32-unknown-unknown", "-std=gnu11", "-ffreestanding", "-Wall", "-Wextra", "-Werror"],
  ...["-msimd128", "-matomics", "-mbulk-memory", "-ffp-contract=off", "-fno-math-errno"],
  // Loops are vectorised and unrolled by hand where it pays; the compiler's own tries only make the files larger.
  ...["-O2", "-fno-unroll-loops", "-fno-vectorize", "-fno-slp-vectorize"],
];
const linkFlags = [
  ...["--no-entry", "--strip-all", "--import-memory", "--max-memory=4294967296", "--export=__stack_pointer", "--export=__heap_base"],
  ...["--stack-first", "-z", `stack-size=${1 << 20}`],
];

/** @returns {Promise<{ seconds: number, built: boolean, directory: string }>} */
export async function buildKernels({ force = false, out = join(root, "dist", "kernels"), defines = [] } = {}) {
  const started = performance.now();
  const names = Object.keys(instructionSets).flatMap((set) => Object.keys(memories).map((memory) => `${set}-${memory}`));
  const sources = readSources();
  const compiler = process.env.VITRINE_CLANG ?? "@yowasp/clang";
  const stamp = createHash("sha256").update(JSON.stringify([sources, instructionSets, memories, compileFlags, linkFlags, compiler, defines])).digest("hex");
  const stampFile = join(out, "kernels.hash");
  const upToDate = !force && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp && names.every((name) => existsSync(join(out, `kernels-${name}.wasm`)));
  if (!upToDate) {
    mkdirSync(out, { recursive: true });
    const tools = process.env.VITRINE_CLANG ? systemTools(process.env.VITRINE_CLANG) : await packageTools();
    for (const [set, flags] of Object.entries(instructionSets)) {
      const object = await tools.compile([...compileFlags, ...flags, ...defines], sources);
      for (const [memory, flags] of Object.entries(memories)) {
        const file = join(out, `kernels-${set}-${memory}.wasm`);
        writeFileSync(`${file}.${process.pid}`, await tools.link([...linkFlags, ...flags], object));
        renameSync(`${file}.${process.pid}`, file);
      }
    }
    writeFileSync(stampFile, stamp);
  }
  return { seconds: (performance.now() - started) / 1000, built: !upToDate, directory: out };
}

/** @returns {Record<string, string>} */
function readSources() {
  const directory = join(root, "kernels");
  const names = readdirSync(directory).filter((name) => /\.[ch]$/.test(name)).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]));
}

/** clang and lld as WebAssembly, from npm. */
async function packageTools() {
  const { runClang, runLLVM } = await import("@yowasp/clang");
  const talk = [];
  const keep = (bytes) => void (bytes && talk.push(Buffer.from(bytes).toString()));
  const options = { stdout: keep, stderr: keep, fetchProgress: () => {} };
  const run = async (tool, args, files, out) => {
    try {
      return (await tool(args, files, options))[out];
    } catch (cause) {
      throw new Error(`kernels did not compile:\n${talk.join("")}`, { cause });
    }
  };
  return {
    compile: (flags, sources) => run(runClang, ["clang", ...flags, "all.c", "-o", "all.o"], sources, "all.o"),
    link: (flags, object) => run(runLLVM, ["wasm-ld", ...flags, "all.o", "-o", "kernels.wasm"], { "all.o": object }, "kernels.wasm"),
  };
}

/** A clang of the machine, which finds its own wasm-ld. */
function systemTools(clang) {
  const inFolder = (work) => {
    const folder = mkdtempSync(join(tmpdir(), "vitrine-kernels-"));
    try {
      return work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
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
        run(["-target", "wasm32-unknown-unknown", "-nostdlib", `-Wl,${flags.join(",")}`, join(folder, "all.o"), "-o", join(folder, "kernels.wasm")]);
        return readFileSync(join(folder, "kernels.wasm"));
      }),
  };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { force: { type: "boolean" }, out: { type: "string" }, define: { type: "string", multiple: true } } });
  const { seconds, built, directory } = await buildKernels({ force: values.force, out: values.out, defines: (values.define ?? []).map((d) => `-D${d}`) });
  process.stderr.write(built ? `kernels: built in ${seconds.toFixed(1)} s into ${directory}\n` : "kernels: up to date\n");
}
