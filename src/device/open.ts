/**
 * Picks the device: what was asked for, else the fastest that works here, and says why the others are not.
 * What a machine offers (kernels, threads) comes in as a CpuHost; host/ makes one.
 */
import { nearest, quoted, VitrineError } from "../base/errors.ts";
import { mismatch } from "./cpu/core.ts";
import { openCpu, openNative } from "./cpu/cpu.ts";
import type { CpuHost, NativeLoad } from "./cpu/host.ts";
import type { Device, DeviceName } from "./device.ts";
import { openReference } from "./reference/reference.ts";

export interface OpenDeviceOptions {
  /** "native", "wasm" or "reference". Default: native where it is there, else wasm. */
  readonly device?: string;
  /** Default: one for each core. */
  readonly threads?: number;
  /** WebAssembly: forces one build of the kernels; for measuring and for tests. */
  readonly simd?: "relaxed" | "simd";
  /** Native: forces "sse2", "avx2", "avxvnni", "avx512", "avx512vnni" or "neon". Default: the best that the processor has. */
  readonly instructionSet?: string;
  /** One line for people: native kernels were built but cannot be used, so the choice fell on something slower. */
  readonly onNote?: (note: string) => void;
}

/** Fastest first. */
const names: readonly DeviceName[] = ["native", "wasm", "reference"];

/** What there is on a machine, fastest first. */
export interface DeviceSurvey {
  readonly name: DeviceName;
  /** Why it cannot be used; undefined where it can. */
  readonly missing?: string;
  /** Native: what may be forced, slowest first. */
  readonly instructionSets?: readonly string[];
}

/** Opens nothing and never throws. */
export function surveyDevices(host: CpuHost): DeviceSurvey[] {
  const native = nativeOf(host);
  return names.map((name) => {
    if (name !== "native") return { name };
    return "missing" in native ? { name, missing: native.missing } : { name, instructionSets: native.kernels.instructionSets };
  });
}

/** Throws VitrineError, naming what there is, for a device that is not there. */
export async function openDeviceOn(host: CpuHost, options: OpenDeviceOptions = {}): Promise<Device> {
  const { device, threads, simd, instructionSet, onNote } = options;
  const native = device === undefined || device === "native" ? nativeOf(host) : undefined;
  if (native !== undefined && "kernels" in native) return openNative({ host, native: native.kernels, threads, instructionSet });
  if (device === undefined && native?.broken) onNote?.(`native: ${native.missing}; until then WebAssembly computes, more slowly`);
  switch (device) {
    case "native":
      throw new VitrineError(`device "native": ${native!.missing}`);
    case undefined:
    case "wasm":
      return openCpu({ host, threads, simd });
    case "reference":
      return openReference();
    default: {
      const meant = nearest(device, names);
      throw new VitrineError(
        `there is no device ${quoted(device)}, only ${names.join(", ")}${meant === undefined ? "" : `; did you mean ${meant}?`}`,
      );
    }
  }
}

/** The add-on, if its kernels are the ones this code writes arguments for. */
function nativeOf(host: CpuHost): NativeLoad {
  if (host.loadNative === undefined) return { missing: "there are no native kernels in a page; use wasm" };
  const load = host.loadNative();
  if ("missing" in load) return load;
  const { version, kernelNames, instructionSets } = load.kernels;
  const wrong = mismatch({ version, names: kernelNames });
  if (wrong !== undefined) return { missing: `the add-on was built from other sources (${wrong}); run \`npm run build\``, broken: true };
  if (instructionSets.length === 0)
    return { missing: "the add-on holds no instruction set that this processor has; run `npm run build` here", broken: true };
  return load;
}
