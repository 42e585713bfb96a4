import { describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { loadNative } from "./node-native.ts";
import { openDevice } from "./node.ts";

const opened = async (...asked: Parameters<typeof openDevice>): Promise<{ name: string; threads: number }> => {
  const device = await openDevice(...asked);
  const { name, threads } = device;
  device.dispose();
  return { name, threads };
};

describe("opening a device in Node", () => {
  test("the caller's word counts more than the environment's, and that more than our choice", async () => {
    const best = "kernels" in loadNative() ? "native" : "wasm";
    expect(await opened({}, {})).toMatchObject({ name: best });
    expect(await opened({}, { VITRINE_DEVICE: "", VITRINE_THREADS: "", VITRINE_ISA: "" })).toMatchObject({ name: best });
    expect(await opened({}, { VITRINE_DEVICE: "wasm" })).toMatchObject({ name: "wasm" });
    expect(await opened({}, { VITRINE_DEVICE: "reference" })).toEqual({ name: "reference", threads: 1 });
    expect(await opened({ device: "auto", threads: 1 }, { VITRINE_DEVICE: "reference", VITRINE_THREADS: "2" })).toEqual({ name: best, threads: 1 });
    expect(await opened({ device: "wasm" }, { VITRINE_DEVICE: "native", VITRINE_THREADS: "2" })).toEqual({ name: "wasm", threads: 2 });
  });

  test.each([
    [{ device: "wsam" }, {}, /no device "wsam".*did you mean wasm\?/],
    [{}, { VITRINE_DEVICE: "gpu" }, /no device "gpu".*native, wasm, reference/],
    [{ threads: 0 }, {}, /threads: 0; expected a whole number/],
    [{ threads: 1.5 }, {}, /threads: 1.5/],
    [{}, { VITRINE_THREADS: "many" }, /VITRINE_THREADS is "many"; expected a whole number/],
  ])("%j with %j is refused with the cure", async (options, env, message) => {
    await expect(openDevice(options, env)).rejects.toThrow(message);
    await expect(openDevice(options, env)).rejects.toThrow(VitrineError);
  });
});
