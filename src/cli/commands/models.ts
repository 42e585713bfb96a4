/**
 * `vitrine models`: what `--model` can name on this machine, and which of it can be run.
 */
import { Command } from "commander";
import { ellipsis } from "../bars.ts";
import type { ModelLine } from "../json.ts";
import type { ListedModel } from "../models.ts";
import { bytes } from "../numbers.ts";
import type { Run, Session } from "../session.ts";
import { drawTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

const examples = `
Examples:
  vitrine models
  vitrine models --json
  vitrine pull HuggingFaceTB/SmolLM-135M   to get one more`;

/** `vitrine models` with its flags and help. */
export function modelsCommand(run: Run): Command {
  return new Command("models")
    .summary("list the models that are here")
    .description("Lists the models that came with Vitrine and those in the hub cache, with their size and whether they can be run.")
    .option("--json", "JSON Lines: one model a line (docs/json.md)")
    .addHelpText("after", examples)
    .action((flags: { readonly json?: boolean }) => run((session) => listAll(session, flags.json === true)));
}

const sources: Readonly<Record<ListedModel["source"], string>> = { embedded: "came with Vitrine", cache: "pulled", nearby: "lies beside the clone" };

async function listAll(session: Session, asJson: boolean): Promise<number> {
  const models = await session.models.list(session.io.env);
  const { out } = session;
  if (asJson) {
    const lines = models.map((model): ModelLine => ({ type: "model", ...model, architecture: model.architecture ?? null }));
    for (const line of lines) await out.line(JSON.stringify(line));
    return 0;
  }
  if (models.length === 0) {
    await out.line("No models here yet. vitrine pull ORG/NAME fetches one; --model DIR uses a folder you have.");
    return 0;
  }
  const rows = models.map(({ name, source, architecture, bytes: size, loadable, why }) => [
    shortened(name, out.terminal),
    architecture ?? "?",
    bytes(size),
    sources[source],
    loadable ? "yes" : `no: ${why}`,
  ]);
  const columns = [
    { title: "model", wrap: true },
    { title: "architecture", wrap: true },
    { title: "size", align: "right" },
    { title: "where", wrap: true },
    { title: "runs", wrap: true },
  ] as const;
  for (const line of drawTable(columns, rows, out.terminal)) await out.line(line);
  return 0;
}

/** A whole commit in a name is 40 letters that nobody reads; --json has it. */
function shortened(name: string, { unicode }: Terminal): string {
  return name.replace(/@([0-9a-f]{10})[0-9a-f]{30}$/, `@$1${ellipsis(unicode)}`);
}
