/**
 * What a bench knows about the machine: where the repository is, what the command line asked, which processor this is,
 * and how busy other programs keep it. Rounds and tables are _report.ts's business.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root; benches run bundled from out/run, so it is looked for. */
export const root: string = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  if (existsSync(join(folder, "tools/bench.mjs"))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error("bench: run me from inside the repository");
  return findRoot(parent);
}

/** `--name value` of the command line as a number. */
export function numberOption(name: string, otherwise: number): number {
  const text = textOption(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new Error(`bench: --${name} ${text} is no number`);
}

/** `--name 1,2,4` of the command line as numbers. */
export function numbersOption(name: string, otherwise: readonly number[]): readonly number[] {
  const text = textOption(name);
  if (text === undefined) return otherwise;
  const values = text.split(",").map(Number);
  if (values.every((value) => Number.isFinite(value) && value >= 0)) return values;
  throw new Error(`bench: --${name} ${text} is no list of numbers`);
}

/** `--name value` or `--name=value` of the command line. */
export function textOption(name: string): string | undefined {
  const args = process.argv.slice(2);
  const at = args.indexOf(`--${name}`);
  return at >= 0 ? args[at + 1] : args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

export function hasFlag(name: string): boolean {
  return process.argv.includes(`--${name}`);
}

export interface MachineInfo {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  /** Vector instruction sets that matter to kernels; empty where the system does not say. */
  readonly vector: readonly string[];
  readonly node: string;
  readonly platform: string;
}

export function machineInfo(): MachineInfo {
  const cores = cpus();
  const interesting = ["avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "asimd"];
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(readIf("/proc/cpuinfo"))?.[1].trim().split(/\s+/) ?? []);
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    vector: interesting.filter((flag) => flags.has(flag)),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
}

/** The commit measured, with a "+" when the tree had changes; null outside git or before the first commit. */
export function commit(): string | null {
  const head = git("rev-parse", "--short=12", "HEAD");
  return head === null ? null : head + (git("status", "--porcelain") === "" ? "" : "+");
}

function git(...args: string[]): string | null {
  const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

const ownChildren = new Set<number>();

/** Counts a running child among this program's own load. The returned function ends that; a child that has ended counts by itself. */
export function countAsOwn(pid: number | undefined): () => void {
  if (pid !== undefined) ownChildren.add(pid);
  return () => void ownChildren.delete(pid!);
}

/** Processor seconds since boot that others used, or a hypervisor stole; NaN where the system does not tell. Linux counts in ticks of 10 ms. */
function foreignSeconds(): number {
  const stat = /^cpu\s+(.*)$/m.exec(readIf("/proc/stat"))?.[1].trim().split(/\s+/).map(Number);
  if (!stat) return Number.NaN;
  const [user, nice, system, , , irq, softIrq, steal] = stat; // idle and iowait do not count
  const own = [process.pid, ...ownChildren].reduce((sum, pid) => sum + processTicks(pid), 0);
  return (user + nice + system + irq + softIrq + steal - own) / 100;
}

/** utime, stime and those of the children waited for: fields 14 to 17 of proc(5). */
function processTicks(pid: number): number {
  const fields = readIf(`/proc/${pid}/stat`)
    .replace(/^.*\) /, "")
    .split(" ")
    .map(Number); // from field 3 on
  return fields.length > 14 ? fields[11] + fields[12] + fields[13] + fields[14] : 0;
}

/**
 * Starts watching; the returned function tells what share of one core others used since then (0.12 = 12 %), NaN where the system does not tell.
 * Judge nothing shorter than a few tenths of a second by it.
 */
export function watchForeignLoad(): () => number {
  const started = performance.now();
  const before = foreignSeconds();
  return () => Math.max(0, (1000 * (foreignSeconds() - before)) / Math.max(1, performance.now() - started));
}

/** The most memory this process (or `pid`) ever held, in bytes: VmHWM where there is /proc, else the peak RSS of this process. */
export function peakMemory(pid: number | "self" = "self"): number {
  const line = /^VmHWM:\s+(\d+) kB/m.exec(readIf(`/proc/${pid}/status`));
  if (line) return Number(line[1]) * 1024;
  return pid === "self" ? process.resourceUsage().maxRSS * 1024 : Number.NaN;
}

function readIf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
