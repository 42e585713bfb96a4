/**
 * `vitrine studio`: the web app on this machine, with the headers that threads need, opened in the browser.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { VitrineError } from "../../base/errors.ts";
import type { StudioLine } from "../json.ts";
import { numberIn } from "../options.ts";
import type { Run, Session } from "../session.ts";

interface StudioFlags {
  readonly port: number;
  readonly host: string;
  readonly open: boolean;
  readonly model?: string;
  readonly json?: boolean;
}

const examples = `
Examples:
  vitrine studio
  vitrine studio "The king said" --model storyteller
  vitrine studio --no-open --port 8080      only serves; open the address yourself

Everything runs in the page, on this machine; Ctrl-C ends the server. dist/studio is a static site: any file host serves it
(with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp it uses all cores).`;

/** `vitrine studio` with its flags and help. */
export function studioCommand(run: Run): Command {
  return new Command("studio")
    .summary("the web app: see every word being chosen, in a browser")
    .description("Serves the studio on this machine and opens it in the browser: text, distributions, attention, lens and matrices of a model.")
    .argument("[prompt]", "the text to begin with")
    .option("-m, --model <name>", "the embedded model to open (default: the smallest one first, then the best)")
    .addOption(
      new Option("-p, --port <n>", "0: any that is free").argParser(numberIn("--port", { least: 0, most: 65535, whole: true })).default(4173),
    )
    .option("--host <address>", "who may connect: 127.0.0.1 is this machine only", "127.0.0.1")
    .option("--no-open", "do not open a browser")
    .option("--json", "JSON Lines: the address, once it can be opened (docs/json.md)")
    .addHelpText("after", examples)
    .action((prompt: string | undefined, flags: StudioFlags) => run((session) => serveStudio(session, prompt, flags)));
}

const packageRoot = fileURLToPath(new URL(import.meta.url.includes("/dist/") ? "../.." : "../../..", import.meta.url));

async function serveStudio(session: Session, prompt: string | undefined, flags: StudioFlags): Promise<number> {
  const { openSite, studioFolders } = await import("../../server/site.ts");
  const { site: folder, models } = studioFolders(packageRoot);
  if (!existsSync(join(folder, "index.html"))) throw new VitrineError("studio: the web app is not built; npm run build makes it", { blame: "work" });
  const site = await openSite({ folder, beside: { "/models": models }, host: flags.host, port: flags.port });
  try {
    const address = site.address + startOf(prompt, flags);
    await session.out.line(flags.json ? JSON.stringify({ type: "studio", address } satisfies StudioLine) : address);
    await session.hint("Ctrl-C ends it.");
    if (flags.open && session.out.terminal.isTTY) openBrowser(address);
    await new Promise<void>((resolve) => {
      if (session.stop.aborted) resolve();
      else session.stop.addEventListener("abort", () => resolve(), { once: true });
    });
    return 0; // ending it is the normal way out
  } finally {
    await site.close();
  }
}

/** The part of the address behind the page: what to open it with. */
function startOf(prompt: string | undefined, { model }: StudioFlags): string {
  const asked = new URLSearchParams();
  if (model !== undefined) asked.set("m", model);
  if (prompt !== undefined) asked.set("p", prompt);
  return asked.size === 0 ? "" : `#write?${asked.toString()}`;
}

/** Best effort: where there is no desktop the address on the screen is enough. */
function openBrowser(address: string): void {
  const [program, ...args] = process.platform === "darwin" ? ["open"] : process.platform === "win32" ? ["cmd", "/c", "start", ""] : ["xdg-open"];
  spawn(program, [...args, address], { stdio: "ignore", detached: true })
    .on("error", () => undefined)
    .unref();
}
