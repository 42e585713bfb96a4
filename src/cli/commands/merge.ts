/**
 * `vitrine merge`: a model and a LoRA adapter, Vitrine's or PEFT's, become one model in a standard folder.
 */
import { Command, Option } from "commander";
import type { FloatType } from "../../base/dtype.ts";
import { quoted, VitrineError } from "../../base/errors.ts";
import { loadAdapters } from "../../engine/adapters.ts";
import { generationConfigFrom, saveFinetuned, tokenizerFilesWith } from "../../engine/finetuned.ts";
import { loadEngine } from "../../engine/load.ts";
import { isAdapterFolder } from "../../formats/peft.ts";
import { nodeFolderWriter } from "../../host/node-files.ts";
import { resolveModel } from "../../host/node-models.ts";
import type { FoundModel } from "../../host/node-models.ts";
import { openDevice } from "../../host/node.ts";
import { interrupted } from "../errors.ts";
import { addDeviceFlags, oneOf } from "../options.ts";
import type { DeviceFlags } from "../options.ts";
import { Progress } from "../progress.ts";
import { checkNewFolder, clearFolder, inRunFolder } from "../run-folder.ts";
import type { Run, Session } from "../session.ts";

const types: Readonly<Record<string, FloatType>> = { f32: "F32", f16: "F16", bf16: "BF16" };

interface MergeFlags extends DeviceFlags {
  readonly out: string;
  readonly type: string;
  readonly force?: boolean;
}

const examples = `
Examples:
  vitrine merge ./my-model out/chat --out out/merged
  vitrine generate "Once upon a time" --model out/merged`;

export function mergeCommand(run: Run): Command {
  const command = new Command("merge")
    .summary("make one model of a model and its LoRA adapter")
    .description(
      "Adds a LoRA adapter, made by vitrine finetune --lora or by PEFT, to the weights of its model and writes the result as a model folder.",
    )
    .argument("<model>", "the model the adapter was made for: a folder, an embedded name, or a pulled ORG/NAME[@REV]")
    .argument("<adapter>", "the adapter's folder")
    .requiredOption("-o, --out <dir>", "where to write")
    .addOption(new Option("--type <type>", "how weights are stored: f32, f16, bf16").default("f32").argParser(oneOf("--type", Object.keys(types))))
    .option("--force", "write over a model that is there");
  return addDeviceFlags(command)
    .addHelpText("after", examples)
    .action((model: string, adapter: string, flags: MergeFlags) => run((session) => merge(session, model, adapter, flags)));
}

async function merge(session: Session, modelName: string, adapterName: string, flags: MergeFlags): Promise<number> {
  const [found, adapter] = [await resolveModel(modelName), await resolveModel(adapterName)];
  if (isAdapterFolder(await found.folder.list()))
    throw new VitrineError(`${quoted(modelName)} is an adapter; name the model first, then the adapter: vitrine merge MODEL ADAPTER --out DIR`);
  return inRunFolder(flags.out, async () => {
    await checkNewFolder(flags.out, { reads: [found.path, adapter.path], force: flags.force });
    return mergeInto(session, found, adapter, flags);
  });
}

async function mergeInto(session: Session, found: FoundModel, adapter: FoundModel, flags: MergeFlags): Promise<number> {
  const device = await openDevice({ device: flags.device, threads: flags.threads, onNote: (note) => void session.notice(note) });
  const progress = new Progress(session.talk, { title: "loading the model", unit: "weights" });
  try {
    const engine = await loadEngine(found.folder, device, {
      name: found.name,
      onProgress: (done, total) => progress.update({ done, total }),
      onNote: (note) => void session.notice(note),
      signal: session.stop,
    });
    try {
      const { model } = engine;
      const adapters = await loadAdapters(model, adapter.folder);
      await adapters.merge();
      // What was fine-tuned knows best how it is talked to.
      const own = (await adapter.folder.list()).some((file) => file === "tokenizer.json" || file === "vocab.json");
      const tokenizerFiles = await tokenizerFilesWith(own ? adapter.folder : found.folder, undefined);
      const generationConfig = await generationConfigFrom(found.folder, model, []);
      if (session.stop.aborted) return session.isInterrupted() ? interrupted : 0;
      if (flags.force) await clearFolder(flags.out);
      await saveFinetuned(model, nodeFolderWriter(flags.out), { tokenizerFiles, generationConfig, dtype: types[flags.type] });
    } finally {
      engine.dispose();
    }
  } catch (error) {
    if (session.isInterrupted()) return interrupted;
    throw error;
  } finally {
    progress.clear();
    device.dispose();
  }
  await session.out.line(flags.out);
  await session.hint(`try vitrine generate --model ${flags.out}`);
  return 0;
}
