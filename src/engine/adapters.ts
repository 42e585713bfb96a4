/**
 * LoRA adapters between files and a model: those of a folder put beside a model's weights, and the way back.
 * The folder is formats/peft.ts's, the matrices model/adapters.ts's; here they are made to fit, or refused.
 */
import type { Folder, FolderWriter } from "../base/bytes.ts";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { sameShape, showShape } from "../base/shape.ts";
import { shapeOf } from "../training/optimiser.ts";
import { openAdapterFolder, writeAdapterFolder } from "../formats/peft.ts";
import type { AdapterFolder } from "../formats/peft.ts";
import { tensorsToWrite } from "../formats/save-folder.ts";
import { attachAdapters } from "../model/adapters.ts";
import type { Adapters } from "../model/adapters.ts";
import type { LanguageModel } from "../model/model.ts";

/** What PEFT adapts by default in each family. */
export const usualTargets: Readonly<Record<"gpt2" | "llama", readonly string[]>> = { gpt2: ["c_attn"], llama: ["q_proj", "v_proj"] };

/**
 * Puts the adapters of a folder beside the model's weights. Throws FormatError when the folder is damaged, holds numbers that are none, or
 * is of another model; the model is then as it was.
 */
export async function loadAdapters(model: LanguageModel, folder: Folder): Promise<Adapters> {
  const found = await openAdapterFolder(folder);
  try {
    const adapters = attach(model, found);
    try {
      for (const { name, weights } of adapters.learnable()) {
        const [expected, info] = [shapeOf(weights), found.weights.tensors.get(name)!];
        if (!sameShape(info.shape, expected))
          throw new FormatError(
            `${found.weights.name}: tensor ${quoted(name)} is ${showShape(info.shape)}, and this model needs ${showShape(expected)}; ${ofAnother(found)}`,
          );
        const values = await found.weights.read(name);
        const stray = values.findIndex((value) => !Number.isFinite(value));
        if (stray >= 0)
          throw new FormatError(`${found.weights.name}: tensor ${quoted(name)} holds ${values[stray]}; the file is damaged: fetch it again`);
        adapters.writeParameter(name, values);
      }
      return adapters;
    } catch (error) {
      adapters.detach();
      throw error;
    }
  } finally {
    await found.weights.close();
  }
}

function attach(model: LanguageModel, found: AdapterFolder): Adapters {
  const { rank, alpha, modules } = found;
  try {
    const adapters = attachAdapters(model, { rank, alpha, targets: modules });
    const stray = modules.find((module) => !adapters.modules.includes(module));
    if (stray === undefined && adapters.modules.length === modules.length) return adapters;
    adapters.detach();
    throw new FormatError(`${found.weights.name}: module ${quoted(stray ?? modules[0])} goes by another name in this model; ${ofAnother(found)}`);
  } catch (error) {
    if (!(error instanceof VitrineError) || error instanceof FormatError) throw error;
    throw new FormatError(`${found.weights.name}: ${error.message}; ${ofAnother(found)}`, { cause: error });
  }
}

function ofAnother({ base }: AdapterFolder): string {
  return base === undefined ? "use it with the model it was made for" : `it was made for ${quoted(base)}, use it with that model`;
}

export interface SaveAdaptersOptions {
  /** What the adapter's users need beside it: a path or a name. */
  readonly base: string;
  readonly notes?: Readonly<Record<string, string>>;
}

/** Writes them as PEFT does. */
export async function saveAdapters(adapters: Adapters, model: LanguageModel, writer: FolderWriter, options: SaveAdaptersOptions): Promise<void> {
  const { rank, alpha, targets } = adapters;
  const { base, notes: metadata } = options;
  const weights = await tensorsToWrite(() => adapters.parameters());
  await writeAdapterFolder(writer, { base, rank, alpha, targets, fanInFanOut: model.config.family === "gpt2", weights, metadata });
}
