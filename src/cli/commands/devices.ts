/**
 * `vitrine devices`: what can compute here, which of it Vitrine picks and why, and how fast each is.
 */
import { Command } from "commander";
import type { DeviceSpeed } from "../../device/measure.ts";
import type { DeviceSurvey } from "../../device/open.ts";
import type { DeviceLine } from "../json.ts";
import { addDeviceFlags } from "../options.ts";
import type { DeviceFlags } from "../options.ts";
import type { Run, Session } from "../session.ts";
import { drawTable } from "../table.ts";
import { foldWords } from "../width.ts";

interface DevicesFlags extends DeviceFlags {
  readonly measure: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  vitrine devices
  vitrine devices --threads 1
  VITRINE_ISA=avx2 vitrine devices   what a processor without AVX-512 would do

GFLOP/s: a (256, 768) x (768, 768) product; reading prompts and training live on it.
GB/s: a product with one row, 96 MiB of weights; every new token reads all weights.`;

/** `vitrine devices` with its flags and help. */
export function devicesCommand(run: Run): Command {
  const command = new Command("devices")
    .summary("what can compute here, what is picked, and how fast it is")
    .description("Lists the devices of this machine: which one is picked and why, its threads and instruction set, and its measured speed.");
  return addDeviceFlags(command)
    .option("--no-measure", "only list them")
    .option("--json", "JSON Lines: one device a line (docs/json.md)")
    .addHelpText("after", examples)
    .action((flags: DevicesFlags) => run((session) => listDevices(session, flags)));
}

async function listDevices(session: Session, flags: DevicesFlags): Promise<number> {
  const { openDevice, pickedDevice, surveyDevicesHere } = await import("../../host/node.ts");
  const { env } = session.io;
  const picked = pickedDevice(flags, env);
  (await openDevice(flags, env)).dispose(); // what cannot be opened is refused here as it is everywhere, with its cure
  const lines: DeviceLine[] = [];
  for (const survey of surveyDevicesHere()) {
    if (session.stop.aborted) break;
    const isPicked = survey.name === picked.name;
    const why = isPicked ? picked.why : survey.missing;
    if (survey.missing !== undefined) {
      lines.push(lineOf(survey, isPicked, why));
      continue;
    }
    const device = await openDevice({ device: survey.name, threads: flags.threads }, env);
    try {
      const speed = flags.measure ? await (await import("../../device/measure.ts")).measureDevice(device) : undefined;
      lines.push(lineOf(survey, isPicked, why, device, speed));
    } finally {
      device.dispose();
    }
  }
  await (flags.json ? tellJson(session, lines) : tellTable(session, lines));
  return 0;
}

function lineOf(
  survey: DeviceSurvey,
  picked: boolean,
  why: string | undefined,
  device?: { readonly summary: string; readonly threads: number },
  speed?: DeviceSpeed,
): DeviceLine {
  return {
    type: "device",
    name: survey.name,
    available: survey.missing === undefined,
    picked,
    why: why ?? "",
    summary: device?.summary ?? "",
    threads: device?.threads ?? 0,
    instructionSets: survey.instructionSets ?? [],
    gigaflops: speed === undefined ? null : rounded(speed.gigaflops),
    gigabytesPerSecond: speed === undefined ? null : rounded(speed.gigabytesPerSecond),
  };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

async function tellJson({ out }: Session, lines: readonly DeviceLine[]): Promise<void> {
  for (const line of lines) await out.line(JSON.stringify(line));
}

async function tellTable({ out }: Session, lines: readonly DeviceLine[]): Promise<void> {
  const { terminal } = out;
  const figure = (value: number | null): string => (value === null ? "" : String(value));
  const rows = lines.map(({ name, available, picked, summary, gigaflops, gigabytesPerSecond }) => [
    picked ? "*" : "",
    name,
    available ? summary.split(", ").slice(1).join(", ") : "not here",
    figure(gigaflops),
    figure(gigabytesPerSecond),
  ]);
  const columns = [
    { title: "" },
    { title: "device" },
    { title: "", wrap: true },
    { title: "GFLOP/s", align: "right" },
    { title: "GB/s", align: "right" },
  ] as const;
  for (const line of drawTable(columns, rows, terminal)) await out.line(line);
  await out.line();
  for (const { name, picked, why } of lines)
    if (why !== "") await out.line(foldWords(`${picked ? "*" : " "} ${name}: ${why}`, terminal.columns() - 1).join("\n"));
}
