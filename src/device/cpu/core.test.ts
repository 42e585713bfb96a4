/** Fork and join under stress, and threads that leave no trace. What kernels compute is device.test.ts's. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeCpuHost } from "../../host/node-threads.ts";
import { Core } from "./core.ts";
import { openCpu } from "./cpu.ts";
import type { KernelBuild } from "./host.ts";
import { openWasmRunner } from "./wasm-runner.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

describe.each([
  { threads: 2, canWait: true },
  { threads: 3, canWait: false },
  { threads: 6, canWait: true },
])("fork and join, $threads threads, main may wait: $canWait", ({ threads, canWait }) => {
  test("every chunk of every job is done exactly once", async () => {
    const core = new Core(await openWasmRunner({ ...nodeCpuHost(), canWait }, threads, "simd"));
    const { heap, index, slot } = core;
    const length = 4096;
    const [sum, step] = [heap.allocate(4 * length), heap.allocate(4 * length)];
    heap.f32.fill(0, sum / 4, sum / 4 + length);
    heap.f32.fill(1, step / 4, step / 4 + length);
    let expected = 0;
    for (let round = 0; round < 12; round++) {
      for (let job = 0; job < 1500; job++, expected++) {
        heap.i32.set([sum, sum, step, length], slot);
        core.run(index.add, 1 + ((job * 7) % 61)); // more chunks than lines to share: some are empty
      }
      // let the threads fall asleep now and then, so that waking ones meet the jobs that follow
      await new Promise((resolve) => setTimeout(resolve, round % 3));
    }
    const values = heap.f32.subarray(sum / 4, sum / 4 + length);
    expect(values.every((value) => value === expected)).toBe(true);
    core.dispose();
  });
});

test("without shared memory the device has one thread and says so", async () => {
  const asked: KernelBuild[] = [];
  const host = nodeCpuHost();
  const device = await openCpu({
    host: { ...host, spawnThread: undefined, loadKernels: (build) => (asked.push(build), host.loadKernels(build)) },
    threads: 4,
    simd: "simd",
  });
  expect(asked).toEqual(["simd-single"]);
  expect(device.threads).toBe(1);
  expect(device.summary).toBe("wasm, SIMD, 1 thread");
  device.dispose();
});

test("refuses thread counts that cannot be", async () => {
  for (const threads of [0, -1, 1.5, Number.NaN, 5000])
    await expect(openCpu({ host: nodeCpuHost(), threads })).rejects.toThrow(/threads: .*expected a whole number/);
});

describe("threads leave no trace", () => {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-threads-"));

  /** A program that opens three threads, works, and then does `end`. */
  const program = `
    import { readFile } from "node:fs/promises";
    import { nodeCpuHost } from ${JSON.stringify(here("../../host/node-threads.ts"))};
    import { openCpu } from ${JSON.stringify(here("cpu.ts"))};
    const loadKernels = async (build) => new Uint8Array(await readFile(process.argv[3] + "kernels-" + build + ".wasm"));
    const device = await openCpu({ host: { ...nodeCpuHost(), loadKernels }, threads: 3 });
    const buffer = device.allocate("f32", 4_000_000);
    for (let i = 0; i < 20; i++) device.kernels.activate(buffer, buffer, "gelu", buffer.length);
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (process.argv[2] === "dispose") { device.dispose(); device.dispose(); }
    if (process.argv[2] === "exit") process.exit(0);
    if (process.argv[2] === "throw") throw new Error("on purpose");
  `;

  beforeAll(async () => {
    writeFileSync(join(folder, "program.ts"), program);
    const bundle = await rolldown({ input: join(folder, "program.ts"), platform: "node", logLevel: "silent" });
    await bundle.write({ file: join(folder, "program.mjs"), format: "esm" });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([
    { end: "return", status: 0 },
    { end: "dispose", status: 0 },
    { end: "exit", status: 0 },
    { end: "throw", status: 1 },
  ])("the process ends by itself after: $end", ({ end, status }) => {
    const child = spawnSync(process.execPath, [join(folder, "program.mjs"), end, here("../../../dist/kernels/")], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect(child.signal).toBeNull();
    expect(child.status).toBe(status);
    expect(child.stdout).toBe("");
    if (status === 0) expect(child.stderr).toBe("");
  });
});
