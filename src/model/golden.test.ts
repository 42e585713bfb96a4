/**
 * Published numbers: a tiny GPT-2 computed by PyTorch, a trained sorter with every intermediate tensor, and a story model's greedy story.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devices } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import type { TensorSource } from "../formats/tensor-source.ts";
import { crossEntropy } from "../tensor/ops/cross-entropy.ts";
import { softmax } from "../tensor/ops/softmax.ts";
import { tensor } from "../tensor/tensor.ts";
import { dataNote, idRows, largestDifference, noData, openTensors, readJson } from "./data.testing.ts";
import { loadLanguageModel } from "./load.ts";
import type { LanguageModel } from "./model.ts";
import { tapNames, taps } from "./taps.ts";
import type { TapListener } from "./taps.ts";

/** Activations of one pass over `ids` by name, and the logits of all positions. */
async function everything(model: LanguageModel, ids: number[][], names: readonly string[]): Promise<Map<string, Float32Array>> {
  const reads = new Map<string, Promise<Float32Array>>();
  const listeners: Record<string, TapListener> = {};
  for (const name of names) listeners[name] = (activation) => void reads.set(name, activation.read());
  const logits = model.forward(ids, { logits: "all", taps: taps(model.config, listeners) });
  const found = new Map<string, Float32Array>();
  for (const [name, numbers] of reads) found.set(name, await numbers);
  found.set("forward", await logits.read());
  logits.dispose();
  return found;
}

async function greedy(model: LanguageModel, prompt: readonly number[], count: number): Promise<number[]> {
  const cache = model.cache();
  const ids = [...prompt];
  let next = ids;
  while (ids.length < count) {
    const logits = model.forward([next], { cache });
    const numbers = await logits.read();
    logits.dispose();
    next = [numbers.indexOf(Math.max(...numbers))];
    ids.push(next[0]);
  }
  cache.dispose();
  return ids;
}

describe.skipIf(noData).each(devices)(`golden vectors on $name${dataNote}`, ({ open }) => {
  let device: Device;
  let gpt2: LanguageModel;
  let sorter: LanguageModel;
  let stories: LanguageModel;
  let vectors: TensorSource;

  const load = async (folder: string): Promise<LanguageModel> =>
    loadLanguageModel(readJson(`${folder}/config.json`), await openTensors(`${folder}/model.safetensors`), device);

  beforeAll(async () => {
    device = await open();
    gpt2 = await load("golden/gpt2-tiny");
    sorter = await load("golden/nano-sort");
    stories = await load("stories260K");
    vectors = await openTensors("golden/gpt2-tiny/vectors.safetensors");
  });
  afterAll(() => device?.dispose());

  test("PyTorch's activations and logits of a GPT-2, every one within 1e-4", async () => {
    const ids = idRows(await vectors.read("ids"), 24);
    const names = [...vectors.tensors.keys()].filter((name) => name.startsWith("act/")).map((name) => name.slice(4));
    const found = await everything(gpt2, ids, names);
    expect(names.length).toBe(30);
    const published = new Map<string, Float32Array>();
    for (const name of names) published.set(name, await vectors.read(`act/${name}`));

    // The file's hook_pos_embed was a view of the weights that training then changed: it holds those after three steps.
    // The positions of the pass itself are what stands between the embedding and the first block.
    const trained = await vectors.read("after3/wpe.weight");
    expect(largestDifference(published.get("hook_pos_embed")!.subarray(0, 24 * 64), trained.subarray(0, 24 * 64))).toBe(0);
    const embedded = published.get("hook_embed")!;
    published.set(
      "hook_pos_embed",
      published.get("blocks.0.hook_resid_pre")!.map((x, i) => x - embedded[i]),
    );

    for (const name of names) expect(largestDifference(found.get(name) ?? [], published.get(name)!), name).toBeLessThan(1e-4);
    expect(largestDifference(found.get("forward") ?? [], await vectors.read("act/logits"))).toBeLessThan(1e-4);
  });

  test("the same logits when nobody listens", async () => {
    const logits = gpt2.forward(idRows(await vectors.read("ids"), 24), { logits: "all" });
    expect(largestDifference(await logits.read(), await vectors.read("act/logits"))).toBeLessThan(1e-4);
    logits.dispose();
  });

  test("PyTorch's mean loss", async () => {
    const targets = tensor(device, Int32Array.from(await vectors.read("targets")));
    const logits = gpt2.forward(idRows(await vectors.read("ids"), 24), { logits: "all" });
    const losses = crossEntropy(logits, targets);
    const numbers = await losses.read();
    const [loss] = await vectors.read("loss");
    expect(Math.abs(numbers.reduce((a, b) => a + b) / numbers.length - loss)).toBeLessThan(1e-4);
    for (const made of [targets, logits, losses]) made.dispose();
  });

  test("the sorter's published intermediates, all within 1e-4", async () => {
    const partials = await openTensors("golden/nano-sort/partials.safetensors");
    const found = await everything(sorter, idRows(await partials.read("idx"), 11), tapNames(sorter.config));
    const same: Record<string, string> = {
      tok_emb: "hook_embed",
      x: "blocks.0.hook_resid_pre",
      ln1: "blocks.0.ln1.hook_normalized",
      att: "blocks.0.attn.hook_attn_scores",
      attSm: "blocks.0.attn.hook_pattern",
      y: "blocks.0.attn.hook_z",
      yProj: "blocks.0.hook_attn_out",
      attnResid: "blocks.0.hook_resid_mid",
      ln2: "blocks.0.ln2.hook_normalized",
      fc: "blocks.0.mlp.hook_pre",
      gelu: "blocks.0.mlp.hook_post",
      mlp: "blocks.0.hook_mlp_out",
      mlpResid: "blocks.0.hook_resid_post",
      block0: "blocks.0.hook_resid_post",
      block1: "blocks.1.hook_resid_post",
      block2: "blocks.2.hook_resid_post",
      ln_f: "ln_final.hook_normalized",
      lm_head: "forward",
    };
    for (const [published, ours] of Object.entries(same))
      expect(largestDifference(found.get(ours) ?? [], await partials.read(published)), published).toBeLessThan(1e-4);

    // Positions are the same in all three sequences.
    expect(largestDifference(found.get("hook_pos_embed")?.subarray(0, 528) ?? [], await partials.read("pos_emb"))).toBeLessThan(1e-4);

    // Probabilities are the softmax of the logits.
    const logits = tensor(device, found.get("forward") ?? new Float32Array(), [33, 3]);
    const probabilities = softmax(logits);
    expect(largestDifference(await probabilities.read(), await partials.read("probs"))).toBeLessThan(1e-4);
    for (const made of [logits, probabilities]) made.dispose();

    // Queries, keys and values in one row of 144, as one projection gives them.
    const [q, k, v] = ["q", "k", "v"].map((part) => found.get(`blocks.0.attn.hook_${part}`) ?? new Float32Array());
    const together = Float32Array.from({ length: 33 * 144 }, (_, i) => [q, k, v][Math.floor((i % 144) / 48)][Math.floor(i / 144) * 48 + (i % 48)]);
    expect(largestDifference(together, await partials.read("qkv"))).toBeLessThan(1e-4);

    // And head by head: theirs lie (B, H, T, D), ours (B, T, H, D).
    for (const part of ["q", "k", "v"]) {
      const ours = found.get(`blocks.0.attn.hook_${part}`) ?? new Float32Array();
      const turned = Float32Array.from(ours, (_, i) => {
        const [b, h, t, d] = [Math.floor(i / 528), Math.floor(i / 176) % 3, Math.floor(i / 16) % 11, i % 16];
        return ours[((b * 11 + t) * 3 + h) * 16 + d];
      });
      expect(largestDifference(turned, await partials.read(part)), part).toBeLessThan(1e-4);
    }
  });

  test("the sorter sorts its letters", async () => {
    for (const letters of [
      [2, 1, 0, 1, 2, 0],
      [0, 0, 0, 0, 0, 1],
      [2, 2, 1, 1, 0, 0],
      [1, 0, 2, 2, 2, 0],
    ])
      expect((await greedy(sorter, letters, 12)).slice(6)).toEqual(letters.toSorted((a, b) => a - b));
  });

  test("the story model tells its published greedy story", async () => {
    const { ids } = readJson("stories260K/published-greedy-story.json") as { ids: number[] };
    expect(await greedy(stories, [1], ids.length)).toEqual(ids);
  });
});
