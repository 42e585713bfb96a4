/** Adapters in PEFT's folders: names, shapes and config as PEFT writes them, back again, merged, and every kind of damage refused. */
import { afterAll, describe, expect, test } from "vitest";
import { openReference } from "../device/reference/reference.ts";
import { openAdapterFolder } from "../formats/peft.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/write-safetensors.ts";
import type { TensorToWrite } from "../formats/write-safetensors.ts";
import { attachAdapters } from "../model/adapters.ts";
import { readConfig } from "../model/config-file.ts";
import { largestDifference } from "../model/data.testing.ts";
import type { LanguageModel } from "../model/model.ts";
import { randomModel } from "../model/random-weights.ts";
import { memoryPlace } from "../training/memory-place.testing.ts";
import type { MemoryPlace } from "../training/memory-place.testing.ts";
import { train } from "../training/trainer.ts";
import { loadAdapters, saveAdapters, usualTargets } from "./adapters.ts";

const device = openReference();
afterAll(() => expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 }));

const gpt2 = readConfig({ model_type: "gpt2", n_layer: 2, n_head: 2, n_embd: 8, n_positions: 16, vocab_size: 11 });
const llama = readConfig({
  model_type: "llama",
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_size: 8,
  head_dim: 4,
  intermediate_size: 10,
  max_position_embeddings: 16,
  vocab_size: 11,
});
const model = (config = gpt2): Promise<LanguageModel> => randomModel(config, device, 1, 0.3);

async function logitsOf(of: LanguageModel): Promise<Float32Array> {
  const logits = of.forward([[1, 2, 3, 4]], { logits: "all" });
  const numbers = await logits.read();
  logits.dispose();
  return numbers;
}

async function parametersOf(of: LanguageModel): Promise<[string, Float32Array][]> {
  const all: [string, Float32Array][] = [];
  for await (const { name, values } of of.parameters()) all.push([name, values]);
  return all;
}

const learned = { tokens: Uint16Array.from({ length: 200 }, (_, i) => (i * i) % 7) };

/** A few steps of LoRA; the losses on the way. */
async function teach(of: LanguageModel, targets: readonly string[], place: MemoryPlace): Promise<number[]> {
  const adapters = attachAdapters(of, { rank: 2, alpha: 4, targets });
  const losses: number[] = [];
  const options = { steps: 12, batch: 4, context: 8, learningRate: 0.03, warmup: 1, seed: 1 };
  for await (const event of train({ model: of, learnable: adapters.learnable(), train: learned, options, data: "x" }))
    if (event.type === "step") losses.push(event.loss);
  await saveAdapters(adapters, of, place.writer, { base: "org/base", notes: { "vitrine.step": "12" } });
  adapters.detach();
  return losses;
}

describe("what is written", () => {
  // PEFT 0.7 and later, get_peft_model(GPT2LMHeadModel, LoraConfig(r=2, task_type="CAUSAL_LM")).save_pretrained: the adapter's name is left
  // out of the keys; A is Linear(in, r) and B Linear(r, out), whose weights PyTorch keeps as (out, in), for Conv1D bases too.
  test.each([
    [
      "GPT-2",
      gpt2,
      [
        ["base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", [2, 8]],
        ["base_model.model.transformer.h.0.attn.c_attn.lora_B.weight", [24, 2]],
        ["base_model.model.transformer.h.1.attn.c_attn.lora_A.weight", [2, 8]],
        ["base_model.model.transformer.h.1.attn.c_attn.lora_B.weight", [24, 2]],
      ],
      true,
    ],
    [
      "Llama",
      llama,
      [
        ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", [2, 8]],
        ["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", [16, 2]],
        ["base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", [2, 8]],
        ["base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight", [8, 2]],
      ],
      false,
    ],
  ] as const)("%s: keys, shapes and config", async (_, config, keys, fanInFanOut) => {
    const [of, place] = [await model(config), memoryPlace("adapter")];
    await teach(of, usualTargets[config.family], place);
    of.dispose();
    const source = await openSafetensors((await place.folder.open("adapter_model.safetensors"))!);
    expect([...source.tensors.values()].map(({ name, shape }) => [name, [...shape]])).toEqual(keys);
    expect([...source.tensors.values()].every(({ dtype }) => dtype === "F32")).toBe(true);
    expect(source.metadata).toEqual({ format: "pt", "vitrine.step": "12" });
    expect(JSON.parse(new TextDecoder().decode(place.files.get("adapter_config.json")))).toEqual({
      auto_mapping: null,
      base_model_name_or_path: "org/base",
      bias: "none",
      fan_in_fan_out: fanInFanOut,
      inference_mode: true,
      init_lora_weights: true,
      layers_pattern: null,
      layers_to_transform: null,
      lora_alpha: 4,
      lora_dropout: 0,
      modules_to_save: null,
      peft_type: "LORA",
      r: 2,
      revision: null,
      target_modules: config.family === "gpt2" ? ["c_attn"] : ["q_proj", "v_proj"],
      task_type: "CAUSAL_LM",
    });
    expect([...place.files.keys()]).toEqual(["adapter_model.safetensors", "adapter_config.json"]);
  });

  test("learning lowers the loss, and leaves the model itself as it was", async () => {
    const of = await model();
    const before = await parametersOf(of);
    const losses = await teach(of, ["c_attn"], memoryPlace());
    expect(losses.at(-1)! < losses[0] - 0.1, losses.join(" ")).toBe(true);
    expect(await parametersOf(of)).toEqual(before);
    of.dispose();
  });
});

describe("what is read", () => {
  test.each([
    ["GPT-2", gpt2, ["c_attn", "mlp.c_proj"]],
    ["Llama", llama, ["q_proj", "v_proj", "gate_proj"]],
  ] as const)("%s: the adapter as it was saved, and merging says the same as the adapter", async (_, config, targets) => {
    const [of, place] = [await model(config), memoryPlace()];
    await teach(of, targets, place);
    const bare = await logitsOf(of);
    const adapters = await loadAdapters(of, place.folder);
    const beside = await logitsOf(of);
    expect(largestDifference(beside, bare)).toBeGreaterThan(0.01);
    await adapters.merge();
    const merged = await logitsOf(of);
    expect(largestDifference(merged, beside)).toBeLessThan(1e-4);
    of.dispose();
  });

  test("rank-stabilised scaling as PEFT means it", async () => {
    const [of, place] = [await model(), memoryPlace()];
    await teach(of, ["c_attn"], place);
    const config = configOf(place);
    put(place, { ...config, lora_alpha: 4 / Math.SQRT2, use_rslora: true }); // alpha / sqrt(r) is then what alpha / r was
    const [a, b] = [memoryPlace("a", new Map(place.files)), place];
    put(a, config);
    const adapters = await loadAdapters(of, a.folder);
    const expected = await logitsOf(of);
    adapters.detach();
    const other = await loadAdapters(of, b.folder);
    expect(largestDifference(await logitsOf(of), expected)).toBeLessThan(1e-5);
    other.detach();
    of.dispose();
  });
});

type Json = Record<string, unknown>;
const configOf = (place: MemoryPlace): Json => JSON.parse(new TextDecoder().decode(place.files.get("adapter_config.json"))) as Json;
const put = (place: MemoryPlace, config: unknown): void =>
  void place.files.set("adapter_config.json", new TextEncoder().encode(JSON.stringify(config)));

/** A good adapter of rank 2 for the GPT-2 above, with a change. */
async function damaged(change: { config?: (config: Json) => void; tensors?: (tensors: TensorToWrite[]) => TensorToWrite[] }): Promise<MemoryPlace> {
  const place = memoryPlace("bad");
  const tensors = [0, 1].flatMap((layer) =>
    (["A", "B"] as const).map((letter): TensorToWrite => ({
      name: `base_model.model.transformer.h.${layer}.attn.c_attn.lora_${letter}.weight`,
      dtype: "F32",
      shape: letter === "A" ? [2, 8] : [24, 2],
      values: new Float32Array(letter === "A" ? 16 : 48),
    })),
  );
  await place.writer.write("adapter_model.safetensors", writeSafetensors(change.tensors?.(tensors) ?? tensors));
  const config: Json = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["c_attn"], base_model_name_or_path: "org/base" };
  change.config?.(config);
  put(place, config);
  return place;
}

describe("what is refused, and leaves the model as it was", () => {
  const refused = async (place: MemoryPlace): Promise<string> => {
    const of = await model();
    const before = await logitsOf(of);
    const error = await loadAdapters(of, place.folder).then(
      () => undefined,
      (cause: unknown) => cause as Error,
    );
    expect(await logitsOf(of)).toEqual(before);
    of.dispose();
    expect(error?.name).toBe("FormatError");
    return error!.message;
  };

  test("the undamaged one is none of it", async () => {
    const of = await model();
    const adapters = await loadAdapters(of, (await damaged({})).folder);
    expect(adapters.modules.length).toBe(2);
    adapters.detach();
    of.dispose();
  });

  test.each([
    ["another kind", { peft_type: "IA3" }, 'bad/adapter_config.json: peft_type is the text "IA3"; expected "LORA"'],
    ["no kind", { peft_type: undefined }, "peft_type is nothing"],
    ["no rank", { r: 0 }, "r is 0; expected the rank"],
    ["half a rank", { r: 2.5 }, "r is 2.5; expected the rank"],
    ["a rank in quotes", { r: "2" }, 'r is the text "2"'],
    ["another rank", { r: 4 }, 'lora_A.weight" is (2, 8); expected (4, inputs), as r is 4 in adapter_config.json'],
    ["an alpha that is none", { lora_alpha: null }, "lora_alpha is null; expected a number other than 0"],
    ["a base that is no name", { base_model_name_or_path: 3 }, "base_model_name_or_path is 3"],
    ["learned biases", { bias: "all" }, 'bias is the text "all"; expected "none": learned biases are not read'],
    ["DoRA", { use_dora: true }, "use_dora is true; expected false"],
    ["saved modules", { modules_to_save: ["lm_head"] }, "modules_to_save is an array of 1; expected nothing"],
    ["ranks by module", { rank_pattern: { c_attn: 4 } }, "rank_pattern is an object; expected nothing"],
  ])("in the config: %s", async (_, change, message) => {
    expect(await refused(await damaged({ config: (config) => Object.assign(config, change) }))).toContain(message);
  });

  const renamed = (from: string, to: string) => (tensors: TensorToWrite[]) => tensors.map((one) => ({ ...one, name: one.name.replace(from, to) }));
  test.each<[string, (tensors: TensorToWrite[]) => TensorToWrite[], string]>([
    ["none at all", () => [], "holds no adapter"],
    ["a stranger", renamed("h.0.attn.c_attn.lora_A.weight", "h.0.attn.c_attn.weight"), "expected only base_model.model.MODULE.lora_A.weight"],
    ["a missing half", (tensors) => tensors.slice(0, 3), "transformer.h.1.attn.c_attn has lora_A and lacks lora_B"],
    ["a layer too many", renamed("h.1", "h.9"), "no projection is called transformer.h.9.attn.c_attn"],
    [
      "a layer by another name",
      renamed("transformer.h.1", "h.1"),
      'module "h.1.attn.c_attn" goes by another name in this model; it was made for "org/base"',
    ],
    [
      "another width",
      (tensors) => tensors.map((one) => (one.name.endsWith("A.weight") ? { ...one, shape: [2, 9], values: new Float32Array(18) } : one)),
      'lora_A.weight" is (2, 9), and this model needs (2, 8); it was made for "org/base", use it with that model',
    ],
    [
      "transposed",
      (tensors) => tensors.map((one) => (one.name.endsWith("A.weight") ? { ...one, shape: [8, 2] } : one)),
      "is (8, 2); expected (2, inputs), as r is 2",
    ],
    [
      "a number that is none",
      (tensors) => [{ ...tensors[0], values: new Float32Array(16).fill(NaN) }, ...tensors.slice(1)],
      "holds NaN; the file is damaged",
    ],
  ])("in the weights: %s", async (_, change, message) => {
    expect(await refused(await damaged({ tensors: change }))).toContain(message);
  });

  test("missing files, files cut short, and files that are something else", async () => {
    const place = await damaged({});
    const whole = place.files.get("adapter_model.safetensors")!;
    for (const end of [0, 7, 8, 40, whole.length - 1]) {
      place.files.set("adapter_model.safetensors", whole.slice(0, end));
      expect(await refused(place)).toMatch(/^bad\/adapter_model\.safetensors/);
    }
    place.files.delete("adapter_model.safetensors");
    expect(await refused(place)).toBe("bad: no adapter_model.safetensors; fetch it into the folder");
    place.files.set("adapter_model.bin", new Uint8Array());
    expect(await refused(place)).toContain("adapter_model.bin is there, a format that can run code");
    place.files.set("adapter_config.json", new TextEncoder().encode("{"));
    expect(await refused(place)).toContain("bad/adapter_config.json: not valid JSON");
    place.files.delete("adapter_config.json");
    expect(await refused(place)).toContain("bad: no adapter_config.json, so not an adapter's folder");
  });

  test("integers where floats belong", async () => {
    const place = await damaged({});
    const file = place.files.get("adapter_model.safetensors")!;
    const text = new TextDecoder("latin1").decode(file).replaceAll('"F32"', '"I32"');
    place.files.set(
      "adapter_model.safetensors",
      Uint8Array.from(text, (character) => character.charCodeAt(0)),
    );
    await expect(openAdapterFolder(place.folder)).rejects.toThrow("is I32; expected F32, F16 or BF16");
  });
});
