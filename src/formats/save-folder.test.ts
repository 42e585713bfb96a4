import { describe, expect, it } from "vitest";
import { type Files, memoryFolder, memoryWriter, utf8 } from "./counted.testing.ts";
import { openModelFolder } from "./hf-folder.ts";
import { type NamedValues, tensorsToWrite, writeModelFolder } from "./save-folder.ts";

const parameters: NamedValues[] = [
  { name: "transformer.wte.weight", shape: [2, 3], values: Float32Array.of(1, 2, 3, 4, 5, 6) },
  { name: "transformer.ln_f.bias", shape: [1], values: Float32Array.of(0.1) },
  { name: "empty", shape: [0], values: new Float32Array(0) },
];

async function* each(list: readonly NamedValues[]): AsyncGenerator<NamedValues> {
  yield* list;
}

describe("writeModelFolder", () => {
  it("writes a folder that opens with the same config, weights and tokenizer", async () => {
    const files: Files = new Map();
    await writeModelFolder(memoryWriter(files), {
      config: { model_type: "gpt2", n_layer: 2 },
      generationConfig: { eos_token_id: 7 },
      weights: await tensorsToWrite(() => each(parameters)),
      tokenizerFiles: { "vocab.json": '{"é":0}', "merges.txt": utf8("a b\n") },
      metadata: { trained: "yes" },
    });
    const model = await openModelFolder(memoryFolder(files));
    expect(model.config).toEqual({ model_type: "gpt2", n_layer: 2 });
    expect(model.generationConfig).toEqual({ eos_token_id: 7 });
    expect(await model.readText("vocab.json")).toBe('{"é":0}');
    expect(await model.readText("merges.txt")).toBe("a b\n");
    const source = await model.openWeights();
    expect(source.metadata).toEqual({ format: "pt", trained: "yes" });
    for (const { name, shape, values } of parameters) {
      expect(source.tensors.get(name)?.shape).toEqual(shape);
      expect(await source.read(name)).toEqual(values);
    }
  });

  it("writes the weights first and config.json last, so a folder with a config is complete", async () => {
    const order: string[] = [];
    const writer = { name: "x", write: async (file: string) => void order.push(file) };
    await writeModelFolder(writer, { config: {}, generationConfig: {}, weights: [], tokenizerFiles: { "tokenizer.json": "{}" } });
    expect(order).toEqual(["model.safetensors", "tokenizer.json", "generation_config.json", "config.json"]);
  });

  it("writes no config.json when the weights fail", async () => {
    const files: Files = new Map();
    const weights = [{ name: "w", dtype: "F32" as const, shape: [2], values: Float32Array.of(1) }];
    await expect(writeModelFolder(memoryWriter(files), { config: {}, weights })).rejects.toThrow("needs 2 numbers");
    expect([...files.keys()]).toEqual([]);
  });
});

describe("tensorsToWrite", () => {
  it("runs the generator once for the shapes and once for the values, and finishes both", async () => {
    let runs = 0;
    let finished = 0;
    const run = async function* (): AsyncGenerator<NamedValues> {
      runs++;
      try {
        yield* parameters;
      } finally {
        finished++;
      }
    };
    const weights = await tensorsToWrite(run, "BF16");
    expect([runs, finished]).toEqual([1, 1]);
    const files: Files = new Map();
    await writeModelFolder(memoryWriter(files), { config: {}, weights });
    expect([runs, finished]).toEqual([2, 2]);
    const source = await (await openModelFolder(memoryFolder(files))).openWeights();
    expect(source.tensors.get("transformer.wte.weight")?.dtype).toBe("BF16");
    expect((await source.read("transformer.ln_f.bias"))[0]).toBeCloseTo(0.1, 3);
  });

  it("notices a generator that changes its order", async () => {
    let first = true;
    const weights = await tensorsToWrite(() => each(first ? ((first = false), parameters) : parameters.toReversed()));
    await expect(writeModelFolder(memoryWriter(new Map()), { config: {}, weights })).rejects.toThrow(/^internal: save/);
  });
});
