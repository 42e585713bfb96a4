/** Folders in memory for the tests of this room: writes appear whole or not at all, as a host's do, and can be made to fail or to die. */
import { bytesOf } from "../base/bytes.ts";
import type { Folder, FolderWriter } from "../base/bytes.ts";
import { VitrineError } from "../base/errors.ts";

export type Files = Map<string, Uint8Array>;

export interface MemoryPlace {
  readonly files: Files;
  readonly folder: Folder;
  readonly writer: FolderWriter;
  /** What the disk does from now on: nothing special, is full, or loses power after so many more chunks. */
  trouble: "none" | "full" | { chunks: number };
}

/** Not one of Vitrine's errors: what a process that is killed feels is nothing at all, and nobody may catch it. */
export class PowerCut extends Error {}

export function memoryPlace(name = "out", files: Files = new Map()): MemoryPlace {
  const place: MemoryPlace = {
    files,
    trouble: "none",
    folder: {
      name,
      list: async () => [...files.keys()],
      open: async (file) => {
        const bytes = files.get(file);
        return bytes && bytesOf(`${name}/${file}`, bytes);
      },
    },
    writer: {
      name,
      write: async (file, chunks) => {
        const parts: Uint8Array[] = [];
        for await (const chunk of chunks) {
          if (place.trouble === "full")
            throw new VitrineError(`${name}/${file}: not written, the disk is full; free some space or choose another place`, { blame: "work" });
          if (typeof place.trouble === "object" && place.trouble.chunks-- <= 0) throw new PowerCut();
          parts.push(chunk.slice());
        }
        const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
        let at = 0;
        for (const part of parts) {
          all.set(part, at);
          at += part.length;
        }
        files.set(file, all);
      },
    },
  };
  return place;
}
