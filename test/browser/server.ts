/** A small HTTP server for the browser tests: folders of this machine under path prefixes, ranges, and cross-origin isolation if asked for. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

export interface TestServer {
  /** Without a slash at its end. */
  readonly address: string;
  close(): Promise<void>;
}

/** Serves `folders` by prefix ("/dist" -> a path) and `pages` by path. With `isolated` every answer carries COOP and COEP. */
export async function serve(
  folders: Readonly<Record<string, string>>,
  pages: Readonly<Record<string, string>>,
  isolated: boolean,
): Promise<TestServer> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://test").pathname));
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
      response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
    }
    response.setHeader("Content-Type", types[extname(path)] ?? (path === "/" ? types[".html"] : "application/octet-stream"));
    if (Object.hasOwn(pages, path)) {
      response.end(pages[path]);
      return;
    }
    const prefix = Object.keys(folders).find((candidate) => path.startsWith(`${candidate}/`));
    if (prefix === undefined) response.writeHead(404).end();
    else void sendFile(request, response, join(folders[prefix], path.slice(prefix.length)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function sendFile(request: IncomingMessage, response: ServerResponse, file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (range === null || found.size === 0) {
    createReadStream(file).pipe(response);
    return;
  }
  const start = Number(range[1]);
  const end = Math.min(Number(range[2]), found.size - 1);
  if (start >= found.size) {
    response.writeHead(416, { "Content-Range": `bytes */${found.size}` }).end();
    return;
  }
  response.writeHead(206, { "Content-Range": `bytes ${start}-${end}/${found.size}`, "Content-Length": end - start + 1 });
  createReadStream(file, { start, end }).pipe(response);
}
