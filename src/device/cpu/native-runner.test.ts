/**
 * The native add-on's own promises: fork and join under stress, many devices at once, growth, and threads that leave no trace.
 * What its kernels compute is device.test.ts's; finding and loading it node-native.test.ts's.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../../base/errors.ts";
import { loadNative, loadNativeFrom } from "../../host/node-native.ts";
import { numbers } from "../kernel-cases.testing.ts";
import { Core } from "./core.ts";
import { openNative } from "./cpu.ts";
import { openNativeRunner, type NativeKernels } from "./native-runner.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const load = loadNative();
const native = "kernels" in load ? load.kernels : (undefined as unknown as NativeKernels);
const host = { cores: 2 };

const stress = async (kernels: NativeKernels, threads: number): Promise<void> => {
  const core = new Core(openNativeRunner(kernels, threads));
  expect(core.threads).toBe(threads);
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
  expect(heap.f32.subarray(sum / 4, sum / 4 + length).every((value) => value === expected)).toBe(true);
  core.dispose();
};

describe.skipIf("missing" in load)("native kernels (skipped where no add-on was built)", () => {
  test.each([2, 3, 6, 40])("fork and join, %i threads: every chunk of every job is done exactly once", (threads) => stress(native, threads));

  test("so it is where there is no futex", async () => {
    const folder = `${mkdtempSync(join(tmpdir(), "vitrine-condition-"))}/`;
    spawnSync(process.execPath, [here("../../../tools/build-native.mjs"), "--out", folder, "--define", "VITRINE_FUTEX=0"]);
    const other = loadNativeFrom(folder);
    if ("missing" in other) throw new Error(other.missing);
    for (const threads of [2, 5]) await stress(other.kernels, threads);
    rmSync(folder, { recursive: true });
  });

  test("more threads than cores work, down to one chunk each, and count at most 64", async () => {
    const device = openNative({ host, native, threads: 1000 });
    expect(device.threads).toBe(64);
    expect(device.summary).toMatch(/, 64 threads$/);
    const buffer = device.allocate("f32", 1_000_000);
    for (let i = 0; i < 20; i++) device.kernels.fill(buffer, i);
    expect((await device.read(buffer)).every((value) => value === 19)).toBe(true);
    device.dispose();
  });

  test.each([0, -1, 1.5, Number.NaN, 5000])("refuses %d threads", (threads) => {
    expect(() => openNative({ host, native, threads })).toThrow(/threads: .*expected a whole number/);
  });

  test("follows the memory when it grows, and devices side by side do not see each other's", async () => {
    const devices = [1, 2, 3].map((threads) => openNative({ host, native, threads }));
    const buffers = devices.map((device) => [device.allocate("f32", 1000)]);
    for (let round = 1; round < 7; round++)
      for (const [d, device] of devices.entries()) {
        const buffer = device.allocate("f32", 1_000_000 * round); // some of these move on to fresh memory
        device.kernels.fill(buffer, 10 * round + d);
        device.kernels.add(buffer, buffer, buffer, 1000);
        device.kernels.copy(buffers[d][0], 0, buffer, 0, 1000);
        buffers[d].push(buffer);
      }
    for (const [d, device] of devices.entries()) {
      for (let round = 1; round < 7; round++) {
        const values = await device.read(buffers[d][round]);
        expect(values[0]).toBe(2 * (10 * round + d));
        expect(values.subarray(1000).every((value) => value === 10 * round + d)).toBe(true);
      }
      expect((await device.read(buffers[d][0])).every((value) => value === 2 * (60 + d))).toBe(true);
    }
    for (const device of devices) device.dispose();
  });

  test("a model that does not fit is refused with the limit and the cure, and what there was goes on working", async () => {
    const device = openNative({ host, native, threads: 2 });
    const buffer = device.allocate("f32", 100_000);
    device.kernels.fill(buffer, 7);
    expect(() => device.matrix(60_000, 20_000)).toThrow(/4\.5 GiB more were asked for.*heap ends at 4\.0 GiB.*int8/);
    expect(() => device.matrix(60_000, 20_000)).toThrow(VitrineError);
    device.kernels.add(buffer, buffer, buffer, 100_000);
    expect((await device.read(buffer)).every((value) => value === 14)).toBe(true);
    device.dispose();
  });

  test("a device that was disposed of, even twice, refuses work instead of crashing", () => {
    const device = openNative({ host, native, threads: 2 });
    const buffer = device.allocate("f32", 100);
    device.dispose();
    device.dispose();
    expect(() => device.kernels.fill(buffer, 1)).toThrow("internal: a device was used after its dispose");
  });

  test("the add-on itself refuses what it cannot do", () => {
    const memory = new Uint8Array(4096);
    const open = native.open as (...args: unknown[]) => { run(): void; attach(view: unknown): void; close(): void };
    const set = native.instructionSets[0];
    for (const args of [
      [],
      [memory, 64, set, 1],
      [memory, 64, "none", 1, 0],
      [memory, 64, set, 0, 0],
      [memory, 64, set, 2000, 0],
      [memory, 4090, set, 1, 0],
      [{}, 64, set, 1, 0],
    ])
      // prettier-ignore
      expect(() => open(...args)).toThrow(/^internal:/);
    const device = open(memory, 64, set, 2, 0);
    expect(() => device.attach(new Float32Array(4096))).toThrow(/^internal:/);
    expect(() => device.attach(new Uint8Array(70))).toThrow(/^internal:/);
    new Uint32Array(memory.buffer)[16] = 1000;
    expect(() => device.run()).toThrow("internal: no such kernel");
    device.close();
  });

  test.runIf(existsSync("/proc/self/task"))("devices that nobody disposed of are collected with their threads", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const threads = (): number => readdirSync("/proc/self/task").length;
    const before = threads();
    const work = (): void => {
      const device = openNative({ host, native, threads: 5 });
      device.kernels.fill(device.allocate("f32", 100_000), 1);
    };
    for (let i = 0; i < 20; i++) work();
    expect(threads()).toBeGreaterThanOrEqual(before + 5 * 4); // some may have been collected by now
    for (let i = 0; i < 100 && threads() > before + 4; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(threads()).toBeLessThanOrEqual(before + 4); // the last one may still lie in a register
  });
});

describe.skipIf("missing" in load)("native threads leave no trace (skipped where no add-on was built)", () => {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-native-threads-"));
  const kernels = here("../../../dist/kernels/");

  /** Opens devices, works, and then does `end`. In the main thread or a worker alike. */
  const program = `
    import { loadNativeFrom } from ${JSON.stringify(here("../../host/node-native.ts"))};
    import { openNative } from ${JSON.stringify(here("cpu.ts"))};
    import { parentPort, workerData } from "node:worker_threads";
    const end = workerData?.end ?? process.argv[2];
    const { kernels: native } = loadNativeFrom(${JSON.stringify(kernels)});
    const device = openNative({ host: { cores: 2 }, native, threads: 3 });
    const second = openNative({ host: { cores: 2 }, native, threads: 2 });
    const buffer = device.allocate("f32", 400_000);
    device.write(buffer, Float32Array.from({ length: 400_000 }, (_, i) => (i % 100) / 50 - 1));
    for (let i = 0; i < 20; i++) device.kernels.activate(buffer, buffer, "gelu", buffer.length);
    parentPort?.postMessage(await device.read(buffer, 0, 100));
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (end === "dispose") { device.dispose(); device.dispose(); second.dispose(); }
    if (end === "exit") process.exit(0); // long after the message has left
    if (end === "throw") throw new Error("on purpose");
    if (end === "stay") setInterval(() => device.kernels.activate(buffer, buffer, "gelu", buffer.length), 0);
  `;
  const bundled = join(folder, "program.mjs");

  beforeAll(async () => {
    writeFileSync(join(folder, "program.ts"), program);
    const bundle = await rolldown({ input: join(folder, "program.ts"), platform: "node", logLevel: "silent" });
    await bundle.write({ file: bundled, format: "esm" });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([
    { end: "return", status: 0 },
    { end: "dispose", status: 0 },
    { end: "exit", status: 0 },
    { end: "throw", status: 1 },
  ])("the process ends by itself after: $end", ({ end, status }) => {
    const child = spawnSync(process.execPath, [bundled, end], { encoding: "utf8", timeout: 20_000 });
    expect(child.signal).toBeNull();
    expect(child.status).toBe(status);
    expect(child.stdout).toBe("");
    if (status === 0) expect(child.stderr).toBe("");
  });

  test("workers compute side by side, and end or are ended in the middle of work without taking the process along", async () => {
    const results = await Promise.all(
      ["return", "dispose", "exit", "throw", "stay", "stay"].map(async (end) => {
        const worker = new Worker(bundled, { workerData: { end } });
        worker.on("error", () => {});
        const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
        const values = await new Promise<Float32Array>((resolve) => worker.once("message", resolve));
        if (end === "stay") setTimeout(() => void worker.terminate(), 60);
        await ended;
        return values;
      }),
    );
    for (const values of results) expect(values).toEqual(results[0]);
    const device = openNative({ host, native, threads: 2 }); // the add-on is still there
    const buffer = device.allocate("f32", 400_000);
    device.write(buffer, numbers(1, 400_000));
    device.kernels.activate(buffer, buffer, "gelu", 400_000);
    device.dispose();
  });
});
