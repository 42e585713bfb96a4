/**
 * Models a visitor brought: checked, opened, and kept in the browser's own file system (OPFS) so that they are there next time.
 * Nothing leaves the device.
 */
import type { ModelSource } from "../engine/protocol.ts";
import { studio } from "../state/studio.svelte.ts";
import { t } from "./messages.ts";

export interface ShelfModel {
  readonly name: string;
  readonly kind: "embedded" | "kept";
  readonly bytes: number;
}

/** One page's WebAssembly memory is at most 4 GB, and fp32 weights need twice an fp16 file. */
const pageLimit = 2 ** 31;

/** Models that lie beside the page: models/index.json, written by the build. Smallest first: the first one paints first. */
export async function embeddedModels(): Promise<readonly ShelfModel[]> {
  const answer = await fetch(new URL("models/index.json", document.baseURI));
  if (!answer.ok) return [];
  const listed = (await answer.json()) as readonly { readonly name: string; readonly bytes: number }[];
  return listed.map(({ name, bytes }) => ({ name, bytes, kind: "embedded" as const }));
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
    let bytes = 0;
    for (const file of await filesIn(entry as FileSystemDirectoryHandle)) bytes += file.size;
    found.push({ name, kind: "kept", bytes });
  }
  return found;
}

async function filesIn(folder: FileSystemDirectoryHandle): Promise<File[]> {
  const files: File[] = [];
  for await (const entry of folder.values()) if (entry.kind === "file") files.push(await (entry as FileSystemFileHandle).getFile());
  return files;
}

/** Undefined when it is no longer there. */
export async function sourceOf(model: ShelfModel): Promise<ModelSource | undefined> {
  if (model.kind === "embedded") return { kind: "embedded", name: model.name };
  const folder = await (await shelf(false))?.getDirectoryHandle(model.name);
  return folder ? { kind: "files", name: model.name, files: await filesIn(folder) } : undefined;
}

export async function openFromShelf(model: ShelfModel): Promise<boolean> {
  const source = await sourceOf(model);
  return source ? studio.open(source) : false;
}

export async function forget(name: string): Promise<void> {
  await (await shelf(false))?.removeEntry(name, { recursive: true });
}

/** Files as a drop gives them; of a dropped folder everything inside, one level deep. */
export async function filesOfDrop(data: DataTransfer): Promise<{ readonly name: string; readonly files: File[] }> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files: File[] = [];
  let name = "";
  for (const entry of entries) {
    if (entry.isFile) files.push(await fileOf(entry as FileSystemFileEntry));
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
  const needed = files.some((file) => /\.gguf$/i.test(file.name)) || files.some((file) => file.name === "config.json");
  if (!needed) {
    studio.say("error", t("notModel", { name: files[0]?.name ?? name }));
    return;
  }
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (bytes > pageLimit) {
    studio.say("error", t("tooBig", { name, size: size(bytes), limit: size(pageLimit) }));
    return;
  }
  const own = await freeName(name);
  if (await studio.open({ kind: "files", name: own, files })) await keep(own, files);
}

/** Files chosen one by one have no folder's name: a second "my-model" does not write over the first. */
async function freeName(name: string): Promise<string> {
  const taken = (await keptModels()).map((model) => model.name);
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

/** Copies into OPFS under a lock, so that a second tab does not write the same files, and under a temporary name until all is there. */
async function keep(name: string, files: readonly File[]): Promise<void> {
  const folder = await shelf(true);
  if (!folder || !navigator.locks) {
    studio.say("note", t("storeRefused", { name }));
    return;
  }
  await navigator.locks.request(`vitrine.keep.${name}`, { ifAvailable: true }, async (lock) => {
    if (!lock) {
      studio.say("note", t("secondTab", { name }));
      return;
    }
    try {
      const target = await folder.getDirectoryHandle(name, { create: true });
      const total = files.reduce((sum, file) => sum + file.size, 0);
      let done = 0;
      for (const file of files) {
        const out = await (await target.getFileHandle(file.name, { create: true })).createWritable(); // swapped in when closed
        await file.stream().pipeTo(
          new WritableStream({
            write: async (chunk: Uint8Array<ArrayBuffer>) => {
              await out.write(chunk);
              done += chunk.length;
              studio.loading = { name: t("storing", { name }), done, total };
            },
            close: () => out.close(),
            abort: () => out.abort(),
          }),
        );
      }
      studio.say("note", t("storedOk", { name }));
    } catch {
      await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
      studio.say("note", t("storeRefused", { name }));
    } finally {
      studio.loading = undefined;
    }
  });
}
