import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { readConfig } from "../model/config-file.ts";
import { dataNote, largestDifference, noData, openTensors, readJson } from "../model/data.testing.ts";
import { loadLanguageModel } from "../model/load.ts";
import { randomModel } from "../model/random-weights.ts";
import { tensor } from "../tensor/tensor.ts";
import { capture } from "./capture.ts";
import { logitLens, rankLadder } from "./lens.ts";
import { files, randomIds, twoDevices } from "./models.testing.ts";

/** softmax of one row, in fp64. */
function probabilities(row: Float32Array): number[] {
  const max = Math.max(...row);
  const weights = Array.from(row, (logit) => Math.exp(logit - max));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

describe.each(twoDevices)("the logit lens on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("on %s: the last stage is the model, every stage is norm and unembedding of its stream", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const ids = randomIds(2, 40); // more rows than go together
    const V = 50;
    const lens = await logitLens(model, ids, { top: V, next: 7 });
    const [S, T] = [lens.stages.length, 40];
    expect(S).toBe(2 * model.config.layers + 1);

    const heard = await capture(model, ids, ["logits", ...lens.stages.map(({ name }) => name)]);
    for (const [s, { name }] of lens.stages.entries()) {
      const stream = tensor(device, heard.get(name)!.data, [T, model.config.width]);
      const unembedded = model.unembed(stream);
      const logits = s === S - 1 ? heard.get("logits")!.data : await unembedded.read();
      for (const made of [stream, unembedded]) made.dispose();
      for (let t = 0; t < T; t++) {
        const row = logits.subarray(t * V, (t + 1) * V);
        const expected = probabilities(row);
        const at = (s * T + t) * V;
        const found = lens.ids.subarray(at, at + V);
        expect(
          largestDifference(
            lens.logits.subarray(at, at + V),
            Array.from(found, (id) => row[id]),
          ),
        ).toBeLessThan(1e-4);
        expect(
          largestDifference(
            lens.probabilities.subarray(at, at + V),
            Array.from(found, (id) => expected[id]),
          ),
        ).toBeLessThan(1e-4);
        for (const followed of [lens.final, lens.target]) {
          const place = found.indexOf(followed.ids[t]);
          expect(followed.ranks[s * T + t]).toBe(place + 1);
          expect(followed.probabilities[s * T + t]).toBeCloseTo(lens.probabilities[at + place], 6);
        }
      }
    }
    expect([...lens.final.ids]).toEqual(Array.from({ length: T }, (_, t) => lens.ids[((S - 1) * T + t) * V]));
    expect([...lens.final.ranks.subarray((S - 1) * T)]).toEqual(Array(T).fill(1));
    expect([...lens.target.ids]).toEqual([...ids.slice(1), 7]);
    expect(structuredClone(lens)).toEqual(lens);
    model.dispose();
  });

  test("the ladder has every token that led, with its rank at every stage", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    const ids = randomIds(4, 9);
    const whole = await logitLens(model, ids, { top: 50 });
    const lens = await logitLens(model, ids, { positions: [2, -1], top: 1 });
    expect([...lens.positions]).toEqual([2, 8]);
    for (const position of [2, 8]) {
      const rungs = rankLadder(lens, position);
      const leaders = whole.stages.map((_, s) => whole.ids[(s * 9 + position) * 50]);
      expect(rungs.map(({ id }) => id)).toEqual([...new Set(leaders)]);
      for (const { id, ranks, probabilities } of rungs)
        for (const s of whole.stages.keys()) {
          const place = whole.ids.subarray((s * 9 + position) * 50, (s * 9 + position + 1) * 50).indexOf(id);
          expect(ranks[s]).toBe(place + 1);
          expect(probabilities[s]).toBeCloseTo(whole.probabilities[(s * 9 + position) * 50 + place], 6);
        }
    }
    expect(() => rankLadder(lens, 3)).toThrow(VitrineError);
    model.dispose();
  });

  test("targets are chosen, left out, or the next token; nothing follows the last one", async () => {
    const model = await randomModel(readConfig(files[2][1]), device, 3, 0.3);
    const lens = await logitLens(model, [5, 6, 7], { targets: [9, -1, 11] });
    expect([...lens.target.ids]).toEqual([9, -1, 11]);
    expect(lens.target.ranks[1]).toBe(0);
    expect(lens.target.probabilities[1]).toBeNaN();
    expect([...(await logitLens(model, [5, 6, 7])).target.ids]).toEqual([6, 7, -1]);
    for (const wrong of [{ targets: [1] }, { next: 50 }, { positions: [3] }, { top: 0 }])
      await expect(logitLens(model, [5, 6, 7], wrong)).rejects.toThrow(VitrineError);
    await expect(logitLens(model, [5, 6, 7], { signal: AbortSignal.abort() })).rejects.toThrow();
    model.dispose();
  });

  test.skipIf(noData)(`the sorter becomes sure of its letters${dataNote}`, async () => {
    const folder = "golden/nano-sort";
    const model = await loadLanguageModel(readJson(`${folder}/config.json`), await openTensors(`${folder}/model.safetensors`), device);
    const lens = await logitLens(model, [2, 1, 0, 1, 2, 0, 0, 0, 1, 1, 2], { positions: [5, 6, 7, 8, 9, 10] });
    expect([...lens.final.ids]).toEqual([0, 0, 1, 1, 2, 2]);
    const last = lens.final.probabilities.subarray(-6);
    const first = lens.final.probabilities.subarray(0, 6);
    expect(Math.min(...last)).toBeGreaterThan(0.9);
    expect(first.reduce((a, b) => a + b)).toBeLessThan(last.reduce((a, b) => a + b));
    model.dispose();
  });
});
