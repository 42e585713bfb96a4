/**
 * `vitrine export`: a model in another form, for llama.cpp and its kin (GGUF) or for Python's transformers (safetensors).
 * What is written is engine/export.ts's; this is the question, the place and the progress.
 */
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { Command, Option } from "commander";
import type { FloatType } from "../../base/dtype.ts";
import { quoted, VitrineError } from "../../base/errors.ts";
import type { GgufType } from "../../formats/gguf-type.ts";
import { interrupted } from "../errors.ts";
import type { ExportedLine } from "../json.ts";
import { bytes } from "../numbers.ts";
import { oneOf } from "../options.ts";
import { Progress } from "../progress.ts";
import type { Run, Session } from "../session.ts";

const ggufTypes: Readonly<Record<string, GgufType>> = { f32: "F32", f16: "F16", q8_0: "Q8_0", q4_0: "Q4_0" };
const floatTypes: Readonly<Record<string, FloatType>> = { f32: "F32", f16: "F16", bf16: "BF16" };
const allTypes = [...new Set([...Object.keys(ggufTypes), ...Object.keys(floatTypes)])];

interface ExportFlags {
  readonly model?: string;
  readonly out: string;
  readonly format?: string;
  readonly type: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  vitrine export ./my-model --out my-model.gguf --type q8_0
  vitrine generate "Once upon a time" --model my-model.gguf
  vitrine export HuggingFaceTB/SmolLM-135M --out smollm-f16 --type f16
  vitrine export my-model.gguf --out my-model --format safetensors

Types of GGUF: f32, f16, q8_0 (8 bits, blocks of 32) and q4_0 (4 bits); of safetensors: f32, f16, bf16.
In GGUF norms, biases and position embeddings stay f32. A file appears whole or not at all.`;

/** `vitrine export` with its flags and help. */
export function exportCommand(run: Run): Command {
  return new Command("export")
    .summary("write a model in another form: GGUF or safetensors")
    .description("Writes a model as a GGUF file (for llama.cpp, Ollama, LM Studio) or as a Hugging Face folder (for Python's transformers).")
    .argument("[model]", "a model folder, a .gguf file, an embedded name, or a pulled ORG/NAME[@REV] (default: the embedded model)")
    .addOption(new Option("-m, --model <model>", "the same as the argument"))
    .requiredOption("-o, --out <path>", "where to write: a file that ends in .gguf, or a folder")
    .addOption(
      new Option("--format <format>", "gguf or safetensors (default: gguf when --out ends in .gguf, else safetensors)").argParser(
        oneOf("--format", ["gguf", "safetensors"]),
      ),
    )
    .addOption(
      new Option("--type <type>", `how weights are stored: ${allTypes.join(", ")}`)
        .default("f32")
        .argParser((text: string) => oneOf("--type", allTypes)(text.toLowerCase())),
    )
    .option("--force", "write over what is there")
    .option("--json", "JSON Lines: what was written (docs/json.md)")
    .addHelpText("after", examples)
    .action((model: string | undefined, flags: ExportFlags) => run((session) => exportModel(session, model, flags)));
}

async function exportModel(session: Session, named: string | undefined, flags: ExportFlags): Promise<number> {
  if (named !== undefined && flags.model !== undefined) {
    throw new VitrineError(`a model was named twice, ${named} and --model ${flags.model}; name one`);
  }
  const toGguf = flags.format === undefined ? /\.gguf$/i.test(flags.out) : flags.format === "gguf";
  const types: Readonly<Record<string, GgufType | FloatType>> = toGguf ? ggufTypes : floatTypes;
  if (!Object.hasOwn(types, flags.type)) {
    throw new VitrineError(`--type ${flags.type} is no type of ${toGguf ? "GGUF" : "safetensors"} files; expected ${Object.keys(types).join(", ")}`);
  }
  const [{ resolveModel }, { nodeFolderWriter }, { exportFolder, exportGguf }] = await Promise.all([
    import("../../host/node-models.ts"),
    import("../../host/node-files.ts"),
    import("../../engine/export.ts"),
  ]);
  const found = await resolveModel(named ?? flags.model);
  const out = resolve(flags.out);
  await checkTarget(out, flags, toGguf, found.path);

  const progress = new Progress(session.talk, { title: `writing ${basename(out)}`, unit: "weights", after: 1000 });
  const options = {
    name: found.name,
    onProgress: (done: number, total: number) => progress.update({ done, total }),
    onNote: (text: string) => {
      progress.clear();
      void session.talk.line(text);
    },
    signal: session.stop,
  };
  try {
    if (toGguf) await exportGguf(found.folder, nodeFolderWriter(dirname(out)), basename(out), { ...options, type: ggufTypes[flags.type] });
    else await exportFolder(found.folder, nodeFolderWriter(out), { ...options, type: floatTypes[flags.type] });
    progress.clear();
    const { size } = await stat(toGguf ? out : join(out, "model.safetensors"));
    if (flags.json) {
      const format = toGguf ? "gguf" : "safetensors";
      const line: ExportedLine = { type: "exported", model: found.name, path: flags.out, format, weights: flags.type, bytes: size };
      await session.out.line(JSON.stringify(line));
      return 0;
    }
    await session.out.line(flags.out);
    await session.hint(`${found.name} as ${flags.type}, ${bytes(size)}; try vitrine generate "Once upon a time" --model ${flags.out}`);
    return 0;
  } catch (error) {
    if (!session.isInterrupted()) throw error;
    progress.clear();
    await session.hint("interrupted; what was there before is untouched");
    return interrupted;
  } finally {
    progress.clear();
  }
}

/** Throws VitrineError where writing would fail late, or cost somebody a model. */
async function checkTarget(out: string, { out: given, force }: ExportFlags, toGguf: boolean, model: string): Promise<void> {
  const there = await kindOf(out);
  if (out === resolve(model)) throw new VitrineError(`--out ${quoted(given)} is the model itself; give another place`);
  if (toGguf) {
    if (there === "folder")
      throw new VitrineError(`--out ${quoted(given)} is a folder; name a file in it, for example ${quoted(join(given, "model.gguf"))}`);
    if (!/\.gguf$/i.test(out)) throw new VitrineError(`--out ${quoted(given)}: a GGUF file's name ends in .gguf; give it that ending`);
    if (there === "file" && !force)
      throw new VitrineError(`--out ${quoted(given)} is already there; choose another name, or write over it with --force`);
    return;
  }
  if (there === "file") throw new VitrineError(`--out ${quoted(given)} is a file, expected a folder; choose another name`);
  for (const file of ["config.json", "model.safetensors"]) {
    if (!force && (await kindOf(join(out, file))) !== undefined) {
      throw new VitrineError(`--out ${quoted(given)} holds a model already (${file}); choose another folder, or write over it with --force`);
    }
  }
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : found.isDirectory() ? "folder" : "file";
}
