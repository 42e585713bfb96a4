/**
 * One file from a hub to the disk: goes on where an earlier try or an earlier process stopped, checks length and checksum, and
 * gives the bytes their final name only then. Which file, and what name, is the business of hub.ts.
 */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { VitrineError } from "../base/errors.ts";
import { codeOf, diskTrouble, onDisk, sizeOf } from "./hub-cache.ts";
import { ask, type Answer, type HubClient, passingTrouble, persist } from "./hub-http.ts";
import { fileUrl, type RemoteFile } from "./hub-listing.ts";
import { makeFolder } from "./make-folder.ts";

export interface Target {
  readonly file: RemoteFile;
  readonly commit: string;
  /** Where the bytes gather; what lies there from an earlier try is used. */
  readonly part: string;
  /** Where they go, whole and checked. */
  readonly destination: string;
}

/**
 * Fetches `target`. `arrived(total, fresh)` is told how many bytes of the file are there, and how many of them are new from the network.
 * Throws VitrineError: wrong checksum or length (the part file is deleted), disk troubles, a hub that stays away, a pressed Ctrl-C
 * (the part file is kept for the next try).
 */
export async function download(client: HubClient, target: Target, arrived: (total: number, fresh: number) => void): Promise<void> {
  await onDisk(target.part, () => makeFolder(dirname(target.part)));
  const part = await PartFile.open(target.part, target.file);
  try {
    arrived(part.size, 0);
    await persist(client, async (progressed) => {
      while (part.size < target.file.size) await fetchRest(client, target, part, progressed, arrived);
    });
    await part.finish(client, target.destination);
  } catch (error) {
    if (client.signal?.aborted) {
      const kept = `${part.size} of ${target.file.size} bytes of ${target.file.path} are kept, the same command goes on from there`;
      throw new VitrineError(`${client.task}: stopped; ${kept}`, { blame: "work", cause: error });
    }
    throw error;
  } finally {
    await part.close();
  }
}

/** One request for what is missing. Returns normally also when the server made it necessary to begin anew. */
async function fetchRest(
  client: HubClient,
  { file, commit }: Target,
  part: PartFile,
  progressed: () => void,
  arrived: (total: number, fresh: number) => void,
): Promise<void> {
  const from = part.size;
  const headers: Record<string, string> = from > 0 && part.mayResume ? { range: `bytes=${from}-` } : {};
  if (from > 0 && !part.mayResume) await part.restart();
  const answer = await ask(client, { method: "GET", url: fileUrl(client, commit, file.path), what: file.path, headers, accept: [416] });
  try {
    if (!continues(client, file, answer, part.size)) {
      if (answer.status !== 200) {
        // 416, or a piece other than the one asked for: this server's ranges are of no use.
        if (!part.mayResume) throw passingTrouble(`${file.path}: the server sends pieces (HTTP ${answer.status}) that nobody asked for`);
        part.mayResume = false;
        return;
      }
      await part.restart(); // ranges are ignored here: the whole file is on its way
      arrived(0, 0);
    }
    for await (const chunk of answer.chunks()) {
      if (part.size + chunk.length > file.size) {
        await part.discard();
        throw new VitrineError(
          `${client.task}: ${file.path}: the server sends more than the ${file.size} bytes it announced; the part file was deleted`,
          { blame: "work" },
        );
      }
      await part.append(chunk);
      arrived(part.size, chunk.length);
      progressed();
    }
  } finally {
    await answer.close();
  }
  if (part.size < file.size) throw passingTrouble(`${file.path}: the connection ended after ${part.size} of ${file.size} bytes`);
}

/** Whether the answer's body belongs at byte `from`. Throws VitrineError when the server contradicts the listing's size. */
function continues(client: HubClient, file: RemoteFile, answer: Answer, from: number): boolean {
  const lies = (size: string | number): VitrineError =>
    new VitrineError(
      `${client.task}: ${file.path}: the listing says ${file.size} bytes, the server now says ${size}; try again, or name another hub in HF_ENDPOINT`,
      { blame: "work" },
    );
  const encoded = !/^(identity)?$/i.test(answer.headers.get("content-encoding") ?? "");
  const length = encoded ? null : answer.headers.get("content-length");
  if (answer.status === 200) {
    if (length !== null && Number(length) !== file.size) throw lies(length);
    return from === 0;
  }
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers.get("content-range") ?? "");
  if (answer.status !== 206 || !range || encoded || Number(range[1]) !== from) return false;
  if (range[3] !== "*" && Number(range[3]) !== file.size) throw lies(range[3]);
  if (length !== null && Number(length) > file.size - from) throw lies(from + Number(length));
  return true;
}

/** The bytes so far and their running checksum. Written by position and never shortened, so that two pulls at once write the same bytes. */
class PartFile {
  readonly #path: string;
  readonly #file: RemoteFile;
  #handle: FileHandle | undefined;
  #hash: Hash | undefined;
  #size = 0;
  /** Ranges are worth asking for. */
  mayResume = true;

  private constructor(path: string, file: RemoteFile) {
    this.#path = path;
    this.#file = file;
  }

  get size(): number {
    return this.#size;
  }

  static async open(path: string, file: RemoteFile): Promise<PartFile> {
    const part = new PartFile(path, file);
    await onDisk(path, async () => {
      await part.#reopen();
      const found = (await part.#handle!.stat()).size;
      if (found > file.size) await part.restart();
      else await part.#readBack(found);
    });
    return part;
  }

  async #reopen(): Promise<void> {
    this.#handle = await open(this.#path, constants.O_RDWR | constants.O_CREAT, 0o666);
    const { checksum, size } = this.#file;
    this.#hash = checksum && createHash(checksum.kind === "sha256" ? "sha256" : "sha1");
    if (checksum?.kind === "git") this.#hash!.update(`blob ${size}\0`);
    this.#size = 0;
  }

  /** Takes over what an earlier process left: its bytes must go through the checksum too. */
  async #readBack(length: number): Promise<void> {
    const buffer = Buffer.allocUnsafe(1 << 20);
    while (this.#size < length) {
      const { bytesRead } = await this.#handle!.read(buffer, 0, Math.min(buffer.length, length - this.#size), this.#size);
      if (bytesRead === 0) break;
      this.#hash?.update(buffer.subarray(0, bytesRead));
      this.#size += bytesRead;
    }
  }

  async append(chunk: Uint8Array): Promise<void> {
    await onDisk(this.#path, async () => {
      for (let done = 0; done < chunk.length;) {
        done += (await this.#handle!.write(chunk, done, chunk.length - done, this.#size + done)).bytesWritten;
      }
    });
    this.#hash?.update(chunk);
    this.#size += chunk.length;
  }

  /** Begins anew, in a new file: another process that still writes the old one does no harm. */
  async restart(): Promise<void> {
    await this.discard();
    await onDisk(this.#path, () => this.#reopen());
  }

  async discard(): Promise<void> {
    await this.close();
    await onDisk(this.#path, () => rm(this.#path, { force: true }));
  }

  /** Checks, flushes to the disk and renames. Throws VitrineError and deletes the bytes when the checksum is wrong. */
  async finish(client: HubClient, destination: string): Promise<void> {
    const { path, checksum, size } = this.#file;
    const hex = this.#hash?.digest("hex");
    if (hex !== checksum?.hex) {
      await this.discard();
      const name = checksum!.kind === "sha256" ? "sha256" : "git hash";
      throw new VitrineError(
        `${client.task}: ${path}: what came has the ${name} ${hex}, expected ${checksum!.hex}; it was deleted, run the same command to fetch it again`,
        { blame: "work" },
      );
    }
    await onDisk(destination, async () => {
      await this.#handle!.sync().catch((error: unknown) => {
        if (codeOf(error) !== "EINVAL") throw diskTrouble(this.#path, error); // some network disks cannot
      });
      await this.close();
      try {
        await rename(this.#path, destination);
      } catch (error) {
        // A second writer past a lock that broke was quicker, with the same bytes.
        if (codeOf(error) !== "ENOENT" || (await sizeOf(destination)) !== size) throw error;
      }
    });
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close().catch(() => {});
  }
}
