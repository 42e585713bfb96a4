/** An add-on that is not there, not whole, not ours or not for this machine: never a crash, always a reason, and WebAssembly instead. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { NativeLoad } from "../device/cpu/host.ts";
import type { NativeKernels } from "../device/cpu/native-runner.ts";
import { openDeviceOn, surveyDevices } from "../device/open.ts";
import { loadNative, loadNativeFrom } from "./node-native.ts";
import { openDevice, pickedDevice } from "./node.ts";
import { nodeCpuHost } from "./node-threads.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const name = `vitrine-${process.platform}-${process.arch}`;
const built = join(root, "dist/kernels/", name);
const hasCompiler = process.platform !== "win32" && spawnSync(process.env.CC ?? "cc", ["--version"]).status === 0;
const scratch = mkdtempSync(join(tmpdir(), "vitrine-native-test-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let made = 0;
/** A folder as the build leaves it, with other bytes for the add-on, and a record that agrees with them unless told. */
function folderWith(bytes: Uint8Array | undefined, record?: object): string {
  const folder = `${join(scratch, String(made++))}/`;
  mkdirSync(folder);
  if (bytes !== undefined) writeFileSync(`${folder}${name}.node`, bytes);
  const sha256 = createHash("sha256")
    .update(bytes ?? "")
    .digest("hex");
  writeFileSync(`${folder}${name}.json`, JSON.stringify(record ?? { sha256 }));
  return folder;
}

function missing(load: NativeLoad): string {
  expect(load).toHaveProperty("missing");
  return (load as { missing: string }).missing;
}

/** `auto` gets WebAssembly, with a word about it where an add-on lies there and is of no use; who insists on native hears why not. */
async function expectFallback(load: NativeLoad, why: RegExp, { silent = false } = {}): Promise<void> {
  const host = { ...nodeCpuHost(), loadNative: () => load };
  const notes: string[] = [];
  const onNote = (note: string): void => void notes.push(note);
  const device = await openDeviceOn(host, { threads: 1, onNote });
  expect(device.name).toBe("wasm");
  device.dispose();
  expect(notes).toEqual(silent ? [] : [expect.stringMatching(/^native: .*npm run build.*; until then WebAssembly computes, more slowly$/)]);
  if (!silent) expect(notes[0]).toMatch(why);
  (await openDeviceOn(host, { device: "wasm", threads: 1, onNote })).dispose(); // asked for by name: nothing to say
  expect(notes).toHaveLength(silent ? 0 : 1);
  await expect(openDeviceOn(host, { device: "native", threads: 1 })).rejects.toThrow(why);
  await expect(openDeviceOn(host, { device: "native", threads: 1 })).rejects.toThrow(VitrineError);
  expect(surveyDevices(host)[0].missing).toMatch(why);
}

test.runIf(hasCompiler)("where there is a C compiler, the build makes the add-on and it loads", () => {
  expect(existsSync(`${built}.json`), "run `npm run build` first").toBe(true);
  expect(readFileSync(`${built}.json`, "utf8")).not.toContain('"problem"');
  expect(loadNative()).toHaveProperty("kernels");
});

describe("an add-on that cannot be used", () => {
  test("no build at all", () =>
    expectFallback(loadNativeFrom(`${scratch}/nowhere/`), /no native kernels were built.*npm run build.*C compiler/, { silent: true }));

  test("a build without a compiler", () =>
    expectFallback(
      loadNativeFrom(folderWith(undefined, { problem: "there is no C compiler (cc)" })),
      /there is no C compiler \(cc\); install a C compiler and run `npm run build`/,
      { silent: true },
    ));

  test("a record without its file", () =>
    expectFallback(loadNativeFrom(folderWith(undefined, { sha256: "0" })), /is gone; run `npm run build`/, { silent: true }));

  test("a record that is no JSON", () => {
    const folder = folderWith(undefined);
    writeFileSync(`${folder}${name}.json`, '{"sha256":');
    return expectFallback(loadNativeFrom(folder), /does not load/);
  });

  test("bytes that are no program, though the record agrees", () =>
    expectFallback(loadNativeFrom(folderWith(new TextEncoder().encode("not a program".repeat(1000)))), /does not load/));

  test("an empty file, though the record agrees", () => expectFallback(loadNativeFrom(folderWith(new Uint8Array())), /does not load/));

  describe.skipIf(!existsSync(`${built}.node`))("made of the real one (skipped where none was built)", () => {
    const original = existsSync(`${built}.node`) ? readFileSync(`${built}.node`) : new Uint8Array();

    test.each([0.1, 0.5, 0.9, 0.999])("cut off after %f of its bytes", async (share) => {
      const folder = `${join(scratch, String(made++))}/`;
      mkdirSync(folder);
      for (const end of [".node", ".json"]) cpSync(built + end, folder + name + end);
      truncateSync(`${folder}${name}.node`, Math.floor(original.length * share));
      await expectFallback(loadNativeFrom(folder), /not the file that was built \(damaged\?\)/);
    });

    test("one bit turned over", () => {
      const bytes = Uint8Array.from(original);
      bytes[bytes.length >> 1] ^= 4;
      return expectFallback(loadNativeFrom(folderWith(bytes, JSON.parse(readFileSync(`${built}.json`, "utf8")) as object)), /damaged/);
    });

    test.runIf(process.platform === "linux")("of another processor, though the record agrees", () => {
      const bytes = Uint8Array.from(original);
      bytes.set([0xf3, 0], 18); // e_machine: RISC-V
      return expectFallback(loadNativeFrom(folderWith(bytes)), /does not load/);
    });
  });

  test.runIf(hasCompiler)("somebody else's add-on", () => {
    const source = join(scratch, "other.c");
    writeFileSync(source, "void *napi_register_module_v1(void *env, void *exports) { (void)env; return exports; }\n");
    const flags = process.platform === "darwin" ? ["-bundle"] : ["-shared", "-fPIC"];
    expect(spawnSync(process.env.CC ?? "cc", [...flags, source, "-o", join(scratch, "other.node")]).status).toBe(0);
    return expectFallback(loadNativeFrom(folderWith(readFileSync(join(scratch, "other.node")))), /is not Vitrine's/);
  });
});

describe.skipIf("missing" in loadNative())("the handshake (skipped where no add-on was built)", () => {
  const { kernels } = loadNative() as { kernels: NativeKernels };

  test.each<[string, Partial<NativeKernels>, RegExp]>([
    ["another version", { version: kernels?.version + 1 }, /built from other sources \(version \d+ instead of \d+\); run `npm run build`/],
    ["a kernel is missing", { kernelNames: kernels?.kernelNames.replace("gemm\n", "") }, /other sources \(kernels that are missing: gemm\)/],
    ["a kernel too many", { kernelNames: `${kernels?.kernelNames}new\n` }, /other sources \(\d+ kernels instead of \d+\)/],
    ["nothing for this processor", { instructionSets: [] }, /no instruction set that this processor has/],
  ])("%s", (_, change, why) => expectFallback({ kernels: { ...kernels, ...change } }, why));

  test("VITRINE_ISA forces each set that is here, and refuses the others with their names", async () => {
    for (const set of kernels.instructionSets) {
      const device = await openDevice({ threads: 1 }, { VITRINE_ISA: set });
      expect(device.name).toBe("native");
      expect(device.summary.replaceAll("-", "").toLowerCase()).toBe(`native, ${set}, 1 thread`);
      device.dispose();
    }
    const foreign = process.arch === "arm64" ? "avx2" : "neon";
    await expect(openDevice({}, { VITRINE_ISA: foreign })).rejects.toThrow(new RegExp(`instruction set ${foreign}.*does not have it; there are: `));
    await expect(openDevice({}, { VITRINE_ISA: "mmx" })).rejects.toThrow(/no instruction set "mmx".*There are: /);
    await expect(openDevice({}, { VITRINE_ISA: "mmx" })).rejects.toThrow(VitrineError);
  });

  test("without being forced, the best set is taken", async () => {
    const device = await openDevice({ threads: 1 }, {});
    expect(device.summary.replaceAll("-", "").toLowerCase()).toContain(kernels.instructionSets.at(-1)!);
    device.dispose();
  });
});

test("what is picked is what opens, and the reason names who asked", async () => {
  for (const env of [{}, { VITRINE_DEVICE: "wasm" }, { VITRINE_DEVICE: "reference" }]) {
    const device = await openDevice({ threads: 1 }, env);
    expect(pickedDevice({}, env).name).toBe(device.name);
    device.dispose();
  }
  expect(pickedDevice({}, { VITRINE_DEVICE: "wasm" }).why).toContain("VITRINE_DEVICE");
  expect(pickedDevice({ device: "wasm" }, { VITRINE_DEVICE: "reference" })).toMatchObject({
    name: "wasm",
    why: expect.stringContaining("--device") as string,
  });
  expect(pickedDevice({}, {}).why).toMatch(/the fastest/);
});

describe.runIf(process.platform !== "win32")("building without a usable compiler", () => {
  const build = (CC: string, folder: string): { stderr: string; record: Record<string, unknown> } => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [join(root, "tools/build-native.mjs"), "--out", folder], {
      env: { ...process.env, CC },
      encoding: "utf8",
    });
    expect(status).toBe(0);
    expect(stdout).toBe("");
    return { stderr, record: JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Record<string, unknown> };
  };

  test.each([
    ["/bin/false", /the C compiler \(\/bin\/false\) does not run/],
    ["no-such-compiler", /there is no C compiler \(no-such-compiler\)/],
  ])("CC=%s: no failure, a reason, and an older add-on is taken away", (CC, why) => {
    const folder = folderWith(new Uint8Array(100));
    const { record } = build(CC, folder);
    expect(record.problem).toMatch(why);
    expect(existsSync(`${folder}${name}.node`)).toBe(false);
    expect(missing(loadNativeFrom(folder))).toMatch(why);
  });

  test("a compiler that answers --version and then fails", () => {
    const folder = folderWith(undefined);
    const script = join(scratch, "failing-cc");
    writeFileSync(script, '#!/bin/sh\n[ "$1" = --version ] && { echo fake 1.0; exit 0; }\necho "x.c:1: error: out of order" >&2; exit 1\n', {
      mode: 0o755,
    });
    expect(build(script, folder).record.problem).toBe("the C compiler failed: x.c:1: error: out of order");
  });
});
