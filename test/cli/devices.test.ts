/** `vitrine devices` on the devices of this very machine. */
import { describe, expect, it } from "vitest";
import { loadNative } from "../../src/host/node-native.ts";
import { plain, vitrine } from "./fake.testing.ts";
import { deviceSchema, linesOf } from "./json-schema.testing.ts";

const hasNative = "kernels" in loadNative();

describe("devices", () => {
  it("lists them fastest first, says which is picked and why, and measures each", async () => {
    const { code, stdout, stderr } = await vitrine(["devices", "--json", "--threads", "1"]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    const lines = linesOf(stdout).map((line) => deviceSchema.parse(line));
    expect(lines.map(({ name }) => name)).toEqual(["native", "wasm", "reference"]);
    expect(lines.filter(({ picked }) => picked).map(({ name }) => name)).toEqual([hasNative ? "native" : "wasm"]);
    for (const { available, gigaflops, gigabytesPerSecond, threads, why } of lines) {
      expect(gigaflops === null).toBe(!available);
      expect(gigabytesPerSecond === null).toBe(!available);
      expect(threads).toBe(available ? 1 : 0);
      if (!available) expect(why).toMatch(/npm run build/);
    }
    // the reference never comes near; the order of the others is the scheduler's on a busy machine
    expect(lines[1].gigaflops!).toBeGreaterThan(2 * lines[2].gigaflops!);
  });

  it("at a terminal draws a table with a reason under it", async () => {
    const { code, stdout } = await vitrine(["devices", "--no-measure"], { columns: 100 });
    expect(code).toBe(0);
    expect(plain(stdout)).toMatch(/^ +device .*\n.*\n.*native .*\n.*wasm +relaxed SIMD, .*\n +reference +plain TypeScript, 1 thread\n\n/);
    expect(plain(stdout)).toMatch(/\* (native|wasm): picked, the fastest/);
  });

  it("names who asked, the flag before the environment", async () => {
    const env = { VITRINE_DEVICE: "reference" };
    expect((await vitrine(["devices", "--no-measure"], { env })).stdout).toContain("* reference: picked because VITRINE_DEVICE says so");
    expect((await vitrine(["devices", "--no-measure", "--device", "wasm"], { env })).stdout).toContain("* wasm: picked because --device says so");
  });

  it.each([
    [["--threads", "0"], {}, /--threads is "0"; expected a whole number from 1/],
    [["--device", "gpu"], {}, /--device is "gpu"; expected auto, native, wasm or reference/],
    [[], { VITRINE_DEVICE: "gpu" }, /no device "gpu"/],
    [[], { VITRINE_THREADS: "0" }, /VITRINE_THREADS is "0"/],
  ])("%j with %j is refused", async (flags, env, message) => {
    const { code, stdout, stderr } = await vitrine(["devices", ...flags], { env: env as Record<string, string> });
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(message);
  });
});
