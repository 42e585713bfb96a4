/**
 * Opening a device in Node: what the caller asks for, else what the environment says, else the fastest there is.
 * Which devices exist is device/open.ts; files are node-files.ts and node-models.ts, threads node-threads.ts.
 */
import { quoted, VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { openDeviceOn, surveyDevices, type DeviceSurvey } from "../device/open.ts";
import { nodeCpuHost } from "./node-threads.ts";

export interface OpenDeviceOptions {
  /** "auto" (the fastest there is), "native", "wasm" or "reference". Default: VITRINE_DEVICE, else "auto". */
  readonly device?: string;
  /** Default: VITRINE_THREADS, else one for each core. */
  readonly threads?: number;
  /** One line for people: native kernels were built but cannot be used, so "auto" fell on something slower. */
  readonly onNote?: (note: string) => void;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * VITRINE_ISA forces one of the native kernels' instruction sets (sse2, avx2, avxvnni, avx512, avx512vnni, neon), for trying what an older processor would do.
 * Throws VitrineError for a device or a number of threads that cannot be, and says which can.
 */
export async function openDevice(options: OpenDeviceOptions = {}, env: Environment = process.env): Promise<Device> {
  const device = options.device ?? (env.VITRINE_DEVICE || "auto");
  const threads = options.threads ?? threadsOf(env.VITRINE_THREADS);
  const instructionSet = env.VITRINE_ISA || undefined;
  return openDeviceOn(nodeCpuHost(), { device: device === "auto" ? undefined : device, threads, instructionSet, onNote: options.onNote });
}

/** What there is on this machine, fastest first. Opens nothing. */
export function surveyDevicesHere(): DeviceSurvey[] {
  return surveyDevices(nodeCpuHost());
}

/** The device that `openDevice` would open, and why that one. */
export function pickedDevice(options: OpenDeviceOptions = {}, env: Environment = process.env): { readonly name: string; readonly why: string } {
  const asked = options.device ?? (env.VITRINE_DEVICE || "auto");
  const who = options.device === undefined ? "VITRINE_DEVICE" : "--device";
  if (asked !== "auto") return { name: asked, why: `picked because ${who} says so` };
  const survey = surveyDevicesHere();
  const { name } = survey.find(({ missing }) => missing === undefined)!;
  return { name, why: name === survey[0].name ? "picked, the fastest there is" : `picked, the fastest that is here (${survey[0].name} is not)` };
}

function threadsOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new VitrineError(`VITRINE_THREADS is ${quoted(text)}; expected a whole number from 1, or nothing`);
  return Number(text);
}
