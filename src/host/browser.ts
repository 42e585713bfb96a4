/**
 * Opening models and devices in a page or a worker: files from an address or as a visitor chose them, kernels by fetch.
 * The browser's sister of node.ts and node-models.ts.
 */
import type { Folder } from "../base/bytes.ts";
import { quoted, VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { openDeviceOn } from "../device/open.ts";
import { blobFolder, urlFolder } from "./browser-files.ts";
import { browserCpuHost } from "./browser-threads.ts";

export interface OpenDeviceOptions {
  /** "auto" (the fastest there is), "wasm" or "reference". Default "auto". */
  readonly device?: string;
  /** Default: one for each core where the page is cross-origin isolated, else 1. */
  readonly threads?: number;
  /** Address of the folder with the compiled kernels (the package's dist/kernels). Needed when a bundler moves this script. */
  readonly kernels?: string | URL;
}

/** A model's files: the address of their folder, or the files as an `<input type="file">` or a drop gives them, or blobs by name. */
export type ModelFiles = string | URL | Iterable<File> | ReadonlyMap<string, Blob>;

/** Throws VitrineError for a device or a number of threads that cannot be, and says which can. */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Device> {
  const { device = "auto", threads, kernels = new URL(/* @vite-ignore */ "../kernels/", import.meta.url) } = options;
  return openDeviceOn(browserCpuHost({ kernels }), { device: device === "auto" ? undefined : device, threads });
}

/** The folder, and a short name for the model in it. An address may be relative to the page. */
export function folderOf(files: ModelFiles): { readonly folder: Folder; readonly name: string } {
  if (typeof files !== "string" && !(files instanceof URL)) return { folder: blobFolder("chosen files", files), name: "chosen files" };
  const base = globalThis.location?.href;
  if (!URL.canParse(files, base)) throw new VitrineError(`model: ${quoted(String(files))} is not an address; give the URL of a model's folder`);
  const address = new URL(files, base);
  return { folder: urlFolder(address), name: decodeURIComponent(address.pathname.split("/").filter(Boolean).at(-1) ?? address.host) };
}
