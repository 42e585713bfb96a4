/**
 * From a plan to a run that can begin: device, tokenizer, tokens and a model with fresh weights, in the run's folder.
 * What is asked for is training-plan.ts's, how the run goes on training/trainer.ts's.
 */
import { mkdtemp, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import type { ByteSource } from "../base/bytes.ts";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { loadTokenizerOnly } from "../engine/load.ts";
import { localEngine } from "../engine/local.ts";
import type { LocalEngine } from "../engine/local.ts";
import { textSources } from "../host/text-sources.ts";
import { nodeFolder, nodeFolderWriter } from "../host/node-files.ts";
import { openDevice } from "../host/node.ts";
import { initialModel } from "../model/random-weights.ts";
import { tally } from "../model/tally.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { checkLength } from "../training/batch.ts";
import { endOfTextId, splitCorpus } from "../training/split.ts";
import { encodeCorpus } from "../training/tokens.ts";
import type { Corpus } from "../training/tokens.ts";
import type { TokenData } from "../training/token-list.ts";
import type { DeviceFlags } from "./options.ts";
import { Progress } from "./progress.ts";
import type { Session } from "./session.ts";
import { clearFolder } from "./run-folder.ts";
import { tokensFolder, writePlan } from "./training-folder.ts";
import { configOf } from "./training-plan.ts";
import type { TrainPlan } from "./training-plan.ts";
import { writeTokenizer } from "./training-tokenizer.ts";

export interface OpenedRun {
  /** The model that learns, and its tokenizer. Disposing it gives everything back. */
  readonly engine: LocalEngine;
  readonly train: TokenData;
  readonly validation: TokenData | undefined;
  /** Identity of all that is read, for checkpoints. */
  readonly data: string;
}

/**
 * Opens everything. A new run's tokenizer is made first, aside; one that goes on (`goesOn`) finds it in its folder. Mistakes in the texts
 * and what `check` refuses show here, before anything that lies in the folder is touched, and leave nothing new in it.
 */
export async function openRun(
  session: Session,
  out: string,
  plan: TrainPlan,
  flags: DeviceFlags & { readonly force?: boolean },
  goesOn: boolean,
  check: (run: OpenedRun) => void,
): Promise<OpenedRun> {
  const tokens = join(out, tokensFolder);
  const before = await readdir(tokens).catch(() => undefined);
  const device = await openDevice({ device: flags.device, threads: flags.threads, onNote: (note) => void session.notice(note) });
  let aside: string | undefined;
  try {
    if (!goesOn) aside = await temporaryFolder();
    const files = await textSources(plan.files);
    const validationFiles = "files" in plan.validation ? await textSources(plan.validation.files) : [];
    if (aside !== undefined) await writeTokenizer(session, aside, plan, files, validationFiles, flags.threads);
    const tokenizer = await loadTokenizerOnly(nodeFolder(aside ?? out));
    const corpus = await encoded(session, out, files, tokenizer, "reading the text");
    const other = validationFiles.length > 0 ? await encoded(session, out, validationFiles, tokenizer, "reading the validation text") : undefined;
    const parts = parted(plan, corpus, other, tokenizer);
    checkLength(parts.train, plan.options.context, "the training text");
    const engine = await newModel(device, plan, tokenizer, basename(resolve(out)));
    const data = other === undefined ? corpus.fingerprint : `${corpus.fingerprint}+${other.fingerprint}`;
    const run = { engine, data, ...parts };
    check(run);
    if (aside !== undefined) await takeFolder(out, aside, plan, data, flags.force === true);
    return run;
  } catch (error) {
    device.dispose();
    for (const file of await readdir(tokens).catch(() => [])) if (before?.includes(file) !== true) await rm(join(tokens, file), { force: true });
    if (before === undefined) await rmdir(tokens).catch(() => {});
    throw error;
  } finally {
    if (aside !== undefined) await rm(aside, { recursive: true, force: true });
  }
}

/** From here on the folder is the new run's. With `force` an older one lay there: what it left goes. */
async function takeFolder(out: string, aside: string, plan: TrainPlan, data: string, force: boolean): Promise<void> {
  if (force) await clearFolder(out);
  const writer = nodeFolderWriter(out);
  for (const file of await readdir(aside)) await writer.write(file, [await readFile(join(aside, file))]);
  await writePlan(out, plan, data);
}

async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "vitrine-run-")).catch((error: unknown) => {
    throw new VitrineError(
      `no temporary folder can be made in ${tmpdir()}: ${(error as Error).message}; let TMPDIR name a folder that can be written to`,
      {
        blame: "work",
        cause: error,
      },
    );
  });
}

async function encoded(session: Session, out: string, files: readonly ByteSource[], tokenizer: Tokenizer, title: string): Promise<Corpus> {
  const progress = new Progress(session.talk, { title, unit: "bytes", after: 500 });
  const folder = join(out, tokensFolder);
  try {
    return await encodeCorpus(files, tokenizer, {
      cache: { folder: nodeFolder(folder), writer: nodeFolderWriter(folder) },
      onProgress: (done, total, phase) => progress.update({ done, total, detail: phase }),
      onNote: (note) => {
        progress.clear();
        void session.notice(note);
      },
      signal: session.stop,
    });
  } finally {
    progress.clear();
  }
}

function parted(
  plan: TrainPlan,
  corpus: Corpus,
  other: Corpus | undefined,
  tokenizer: Tokenizer,
): { train: TokenData; validation: TokenData | undefined } {
  if (other !== undefined) return { train: corpus, validation: other };
  const share = "share" in plan.validation ? plan.validation.share : 0;
  const { train, validation } = splitCorpus(corpus, endOfTextId(tokenizer), share);
  return { train, validation: validation.tokens.length > 0 ? validation : undefined };
}

async function newModel(device: Device, plan: TrainPlan, tokenizer: Tokenizer, name: string): Promise<LocalEngine> {
  const config = configOf(plan.model, tokenizer.vocabularySize, endOfTextId(tokenizer));
  const model = await initialModel(config, device, plan.options.seed);
  return localEngine({ model, tokenizer, name, tally: (rule) => tally(config, rule, name), onDispose: () => device.dispose() });
}
