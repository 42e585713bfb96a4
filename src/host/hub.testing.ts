/**
 * A small hub on 127.0.0.1 for tests: it serves one model in memory as huggingface.co does, keeps a log of what was asked,
 * and lets a test take over any request to misbehave.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const REPO = "acme/tiny";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Answers the request itself and returns true, or leaves it to the hub. `nth` counts the GETs of this very path from 1. */
export type TakeOver = (request: IncomingMessage, response: ServerResponse, path: string, nth: number) => boolean | Promise<boolean>;

export interface FakeHub {
  readonly url: string;
  readonly port: number;
  readonly log: Asked[];
  takeOver: TakeOver;
  /** Changes what the listing says. */
  listing: (truth: { sha: string; siblings: Record<string, unknown>[] }) => unknown;
  close(): Promise<void>;
}

/** A folder of the test's own, in memory where there is such a disk: every pulled file is flushed, which a slow disk makes long. */
export function scratchFolder(): Promise<string> {
  return mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "vitrine-hub-"));
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function gitHash(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

export function etagOf(path: string, bytes: Uint8Array): string {
  return isLfs(path) ? sha256(bytes) : gitHash(bytes);
}

function isLfs(path: string): boolean {
  return path.endsWith(".safetensors");
}

/** `length` bytes that repeat nowhere near, so that a piece at the wrong place changes the checksum. */
export function noise(length: number, seed: number = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function tinyModel(weights: Buffer = noise(300_000)): Map<string, Buffer> {
  return new Map([
    [".gitattributes", Buffer.from("*.safetensors filter=lfs\n")],
    ["README.md", Buffer.from("# tiny\n")],
    ["config.json", Buffer.from('{ "model_type": "gpt2", "n_layer": 2 }\n')],
    ["tokenizer.json", Buffer.from('{ "model": { "type": "BPE" } }\n')],
    ["pytorch_model.bin", noise(500)],
    ["onnx/model.onnx", noise(500)],
    ["model.safetensors", weights],
  ]);
}

export async function startHub(files: ReadonlyMap<string, Buffer>): Promise<FakeHub> {
  const log: Asked[] = [];
  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = decodeURIComponent(new URL(request.url!, "http://hub").pathname);
    log.push({ method: request.method!, path, range: request.headers.range, authorization: request.headers.authorization });
    const nth = log.filter((asked) => asked.path === path && asked.method === "GET").length;
    if (await hub.takeOver(request, response, path, nth)) return;
    if (path.startsWith(`/api/models/${REPO}/revision/`)) return sendJson(response, hub.listing({ sha: COMMIT, siblings: siblingsOf(files) }));
    const file = path.startsWith(`/${REPO}/resolve/${COMMIT}/`) ? path.slice(`/${REPO}/resolve/${COMMIT}/`.length) : "";
    const bytes = files.get(file);
    if (!bytes) return void response.writeHead(404, { "x-error-code": file ? "EntryNotFound" : "RepoNotFound" }).end();
    sendFile(request, response, file, bytes);
  };
  const port = await listen(server);
  const hub: FakeHub = {
    url: `http://127.0.0.1:${port}`,
    port,
    log,
    takeOver: () => false,
    listing: (truth) => truth,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return hub;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

function siblingsOf(files: ReadonlyMap<string, Buffer>): Record<string, unknown>[] {
  return [...files].map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    blobId: isLfs(rfilename) ? gitHash(Buffer.from("pointer")) : gitHash(bytes),
    ...(isLfs(rfilename) && { lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 } }),
  }));
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** A whole file, or the piece that a Range asks for. */
export function sendFile(request: IncomingMessage, response: ServerResponse, file: string, bytes: Buffer): void {
  const headers: Record<string, string | number> = { "x-repo-commit": COMMIT, etag: `"${etagOf(file, bytes)}"` };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (!range) {
    response.writeHead(200, { ...headers, "content-length": bytes.length }).end(bytes);
    return;
  }
  const from = Number(range[1]);
  const to = range[2] === "" ? bytes.length : Number(range[2]) + 1;
  if (from >= bytes.length) response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
  else {
    response
      .writeHead(206, { ...headers, "content-length": to - from, "content-range": `bytes ${from}-${to - 1}/${bytes.length}` })
      .end(bytes.subarray(from, to));
  }
}

/** Promises what is left of `bytes`, sends `count` of it and cuts the line. */
export function sendAndCut(request: IncomingMessage, response: ServerResponse, bytes: Buffer, count: number): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const rest = bytes.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    "content-length": rest.length,
    ...(from > 0 && { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
  });
  response.write(rest.subarray(0, count), () => setTimeout(() => response.destroy(), 20));
}
