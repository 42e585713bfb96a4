/**
 * Compiles kernels/*.c to the Node-API add-on dist/kernels/vitrine-PLATFORM-ARCH.node with the machine's own C compiler ($CC, else cc),
 * once per instruction set; src/host/node-native.ts loads it. Where there is no compiler or it fails, nothing is built and
 * Vitrine runs on WebAssembly: the reason is kept in the .json beside the add-on, which `vitrine devices` shows.
 *
 * Does nothing when sources, flags and compiler are those of the last build. `--force` builds anyway; `--out DIR` elsewhere;
 * `--own` leaves out the sets that this machine's processor has not.
 */
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const headers = join(root, "node_modules", "node-api-headers");

const avx2 = ["-mavx2", "-mfma", "-mf16c", "-mbmi2"];
const avx512 = [...avx2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"];
/** Flags of each set; kernels/native.c has the same names and knows which a processor has. */
const instructionSets = {
  x64: { sse2: [], avx2, avxvnni: [...avx2, "-mavxvnni"], avx512, avx512vnni: [...avx512, "-mavx512vnni"] },
  arm64: { neon: [], neondot: ["-march=armv8.2-a+dotprod"] },
}[process.arch];

/** What a processor must have for each set, as Linux names it in /proc/cpuinfo. */
const avx512Names = ["avx512f", "avx512bw", "avx512dq", "avx512vl"];
const needs = {
  ...{ avx2: ["avx2", "fma", "f16c", "bmi2"], avxvnni: ["avx2", "avx_vnni"], avx512: avx512Names, avx512vnni: [...avx512Names, "avx512_vnni"] },
  neondot: ["asimddp"],
};

/** The sets worth compiling for this machine alone: all where nobody tells what its processor has. */
export function ownSets() {
  const names = Object.keys(instructionSets ?? {});
  const line = existsSync("/proc/cpuinfo") ? /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8")) : undefined;
  if (!line) return names;
  const has = new Set(line[1].split(" "));
  return names.filter((set) => (needs[set] ?? []).every((flag) => has.has(flag)));
}

/** A library whose thread-local variable needs no call; musl's loader refuses that. */
const isGlibc = process.platform === "linux" && process.report.getReport().header.glibcVersionRuntime !== undefined;

const compileFlags = [
  ...["-c", "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra", "-Wno-psabi"],
  // Sums are fused where the kernels say so (madd) and nowhere else, so every compiler gives the same numbers.
  ...["-ffp-contract=off", "-fno-math-errno"],
  ...(isGlibc ? ["-ftls-model=initial-exec"] : []),
];
const linkFlags = process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-pthread", "-s"];

/**
 * Builds what is out of date. Never throws because of a compiler: says in `problem` why there is no add-on.
 * @param {{ force?: boolean, out?: string, defines?: string[], sets?: string[] }} [options]
 * @returns {Promise<{ built: boolean, problem?: string, notes?: string[], seconds: number }>}
 */
export async function buildNative({
  force = false,
  out = join(root, "dist", "kernels"),
  defines = [],
  sets = Object.keys(instructionSets ?? {}),
} = {}) {
  const started = performance.now();
  const base = join(out, `vitrine-${process.platform}-${process.arch}`);
  const compiler = (process.env.CC || "cc").split(" ").filter(Boolean);
  const version = await compilerVersion(compiler);
  const stamp = createHash("sha256")
    .update(
      JSON.stringify([readSources(), readFileSync(fileURLToPath(import.meta.url), "utf8"), compiler, version, defines, process.versions.modules]),
    )
    .digest("hex");
  const last = readRecord(base);
  const hasAll = last?.problem !== undefined || (existsSync(`${base}.node`) && sets.every((set) => last?.tried?.includes(set)));
  const isCurrent = last?.stamp === stamp && hasAll;
  if (isCurrent && !force) return told({ built: false, problem: last.problem, notes: last.notes, seconds: 0 });

  // An add-on of other sources must not be found, whatever happens next.
  for (const end of [".node", ".json"]) rmSync(base + end, { force: true });
  mkdirSync(out, { recursive: true });
  const record = version.problem ? { problem: version.problem } : await compileInto(`${base}.node`, compiler, defines, sets);
  writeFileSync(`${base}.json`, `${JSON.stringify({ compiler: version.text, ...record, tried: sets, stamp }, null, 1)}\n`);
  return told({ built: record.problem === undefined, problem: record.problem, notes: record.notes, seconds: (performance.now() - started) / 1000 });
}

/** What went wrong is a line on stderr for who asks with VITRINE_DEBUG; everybody else hears nothing and gets WebAssembly. */
function told(result) {
  if (process.env.VITRINE_DEBUG)
    for (const line of [result.problem, ...(result.notes ?? [])]) if (line) process.stderr.write(`native kernels: ${line}\n`);
  return result;
}

async function compilerVersion(compiler) {
  if (process.platform === "win32") return { problem: "native kernels are not built on Windows" };
  if (instructionSets === undefined) return { problem: `native kernels know no ${process.arch} processors` };
  if (!existsSync(headers)) return { problem: "the package node-api-headers is not installed" };
  const { status, said, missing } = await run([...compiler, "--version"]);
  if (missing) return { problem: `there is no C compiler (${compiler[0]})` };
  if (status !== 0) return { problem: `the C compiler (${compiler.join(" ")}) does not run` };
  return { text: said.split("\n")[0] };
}

/** One object per instruction set, side by side; a set that this compiler does not know is left out. */
async function compileInto(file, compiler, defines, names) {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-native-"));
  const source = (name) => join(root, "kernels", name);
  const compile = async (name, flags, object) => {
    const { status, said } = await run([
      ...compiler,
      ...compileFlags,
      ...flags,
      ...defines.map((define) => `-D${define}`),
      source(name),
      "-o",
      join(folder, object),
    ]);
    return status === 0 ? undefined : said;
  };
  try {
    const failures = await Promise.all(
      names.map((set) => compile("instruction-set.c", [...instructionSets[set], `-DINSTRUCTION_SET=${set}`], `${set}.o`)),
    );
    const sets = names.filter((_, i) => failures[i] === undefined);
    const notes = names.flatMap((set, i) => (failures[i] === undefined ? [] : [`${set} did not compile: ${firstError(failures[i])}`]));
    if (sets.length === 0) return { problem: `the C compiler failed: ${firstError(failures[0])}` };

    const failure = await compile("native.c", [`-I${join(headers, "include")}`, ...sets.map((set) => `-DWITH_${set}`)], "native.o");
    if (failure !== undefined) return { problem: `the C compiler failed: ${firstError(failure)}` };
    const objects = ["native", ...sets].map((name) => join(folder, `${name}.o`));
    const linked = await run([...compiler, ...linkFlags, ...objects, "-o", join(folder, "vitrine.node")]);
    if (linked.status !== 0) return { problem: `linking failed: ${firstError(linked.said)}` };

    const bytes = readFileSync(join(folder, "vitrine.node"));
    writeFileSync(`${file}.${process.pid}`, bytes);
    renameSync(`${file}.${process.pid}`, file); // a process that has the old file open keeps it
    return { sha256: createHash("sha256").update(bytes).digest("hex"), instructionSets: sets, ...(notes.length > 0 ? { notes } : {}) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The line of a compiler's talk that names the error, with file names shortened. */
function firstError(said) {
  const line = said.split("\n").find((each) => /error|undefined/i.test(each)) ?? said.split("\n")[0] ?? "";
  return line.replaceAll(/\S*[/\\]/g, "").trim() || "it said nothing";
}

/** Runs a program and collects what it says. */
function run([program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    child.on("error", ({ message }) => resolve({ status: 1, said: message, missing: true }));
    child.on("close", (status) => resolve({ status, said, missing: false }));
  });
}

/** @returns {Record<string, string>} */
function readSources() {
  const directory = join(root, "kernels");
  const names = readdirSync(directory)
    .filter((name) => /\.[ch]$/.test(name))
    .sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]));
}

function readRecord(base) {
  try {
    return JSON.parse(readFileSync(`${base}.json`, "utf8"));
  } catch {
    return undefined; // never built, or not by us: build
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { force: { type: "boolean" }, out: { type: "string" }, define: { type: "string", multiple: true }, own: { type: "boolean" } },
  });
  const { force, out, define: defines, own } = values;
  const { built, problem, notes = [], seconds } = await buildNative({ force, out, defines, sets: own ? ownSets() : undefined });
  process.stderr.write(
    problem ? `native kernels: none, ${problem}\n` : built ? `native kernels: built in ${seconds.toFixed(1)} s\n` : "native kernels: up to date\n",
  );
  for (const note of notes) process.stderr.write(`native kernels: ${note}\n`);
}
