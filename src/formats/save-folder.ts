/**
 * Writing a Hugging Face model folder that Python's transformers opens too.
 * Parameter names and shapes are model/'s, the tokenizer's files come as they are; hf-folder.ts reads it all back.
 */
import type { FolderWriter } from "../base/bytes.ts";
import type { FloatType } from "../base/dtype.ts";
import { internal } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import type { Shape } from "../base/shape.ts";
import { type TensorToWrite, writeSafetensors } from "./write-safetensors.ts";

export interface ModelToWrite {
  readonly config: JsonObject;
  readonly weights: readonly TensorToWrite[];
  /** Copied as they are: "tokenizer.json", or "vocab.json" and "merges.txt", "tokenizer_config.json" ... */
  readonly tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  readonly generationConfig?: JsonObject;
  /** Of the weights file. `format: "pt"` is added, without which transformers refuses the file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes model.safetensors, the tokenizer's files, generation_config.json and config.json, in this order and each whole or not at all:
 * a new folder that has a config.json is complete. Errors are the writer's and writeSafetensors's.
 */
export async function writeModelFolder(writer: FolderWriter, model: ModelToWrite): Promise<void> {
  await writer.write("model.safetensors", writeSafetensors(model.weights, { format: "pt", ...model.metadata }));
  for (const [file, content] of Object.entries(model.tokenizerFiles ?? {})) {
    await writer.write(file, [typeof content === "string" ? new TextEncoder().encode(content) : content]);
  }
  if (model.generationConfig) await writer.write("generation_config.json", jsonFile(model.generationConfig));
  await writer.write("config.json", jsonFile(model.config));
}

/** One parameter as a model hands it out for saving. */
export interface NamedValues {
  readonly name: string;
  readonly shape: Shape;
  readonly values: Float32Array;
}

/**
 * Parameters from a generator as tensors to write, holding one parameter in memory at a time.
 * A file's header comes before its data, so `parameters` runs twice: now for names and shapes, and again for the values
 * while the file is written, in the same order.
 */
export async function tensorsToWrite(parameters: () => AsyncIterable<NamedValues>, dtype: FloatType = "F32"): Promise<TensorToWrite[]> {
  const shapes: { name: string; shape: Shape }[] = [];
  for await (const { name, shape } of parameters()) shapes.push({ name, shape: [...shape] });

  let running: AsyncIterator<NamedValues> | undefined;
  return shapes.map(({ name, shape }, index) => ({
    name,
    dtype,
    shape,
    values: {
      async *[Symbol.asyncIterator]() {
        if (index === 0) running = parameters()[Symbol.asyncIterator]();
        const next = await running?.next();
        if (!next || next.done || next.value.name !== name) throw internal(`save: the second run of parameters does not give ${name} in turn`);
        yield next.value.values;
        if (index === shapes.length - 1) await running?.return?.();
      },
    },
  }));
}

function jsonFile(content: JsonObject): Uint8Array[] {
  return [new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`)];
}
