import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { devices } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import { openReference } from "../device/reference/reference.ts";
import { openModelFolder } from "../formats/hf-folder.ts";
import { loadLanguageModel } from "../model/load.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { busy, learned, runOn, testPlace, tinyModel, weightBits, wheel } from "./run.testing.ts";
import { train } from "./trainer.ts";
import type { TrainEvaluation, TrainEvent, TrainStep } from "./training.ts";

const some = devices.filter(({ name }) => /^reference|relaxed SIMD, 2 threads|native.*2 threads/.test(name));

describe.each(some)("training on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => void (device = await open()));
  afterAll(() => device.dispose());

  it("learns a text that repeats, and gives all memory back", async () => {
    const before = device.memory();
    const options = { steps: 120, batch: 4, learningRate: 0.03, leastLearningRate: 0.003, evaluateEvery: 60, seed: 1 };
    const { events } = await runOn(device, { options });
    const losses = events.filter(({ type }) => type === "step").map(({ loss }) => loss as number);
    expect(losses).toHaveLength(120);
    expect(losses[0]).toBeGreaterThan(2.2); // ln 11 = 2.40: it knows nothing yet
    expect(losses[0]).toBeLessThan(2.6);
    expect(losses.at(-1)).toBeLessThan(0.1);
    const looks = events.filter(({ type }) => type === "evaluation");
    expect(looks.map(({ step }) => step)).toEqual([60, 120]);
    expect(looks[1].validationLoss).toBeLessThan(0.1);
    expect(events.at(-1)).toMatchObject({ type: "end", reason: "done", step: 120, tokens: 120 * 4 * 8 });
    expect(device.memory()).toEqual(before);
  });

  it("an interruption after any step, and a resume, change no bit", async () => {
    const whole = await runOn(device, {});
    expect(whole.events.filter(({ type }) => type === "evaluation")).toHaveLength(3);
    for (let step = 1; step < 6; step++) {
      const place = testPlace();
      const first = await runOn(device, {}, place, (event) => event.type === "step" && event.step === step);
      expect(first.events.at(-1)).toMatchObject({ type: "end", reason: "aborted", step });
      const second = await runOn(device, { resume: true }, place);
      const seen = new Map([...learned(first), ...learned(second)].map((event) => [JSON.stringify(event), event]));
      expect([...seen.values()]).toEqual(learned(whole));
      expect(second.weights).toEqual(whole.weights);
    }
  });

  it("recomputing blocks changes no bit", async () => {
    const [plain, again] = [await runOn(device, {}), await runOn(device, { options: { ...busy, recompute: true } })];
    expect(again.weights).toEqual(plain.weights);
  });
});

describe("a run", () => {
  const device = openReference();

  it("tells of steps, looks, saves and the end, in this order", async () => {
    const { events } = await runOn(device, {}, testPlace());
    const best = (step: number): boolean => events.some((event) => event.type === "evaluation" && event.step === step && event.best === true);
    const expected: [string, number][] = [];
    for (let step = 1; step <= 6; step++) {
      expected.push(["step", step]);
      if (step % 2 === 0) expected.push(["evaluation", step]);
      if (step % 3 === 0 || best(step)) expected.push(["saved", step]);
    }
    expect(events.map(({ type, step }) => [type, step])).toEqual([...expected, ["end", 6]]);
    const step = events[1].type === "step" ? events[1] : events[0];
    expect(step).toMatchObject({ type: "step", steps: 6, tokens: 2 * 2 * 5 });
    expect(events.filter(({ type }) => type === "step").map(({ learningRate }) => learningRate)[1]).toBe(0.02);
  });

  it("accumulating two batches is one batch of twice the size", async () => {
    const one = await runOn(device, { options: { ...busy, dropout: 0, batch: 4, accumulate: 1 } });
    const two = await runOn(device, { options: { ...busy, dropout: 0, batch: 2, accumulate: 2 } });
    const losses = ({ events }: typeof one): number[] => events.filter(({ type }) => type === "step").map(({ loss }) => loss as number);
    losses(one).forEach((loss, i) => expect(losses(two)[i]).toBeCloseTo(loss, 4));
    expect(one.events[0].tokens).toBe(two.events[0].tokens);
  });

  it("cuts the gradient to the clip, and never with 0", async () => {
    const weights = async (clip: number): Promise<Float32Array> => {
      const options = { ...busy, steps: 1, dropout: 0, weightDecay: 0, epsilon: 1e6, warmup: 1, clip, learningRate: 1e6 };
      const learner = await tinyModel(device);
      const before = await floats(learner);
      await runOn(device, { options }, undefined, undefined, learner);
      const after = await floats(learner);
      learner.dispose();
      return after.map((value, i) => value - before[i]);
    };
    // With an epsilon that drowns everything else AdamW's first step is -gradient x learningRate / epsilon: its length is the clipped norm.
    const norm = (change: Float32Array): number => Math.hypot(...change);
    const free = norm(await weights(0));
    expect(free).toBeGreaterThan(0.5);
    expect(norm(await weights(0.05))).toBeCloseTo(0.05, 4);
    expect(norm(await weights(1e9))).toBeCloseTo(free, 5);
  });

  it("learns only what the mask counts", async () => {
    const data = wheel();
    const mask = Uint8Array.from(data.tokens, (id) => (id < 5 ? 1 : 0));
    const learner = await tinyModel(device);
    const options = { steps: 80, batch: 4, learningRate: 0.03, seed: 1, weightDecay: 0 };
    await runOn(device, { options, train: { ...data, mask }, validation: undefined }, undefined, undefined, learner);
    const logits = learner.forward([[0, 1, 2, 3, 4, 5, 6, 7]], { logits: "all" });
    const numbers = await logits.read();
    logits.dispose();
    const probability = (t: number, id: number): number => {
      const row = numbers.slice(t * 11, (t + 1) * 11);
      return Math.exp(row[id]) / row.reduce((sum, value) => sum + Math.exp(value), 0);
    };
    for (let t = 0; t < 4; t++) expect(probability(t, t + 1)).toBeGreaterThan(0.8); // 1 to 4 were to be learned
    for (let t = 4; t < 8; t++) expect(probability(t, t + 1)).toBeLessThan(0.2); // 5 to 8 were not
    learner.dispose();
  });

  it("the same seed gives the same run, another seed another one", async () => {
    const [a, b, c] = [await runOn(device, {}), await runOn(device, {}), await runOn(device, { options: { ...busy, seed: 6 } })];
    expect(b).toEqual(a);
    expect(c.weights).not.toEqual(a.weights);
  });

  it("does not mind what is done with the model between its events", async () => {
    const plain = await runOn(device, {});
    const learner = await tinyModel(device);
    for await (const event of train({ model: learner, train: wheel(), validation: wheel(60), options: busy, data: "wheel" }))
      if (event.type === "step") learner.forward([[1, 2, 3]]).dispose();
    expect(await weightBits(learner)).toEqual(plain.weights);
    learner.dispose();
  });

  it("keeps the best model apart: what it holds has the loss that was told", async () => {
    const place = testPlace();
    const options = { ...busy, steps: 40, learningRate: 1, leastLearningRate: 1, warmup: 30, evaluateEvery: 1, saveEvery: 50 }; // first learns, then breaks
    const { events } = await runOn(device, { options }, place);
    const looks = events.filter(({ type }) => type === "evaluation") as unknown as TrainEvaluation[];
    const best = looks.reduce((least, look) => (look.validationLoss < least.validationLoss ? look : least));
    expect(best.step).toBeLessThan(40);
    expect(best.best).toBe(true);
    const folder = await openModelFolder(place.best.folder);
    const weights = await folder.openWeights();
    expect(weights.metadata).toMatchObject({ "vitrine.step": String(best.step), "vitrine.validationLoss": String(best.validationLoss) });
    const kept = await loadLanguageModel(folder.config, weights, device);
    const again: TrainEvent[] = [];
    const options1 = { ...options, steps: 1, learningRate: 1e-30, leastLearningRate: 0, warmup: 0, weightDecay: 0 };
    for await (const event of train({ model: kept, train: wheel(), validation: wheel(60), options: options1, data: "" })) again.push(event);
    expect((again[1] as TrainEvaluation).validationLoss).toBeCloseTo(best.validationLoss, 6);
    kept.dispose();
  });

  it("gives everything back when its listener leaves", async () => {
    const learner = await tinyModel(device);
    const before = device.memory();
    for await (const event of train({ model: learner, train: wheel(), options: busy, data: "" })) if ((event as TrainStep).step === 2) break;
    expect(device.memory()).toEqual(before);
    learner.dispose();
  });
});

describe("what cannot be trained", () => {
  const device = openReference();

  it("a text shorter than the context names both lengths and the cure", async () => {
    await expect(runOn(device, { train: wheel(5) })).rejects.toThrow(
      /the training text has 5 tokens, a context of 5 needs at least 6; use a context of at most 4/,
    );
  });

  it("a text of another tokenizer", async () => {
    await expect(runOn(device, { train: { tokens: Uint16Array.from({ length: 50 }, () => 11) } })).rejects.toThrow(/token id 11, the model knows 11/);
  });

  it("a resume without a folder, or from an empty one", async () => {
    await expect(runOn(device, { resume: true })).rejects.toThrow("no folder to resume from");
    await expect(runOn(device, { resume: true }, testPlace())).rejects.toThrow("out: holds no checkpoint.safetensors");
  });

  it("weights that are no numbers stop it at once", async () => {
    const learner = await tinyModel(device);
    for (const { name, shape } of [{ name: "transformer.ln_f.weight", shape: [8] }])
      learner.writeParameter(name, new Float32Array(shape[0]).fill(NaN));
    const before = device.memory();
    await expect(runOn(device, {}, undefined, undefined, learner)).rejects.toThrow(
      /loss became NaN at step 1; nothing was being saved; .*check the model/,
    );
    expect(device.memory()).toEqual(before);
    learner.dispose();
  });

  it("a loss that leaves the numbers stops it; the last good checkpoint stays and resumes", async () => {
    const place = testPlace();
    const learner = await tinyModel(device);
    const breakAt4 = (event: TrainEvent): boolean => {
      if (event.type === "step" && event.step === 4) learner.writeParameter("transformer.ln_f.weight", new Float32Array(8).fill(1e38));
      return false;
    };
    const options = { ...busy, evaluateEvery: 0 };
    await expect(runOn(device, { options }, place, breakAt4, learner)).rejects.toThrow(
      /^training: the (loss|gradient norm) became (NaN|Infinity|-Infinity) at step 5; the checkpoint of step 3 stays in out; a learning rate that is too high is the likely cause: go on with a lower one \(--resume --learning-rate X; it was 0\.0\d+ at this step\).*check the text/,
    );
    learner.dispose();
    const [resumed, whole] = [await runOn(device, { options, resume: true }, place), await runOn(device, { options })];
    expect(resumed.weights).toEqual(whole.weights);
  });

  it("losses far worse than guessing are not saved over the checkpoint from before", async () => {
    const place = testPlace();
    const learner = await tinyModel(device);
    const warnings: string[] = [];
    const breakAt3 = (event: TrainEvent): boolean => {
      if (event.type === "warning") warnings.push(event.message);
      if (event.type === "step" && event.step === 4) learner.writeParameter("transformer.ln_f.weight", new Float32Array(8).fill(3000));
      return false;
    };
    const options = { ...busy, saveEvery: 1, evaluateEvery: 0 };
    await expect(runOn(device, { options }, place, breakAt3, learner)).rejects.toThrow(
      /^training: the loss is \d.* at step 6, far worse than guessing \(2\.4\); .*\(--resume --learning-rate X\); the checkpoint of step 4 stays in out$/,
    );
    expect(warnings).toEqual([
      expect.stringMatching(/^not saved: training: the loss is .* at step 5, .*; the checkpoint of step 4 stays in out; training goes on/),
    ]);
    expect((await readCheckpoint(place.last.folder))?.step).toBe(4);
    learner.dispose();
  });

  it("broken weights are neither saved nor called a validation loss", async () => {
    for (const look of [false, true]) {
      const place = testPlace();
      const learner = await tinyModel(device);
      const seen: TrainEvent[] = [];
      const breakAt3 = (event: TrainEvent): boolean => {
        seen.push(event);
        if (event.type === "step" && event.step === 3) learner.writeParameter("transformer.ln_f.bias", new Float32Array(8).fill(NaN));
        return false;
      };
      const options = { ...busy, saveEvery: 1, evaluateEvery: look ? 3 : 0 };
      const run = runOn(device, { options }, place, breakAt3, learner);
      await expect(run).rejects.toThrow(
        look ? /validation loss is NaN after step 3; the checkpoint of step 2 stays in out/ : /loss became NaN at step 4; the checkpoint of step 2/,
      );
      const warnings = seen.flatMap((event) => (event.type === "warning" ? [event.message] : []));
      expect(warnings.map((text) => text.replace(/ holds .*/, ""))).toEqual(look ? [] : ["not saved: checkpoint: weights.finalNorm.bias"]);
      learner.dispose();
    }
  });
});

async function floats(model: Awaited<ReturnType<typeof tinyModel>>): Promise<Float32Array> {
  return new Float32Array(Uint32Array.from(await weightBits(model)).buffer);
}
