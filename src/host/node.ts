/**
 * Opening a device in Node: what the caller asks for, else what the environment says, else the fastest there is.
 * Which devices exist is device/open.ts; files are node-files.ts and node-models.ts, threads node-threads.ts.
 */
import { quoted, VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { openDeviceOn } from "../device/open.ts";
import { nodeCpuHost } from "./node-threads.ts";

export interface OpenDeviceOptions {
  /** "auto" (the fastest there is), "wasm" or "reference". Default: VITRINE_DEVICE, else "auto". */
  readonly device?: string;
  /** Default: VITRINE_THREADS, else one for each core. */
  readonly threads?: number;
}

/** Throws VitrineError for a device or a number of threads that cannot be, and says which can. */
export async function openDevice(options: OpenDeviceOptions = {}, env: Readonly<Record<string, string | undefined>> = process.env): Promise<Device> {
  const device = options.device ?? (env.VITRINE_DEVICE || "auto");
  const threads = options.threads ?? threadsOf(env.VITRINE_THREADS);
  return openDeviceOn(nodeCpuHost(), { device: device === "auto" ? undefined : device, threads });
}

function threadsOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new VitrineError(`VITRINE_THREADS is ${quoted(text)}; expected a whole number from 1, or nothing`);
  return Number(text);
}
