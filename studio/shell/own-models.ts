/**
 * Models a visitor brought: checked, opened, and kept in the browser's own file system (OPFS) so that they are there next time.
 * Nothing leaves the device.
 */
import type { ModelSource } from "../engine/protocol.ts";
import { studio } from "../state/studio.svelte.ts";
import { t } from "./messages.ts";
import { heart, neededFiles } from "./needed-files.ts";

export interface ShelfModel {
  readonly name: string;
  readonly kind: "embedded" | "kept";
  readonly bytes: number;
}

/** One page's WebAssembly memory is at most 4 GB, and fp32 weights need twice an fp16 file. */
const pageLimit = 2 ** 31;

let embedded: readonly ShelfModel[] = [];

/** Models that lie beside the page: models/index.json, written by the build. Asked for until it was there once. */
export async function embeddedModels(): Promise<readonly ShelfModel[]> {
  if (embedded.length > 0) return embedded;
  const answer = await fetch(new URL("models/index.json", document.baseURI));
  if (!answer.ok) return [];
  const listed = (await answer.json()) as readonly { readonly name: string; readonly bytes: number }[];
  return (embedded = listed.map(({ name, bytes }) => ({ name, bytes, kind: "embedded" as const })));
}

async function shelf(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle("models", { create });
  } catch {
    return undefined;
  }
}

export async function keptModels(): Promise<readonly ShelfModel[]> {
  const folder = await shelf(false);
  const found: ShelfModel[] = [];
  if (!folder) return found;
  for await (const [name, entry] of folder.entries()) {
    if (entry.kind !== "directory" || name.startsWith(".")) continue;
    const files = await filesIn(entry as FileSystemDirectoryHandle);
    if (files.some((file) => heart.test(file.name))) found.push({ name, kind: "kept", bytes: total(files) });
    else await sweep(folder, name);
  }
  return found;
}

/** What a keeping that was cut off left behind takes no room for ever; one that another tab is at has its lock. */
async function sweep(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  await navigator.locks?.request(lockOf(name), { ifAvailable: true }, async (lock) => {
    if (lock) await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
  });
}

function lockOf(name: string): string {
  return `vitrine.keep.${name}`;
}

function total(files: readonly File[]): number {
  return files.reduce((sum, file) => sum + file.size, 0);
}

async function filesIn(folder: FileSystemDirectoryHandle): Promise<File[]> {
  const files: File[] = [];
  for await (const entry of folder.values()) if (entry.kind === "file") files.push(await (entry as FileSystemFileHandle).getFile());
  return files;
}

/** Undefined when it is no longer there. */
export async function sourceOf(model: ShelfModel): Promise<ModelSource | undefined> {
  if (model.kind === "embedded") return { kind: "embedded", name: model.name };
  const folder = await (await shelf(false))?.getDirectoryHandle(model.name).catch(() => undefined); // forgotten in another tab
  return folder ? { kind: "files", name: model.name, files: await filesIn(folder) } : undefined;
}

export async function openFromShelf(model: ShelfModel): Promise<boolean> {
  const source = await sourceOf(model);
  if (source) return studio.open(source);
  studio.say("note", t("keptGone", { name: model.name }));
  return false;
}

export async function forget(name: string): Promise<void> {
  await (await shelf(false))?.removeEntry(name, { recursive: true });
}

/** Files as a drop gives them; of a dropped folder everything inside, one level deep. */
export async function filesOfDrop(data: DataTransfer): Promise<{ readonly name: string; readonly files: File[] }> {
  // both at once: after the first wait the drop is over
  const dropped = [...data.items].map((item) => [item.webkitGetAsEntry(), item.getAsFile()] as const);
  const files: File[] = [];
  let name = "";
  for (const [entry, file] of dropped) {
    if (entry === null) files.push(...(file ? [file] : []));
    else if (entry.isFile) files.push(await fileOf(entry as FileSystemFileEntry));
    else {
      name ||= entry.name;
      const inside = await inFolder(entry as FileSystemDirectoryEntry);
      for (const one of inside) if (one.isFile) files.push(await fileOf(one as FileSystemFileEntry));
    }
  }
  return { name: name || nameOf(files), files };
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function inFolder(entry: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = entry.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

export function nameOf(files: readonly File[]): string {
  const path = files.find(({ webkitRelativePath }) => webkitRelativePath)?.webkitRelativePath;
  const gguf = files.find(({ name }) => /\.gguf$/i.test(name));
  return path?.split("/")[0] ?? gguf?.name.replace(/\.gguf$/i, "") ?? "my-model";
}

/** Opens what a visitor chose or dropped, then keeps it. Says calmly what cannot be. */
export async function openOwn(name: string, files: readonly File[]): Promise<void> {
  if (!files.some((file) => heart.test(file.name))) {
    studio.say("error", t("notModel", { name: files.length === 1 ? files[0].name : name }));
    return;
  }
  const needed = neededFiles(files);
  const bytes = total(needed);
  if (bytes > pageLimit) {
    studio.say("error", t("tooBig", { name, size: size(bytes), limit: size(pageLimit) }));
    return;
  }
  const own = await freeName(name);
  if (await studio.open({ kind: "files", name: own, files })) await keep(own, needed);
}

/** Files chosen one by one have no folder's name: a second "my-model" does not write over the first, nor hide behind a model that came along. */
async function freeName(name: string): Promise<string> {
  const taken = [...(await embeddedModels().catch(() => [])), ...(await keptModels())].map((model) => model.name);
  let free = name;
  for (let n = 2; taken.includes(free); n++) free = `${name}-${n}`;
  return free;
}

export function size(bytes: number): string {
  return bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(1)} GB`
    : bytes >= 1e6
      ? `${(bytes / 1e6).toFixed(1)} MB`
      : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

/** Copies into OPFS under a lock, so that a second tab does not write the same files; the page can be used meanwhile. */
async function keep(name: string, files: readonly File[]): Promise<void> {
  const folder = await shelf(true);
  if (!folder || !navigator.locks) {
    studio.say("note", t("storeRefused", { name }));
    return;
  }
  await navigator.locks.request(lockOf(name), { ifAvailable: true }, async (lock) => {
    if (!lock) {
      studio.say("note", t("secondTab", { name }));
      return;
    }
    try {
      const target = await folder.getDirectoryHandle(name, { create: true });
      const bytes = total(files);
      let done = 0;
      for (const file of files) {
        const out = await (await target.getFileHandle(file.name, { create: true })).createWritable(); // swapped in when closed
        await file.stream().pipeTo(
          new WritableStream({
            write: async (chunk: Uint8Array<ArrayBuffer>) => {
              await out.write(chunk);
              done += chunk.length;
              studio.keeping = { name, done, total: bytes };
            },
            close: () => out.close(),
            abort: () => out.abort(),
          }),
        );
      }
      studio.say("note", t("storedOk", { name }));
    } catch (error) {
      await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      studio.say("note", t(full ? "storeFull" : "storeRefused", { name, size: size(total(files)) }));
    } finally {
      studio.keeping = undefined;
    }
  });
}
