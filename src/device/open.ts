/**
 * Picks the device: what was asked for, else the fastest that works here.
 * What a machine offers (kernels' bytes, threads) comes in as a CpuHost; host/ makes one.
 */
import { nearest, quoted, VitrineError } from "../base/errors.ts";
import type { CpuHost } from "./cpu/host.ts";
import { openCpu } from "./cpu/cpu.ts";
import type { Device } from "./device.ts";
import { openReference } from "./reference/reference.ts";

export interface OpenDeviceOptions {
  /** "wasm" (the default) or "reference". */
  readonly device?: string;
  /** Default: one for each core. */
  readonly threads?: number;
  /** Forces one build of the kernels; for measuring and for tests. */
  readonly simd?: "relaxed" | "simd";
}

const names = ["wasm", "reference"];

/** Throws VitrineError, naming what there is, for a device that is not there. */
export async function openDeviceOn(host: CpuHost, options: OpenDeviceOptions = {}): Promise<Device> {
  const { device = "wasm" } = options;
  switch (device) {
    case "wasm":
      return openCpu({ host, threads: options.threads, simd: options.simd });
    case "reference":
      return openReference();
    case "native":
      throw new VitrineError('device "native" is not built in this version; use wasm');
    default: {
      const meant = nearest(device, names);
      throw new VitrineError(
        `there is no device ${quoted(device)}; ${meant === undefined ? "" : `did you mean ${meant}? `}There are: ${names.join(", ")}`,
      );
    }
  }
}
