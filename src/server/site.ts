/**
 * A folder as a web site that may use threads: cross-origin isolated, only for this machine unless asked otherwise.
 * What the site is, is the caller's business (`vitrine studio`).
 */
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serve } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { VitrineError } from "../base/errors.ts";

export interface Site {
  /** With a slash at its end. */
  readonly address: string;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** The folder with index.html. */
  readonly folder: string;
  /** More folders, by the path they are served under: "/models" -> a folder. They come before what lies in `folder`. */
  readonly beside?: Readonly<Record<string, string>>;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/**
 * Serves until closed. Files outside the folders are never reached, whatever the path says.
 * Throws VitrineError when the port is taken or may not be used.
 */
export async function openSite({ folder, beside = {}, host, port }: SiteOptions): Promise<Site> {
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header("Cross-Origin-Opener-Policy", "same-origin"); // both: shared memory between threads needs them
    context.header("Cross-Origin-Embedder-Policy", "require-corp");
    context.header("Cross-Origin-Resource-Policy", "same-origin");
    context.header("X-Content-Type-Options", "nosniff");
    context.header("Cache-Control", context.req.path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
  });
  for (const [path, root] of Object.entries(beside))
    app.use(`${path}/*`, serveStatic({ root, rewriteRequestPath: (asked) => asked.slice(path.length) }));
  app.use(serveStatic({ root: folder }));
  app.notFound((context) => context.text("not found", 404));

  const server = serve({ fetch: app.fetch, hostname: host, port });
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", (error: NodeJS.ErrnoException) => reject(refusal(error, host, port)));
  });
  const { port: given } = server.address() as AddressInfo;
  return {
    address: `http://${host.includes(":") ? `[${host}]` : host}:${given}/`,
    close: () =>
      new Promise((resolve) => {
        if ("closeAllConnections" in server) server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function refusal(error: NodeJS.ErrnoException, host: string, port: number): VitrineError {
  const cause =
    error.code === "EADDRINUSE"
      ? `port ${port} is taken; give another with --port, or --port 0 for any free one`
      : error.code === "EACCES"
        ? `port ${port} may not be used by you; give one above 1023 with --port`
        : error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND"
          ? `this machine has no address ${host}; give --host 127.0.0.1`
          : error.message;
  return new VitrineError(`serve: ${cause}`, { cause: error });
}

/** Where the package keeps the built studio, and the embedded models beside it. */
export function studioFolders(packageRoot: string): { readonly site: string; readonly models: string } {
  return { site: join(packageRoot, "dist/studio"), models: join(packageRoot, "models") };
}
