/** Against a small HTTP server of this process; Node's fetch and Blob are the browser's. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FormatError, VitrineError } from "../base/errors.ts";
import { openModelFolder } from "../formats/hf-folder.ts";
import { blobFolder, urlFolder } from "./browser-files.ts";

type Manner = "ranges" | "whole" | "hides-size" | "start-page" | "changes" | "cuts" | "down" | "locked";

const big = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
const files: Record<string, Uint8Array> = {
  "config.json": new TextEncoder().encode('{"model_type":"gpt2"}'),
  "big.bin": big,
  "empty.txt": new Uint8Array(0),
  "exact.bin": big.slice(0, 65_536),
  "größe #1.json": new TextEncoder().encode("[]"),
};

let manner: Manner = "ranges";
let server: Server;
let address: string;
const asked: string[] = [];

function answer(response: ServerResponse, file: string, range: string | undefined): void {
  const bytes = files[file];
  asked.push(`${file} ${range ?? "whole"}`);
  if (manner === "down" || manner === "locked") return void response.writeHead(manner === "down" ? 503 : 403).end();
  if (!bytes)
    return void (manner === "start-page"
      ? response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<html>")
      : response.writeHead(404).end("no"));
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
  if (!match || manner === "whole") return void response.writeHead(200, { "content-type": "application/octet-stream" }).end(bytes);
  const start = Number(match[1]);
  const end = Math.min(Number(match[2]) + 1, bytes.length);
  if (start >= bytes.length) return void response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
  const size = manner === "changes" && start > 0 ? bytes.length + 1 : bytes.length;
  response.writeHead(206, manner === "hides-size" ? {} : { "content-range": `bytes ${start}-${end - 1}/${size}` });
  if (manner === "cuts" && start > 0) {
    response.write(bytes.subarray(start, start + 10));
    setTimeout(() => response.destroy(), 5);
  } else response.end(bytes.subarray(start, end));
}

beforeEach(async () => {
  manner = "ranges";
  asked.length = 0;
  server = createServer((request, response) =>
    answer(response, decodeURIComponent((request.url ?? "").replace("/models/tiny/", "")), request.headers.range),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/tiny`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe("urlFolder", () => {
  it("reads just the ranges asked for, and small files with one request", async () => {
    const folder = urlFolder(address);
    const config = await folder.open("config.json");
    expect(new TextDecoder().decode(await config?.read(0, config.size))).toBe('{"model_type":"gpt2"}');
    expect(asked).toEqual(["config.json bytes=0-65535"]);
    const source = (await folder.open("big.bin")) ?? expect.fail();
    expect(source.size).toBe(300_000);
    expect(await source.read(100, 200)).toEqual(big.slice(100, 200));
    expect(asked.length).toBe(2);
    expect(await source.read(65_000, 299_999)).toEqual(big.slice(65_000, 299_999));
    expect(asked[2]).toBe("big.bin bytes=65000-299998");
    expect(await source.read(300_000, 300_000)).toEqual(new Uint8Array(0));
    await expect(source.read(0, 300_001)).rejects.toThrow(/^internal/);
    expect(asked.length).toBe(3);
  });

  it.each<Manner>(["ranges", "whole", "hides-size"])("gives the same bytes when the server answers with: %s", async (how) => {
    manner = how;
    const folder = urlFolder(`${address}/`);
    for (const [name, bytes] of Object.entries(files)) {
      const source = (await folder.open(name)) ?? expect.fail(`${name} is not there`);
      expect(source.size).toBe(bytes.length);
      expect(await source.read(0, source.size)).toEqual(bytes);
      const middle = Math.floor(bytes.length / 2);
      expect(await source.read(middle, bytes.length)).toEqual(bytes.slice(middle));
    }
  });

  it.each<Manner>(["ranges", "start-page"])("lists what is there of the names it knows (%s)", async (how) => {
    manner = how;
    const folder = urlFolder(address, { known: ["config.json", "missing.json", "big.bin"] });
    expect(await folder.list()).toEqual(["config.json", "big.bin"]);
    expect(await folder.open("missing.json")).toBeUndefined();
    const before = asked.length;
    await folder.open("config.json");
    expect(asked.length).toBe(before); // list() had asked already
  });

  it("opens as a model folder", async () => {
    const model = await openModelFolder(urlFolder(address));
    expect(model.config).toEqual({ model_type: "gpt2" });
    await expect(model.openWeights()).rejects.toThrow("no weights in safetensors format");
  });

  it("notices a file that changes between two requests", async () => {
    manner = "changes";
    const source = (await urlFolder(address).open("big.bin")) ?? expect.fail();
    await expect(source.read(100_000, 100_001)).rejects.toThrow(FormatError);
  });

  it.each<[Manner, string]>([
    ["down", "the server answers 503 Service Unavailable; try again later"],
    ["locked", "the server answers 403 Forbidden; this server wants a login"],
  ])("says so when it is %s, the work's fault", async (how, message) => {
    manner = how;
    const error = await urlFolder(address)
      .open("config.json")
      .then(
        () => undefined,
        (error: unknown) => error as VitrineError,
      );
    expect(error).toBeInstanceOf(VitrineError);
    expect(error?.message).toContain(message);
    expect(error?.blame).toBe("work");
  });

  it("says so when the connection breaks or there is nobody", async () => {
    manner = "cuts";
    const source = (await urlFolder(address).open("big.bin")) ?? expect.fail();
    await expect(source.read(100_000, 200_000)).rejects.toThrow("cannot be fetched");
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(urlFolder(address).list()).rejects.toThrow(VitrineError);
  });

  it("refuses names that lead elsewhere", async () => {
    for (const name of ["../secret", "/x", "https://example.org/x", "a/b"]) await expect(urlFolder(address).open(name)).rejects.toThrow(VitrineError);
    expect(asked).toEqual([]);
  });
});

describe("blobFolder", () => {
  it("reads ranges of blobs by name", async () => {
    const folder = blobFolder("dropped", new Map([["big.bin", new Blob([big])]]));
    expect(await folder.list()).toEqual(["big.bin"]);
    expect(await folder.open("x")).toBeUndefined();
    const source = (await folder.open("big.bin")) ?? expect.fail();
    expect([source.name, source.size]).toEqual(["dropped/big.bin", 300_000]);
    expect(await source.read(1000, 1010)).toEqual(big.slice(1000, 1010));
    await expect(source.read(0, 300_001)).rejects.toThrow(/^internal/);
  });

  it("takes chosen files, and of a chosen folder not its subfolders", async () => {
    const folder = blobFolder("chosen", [
      chosen("config.json", "tiny/config.json"),
      chosen("config.json", "tiny/old/config.json"),
      chosen("vocab.json", ""),
    ]);
    expect(await folder.list()).toEqual(["config.json", "vocab.json"]);
  });

  it("says when a chosen file can no longer be read", async () => {
    const gone = Object.assign(new Blob(["x"]), { slice: () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadableError")) }) });
    const source = (await blobFolder("chosen", new Map([["x", gone]])).open("x")) ?? expect.fail();
    await expect(source.read(0, 1)).rejects.toThrow("choose the file again");
  });
});

function chosen(name: string, path: string): File {
  return Object.assign(new Blob(["x"]), { name, webkitRelativePath: path, lastModified: 0 }) as unknown as File;
}
