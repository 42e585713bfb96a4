/** Nothing is lost: whatever ends a run, and wherever, it goes on to the same numbers; and what is no checkpoint is not taken for one. */
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { FormatError, VitrineError } from "../base/errors.ts";
import { openReference } from "../device/reference/reference.ts";
import { openModelFolder } from "../formats/hf-folder.ts";
import { loadLanguageModel } from "../model/load.ts";
import { checkpointFile, readCheckpoint } from "./checkpoint.ts";
import { PowerCut } from "./memory-place.testing.ts";
import { busy, learned, runOn, testPlace, tinyModel } from "./run.testing.ts";
import type { TestPlace } from "./run.testing.ts";
import type { TrainRun } from "./trainer.ts";

const device = openReference();
afterAll(() => device.dispose());
const options = { ...busy, steps: 4, saveEvery: 1, evaluateEvery: 2 };

describe("a power cut", () => {
  it("at any piece of any write leaves a run that ends as if nothing had happened", async () => {
    const whole = await runOn(device, { options });
    let cuts = 0;
    for (let chunks = 0; ; chunks += 11) {
      const place = testPlace();
      for (const disk of [place.last, place.best]) disk.trouble = { chunks };
      try {
        await runOn(device, { options }, place);
        break; // no write was left to cut
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
        cuts++;
      }
      for (const disk of [place.last, place.best]) disk.trouble = "none";
      const state = await readCheckpoint(place.last.folder);
      const resumed = await runOn(device, { options, resume: state !== undefined }, place);
      expect(resumed.weights).toEqual(whole.weights);
      const [all, rest] = [learned(whole), learned(resumed)];
      expect(rest).toEqual(all.slice(all.length - rest.length));
      await expectOpens(place);
    }
    expect(cuts).toBeGreaterThan(15);
  });
});

/** Both model folders open, and the last one holds the last step. */
async function expectOpens({ last, best }: TestPlace): Promise<void> {
  for (const { folder } of [last, best]) {
    const files = await openModelFolder(folder);
    const weights = await files.openWeights();
    (await loadLanguageModel(files.config, weights, device)).dispose();
    if (folder === last.folder) expect(weights.metadata["vitrine.step"]).toBe("4");
  }
}

describe("a full disk", () => {
  it("is a warning; the checkpoint before stays, and the next save catches up", async () => {
    const place = testPlace();
    const { events } = await runOn(device, { options }, place, ({ type, step }) => {
      if (type === "step") for (const disk of [place.last, place.best]) disk.trouble = step === 2 || step === 3 ? "full" : "none";
      return false;
    });
    const warnings = events.filter(({ type }) => type === "warning");
    expect(warnings.map(({ step }) => step)).toEqual([2, 3]);
    expect(warnings[0].message).toBe(
      "not saved: out/checkpoint.safetensors: not written, the disk is full; free some space or choose another place; the checkpoint of step 1 stays in out; training goes on and saves again later",
    );
    expect(events.filter(({ type }) => type === "saved").map(({ step }) => step)).toEqual([1, 4]);
    expect(events.at(-1)).toMatchObject({ type: "end", reason: "done" });
  });

  it("at the last save, or that of an interruption, ends the run with an error", async () => {
    for (const stop of [4, 3]) {
      const place = testPlace();
      const run = runOn(device, { options: { ...options, saveEvery: 2, evaluateEvery: 0 } }, place, ({ type, step }) => {
        if (type === "step" && step >= 3) place.last.trouble = "full";
        return type === "step" && step === stop;
      });
      await expect(run).rejects.toThrow(/disk is full.*; the checkpoint of step 2 stays in out$/);
      await expect(run).rejects.toMatchObject({ blame: "work" });
      place.last.trouble = "none";
      const { weights } = await runOn(device, { options: { ...options, saveEvery: 2, evaluateEvery: 0 }, resume: true }, place);
      expect(weights).toEqual((await runOn(device, { options })).weights);
    }
  });

  it("any other failure is not taken for one", async () => {
    const place = testPlace();
    const broken = {
      ...place,
      of: (model: Parameters<TestPlace["of"]>[0]) => ({ ...place.of(model), saveLast: async () => Promise.reject(new TypeError("a bug")) }),
    };
    await expect(runOn(device, { options }, broken)).rejects.toThrow(TypeError);
  });
});

describe("a resume", () => {
  const started = async (): Promise<TestPlace> => {
    const place = testPlace();
    await runOn(device, { options }, place, ({ type, step }) => type === "step" && step === 2);
    return place;
  };
  const resumed = async (changes: Partial<TrainRun>, dimensions: Parameters<typeof tinyModel>[2] = {}): Promise<unknown> => {
    const model = await tinyModel(device, 3, dimensions);
    try {
      return await runOn(device, { options, resume: true, ...changes }, await started(), undefined, model);
    } finally {
      model.dispose();
    }
  };

  it.each<[string, Partial<TrainRun>, Parameters<typeof tinyModel>[2], string]>([
    [
      "another width",
      {},
      { width: 16 },
      "the model's width 8 there and 16 here; the model's headDimension 4 there and 8 here; the model's mlpWidth 32 there and 64 here",
    ],
    ["other heads, which change no shape", {}, { heads: 4 }, "the model's heads 2 there and 4 here"],
    ["another text", { data: "other" }, {}, "another text or tokenizer"],
    ["another batch and seed", { options: { ...options, batch: 3, seed: 1 } }, {}, "batch 2 there and 3 here; seed 5 there and 1 here"],
    ["another learning rate", { options: { ...options, learningRate: 0.5 } }, {}, "learningRate 0.02 there and 0.5 here; leastLearningRate"],
    [
      "more steps, unasked",
      { options: { ...options, steps: 9 } },
      {},
      "steps 4 there and 9 here; to train on for longer, ask for it (the schedule changes)",
    ],
    [
      "fewer steps than are done",
      { options: { ...options, steps: 1, warmup: 1 }, extend: true },
      {},
      "is at step 2 already; ask for more than 1 steps",
    ],
  ])("with %s is refused", async (_, changes, dimensions, message) => {
    await expect(resumed(changes, dimensions)).rejects.toThrow(message);
    await expect(resumed(changes, dimensions)).rejects.toThrow(/^resume: out /);
  });

  it("may look and save at other times, and recompute", async () => {
    const whole = await runOn(device, { options });
    const place = await started();
    const again = await runOn(
      device,
      { options: { ...options, evaluateEvery: 1, evaluateBatches: 1, saveEvery: 100, recompute: true }, resume: true },
      place,
    );
    expect(again.weights).toEqual(whole.weights);
  });

  it("goes on for more steps when asked", async () => {
    const place = await started();
    const { events } = await runOn(device, { options: { ...options, steps: 9 }, resume: true, extend: true }, place);
    expect(events.filter(({ type }) => type === "step").map(({ step, steps }) => [step, steps])).toEqual(
      [3, 4, 5, 6, 7, 8, 9].map((step) => [step, 9]),
    );
    expect((await readCheckpoint(place.last.folder))?.options.steps).toBe(9);
  });

  it("of a finished run has nothing to do but to mend its folders", async () => {
    const place = testPlace();
    const whole = await runOn(device, { options }, place);
    place.last.files.delete("model.safetensors");
    const again = await runOn(device, { options, resume: true }, place);
    expect(again.events).toEqual([{ type: "end", reason: "done", step: 4, tokens: 0 }]);
    expect(again.weights).toEqual(whole.weights);
    await expectOpens(place);
  });

  it("on another device warns", async () => {
    const place = await started();
    const bytes = place.last.files.get(checkpointFile)!;
    const text = new TextDecoder("latin1").decode(bytes);
    const other = text.replace(device.summary, "x".repeat(device.summary.length));
    place.last.files.set(
      checkpointFile,
      Uint8Array.from(other, (letter) => letter.charCodeAt(0)),
    );
    const { events } = await runOn(device, { options, resume: true }, place);
    expect(events[0]).toMatchObject({ type: "warning", step: 2 });
    expect(events[0].message).toMatch(/computed on "x+" before.*last digits/);
  });

  it("a new run does not wipe an old one out, unless told to", async () => {
    const place = await started();
    await expect(runOn(device, { options }, place)).rejects.toThrow(
      "out: holds a run at step 2 of 4; resume it (--resume), or train into another folder",
    );
    expect((await runOn(device, { options, overwrite: true }, place)).events.at(-1)).toMatchObject({ type: "end", step: 4 });
  });
});

describe("a damaged checkpoint", () => {
  it("is refused wherever a byte changed, is missing or too many, or it is unharmed where it says nothing", async () => {
    const place = testPlace();
    const good = await runOn(device, { options }, place);
    const bytes = place.last.files.get(checkpointFile)!;
    const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const whereabouts = fc.oneof({ weight: 3, arbitrary: fc.nat(headerEnd + 50) }, { weight: 2, arbitrary: fc.nat(bytes.length - 1) });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(whereabouts, fc.integer({ min: 1, max: 255 }), fc.constantFrom("change", "change", "cut", "add"), async (at, by, how) => {
        const other =
          how === "change" ? bytes.with(at, bytes[at] ^ by) : how === "cut" ? bytes.slice(0, at) : Uint8Array.from([...bytes, ...new Uint8Array(by)]);
        place.last.files.set(checkpointFile, other);
        try {
          const again = await runOn(device, { options, resume: true }, place);
          expect(at).toBeLessThan(headerEnd); // a letter of the header that means nothing, or the last digit of a loss
          expect(again.weights).toEqual(good.weights);
        } catch (error) {
          if (!(error instanceof VitrineError)) throw error;
          refused++;
          expect(error.message).toMatch(/^(out\/checkpoint\.safetensors|resume: out)/);
        }
      }),
      { numRuns: 150 },
    );
    expect(refused).toBeGreaterThan(130);
  });

  it("a flipped bit of any number is noticed", async () => {
    const place = testPlace();
    await runOn(device, { options }, place);
    const bytes = place.last.files.get(checkpointFile)!;
    const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    for (let at = headerEnd; at < bytes.length; at += 997) {
      place.last.files.set(checkpointFile, bytes.with(at, bytes[at] ^ 1));
      await expect(runOn(device, { options, resume: true }, place)).rejects.toThrow(
        /its numbers do not match their checksum; the checkpoint is damaged|holds (NaN|-?Infinity)/,
      );
    }
  });

  it("another file of this name is refused", async () => {
    const place = testPlace();
    await runOn(device, { options }, place);
    place.last.files.set(checkpointFile, place.last.files.get("model.safetensors")!);
    await expect(readCheckpoint(place.last.folder)).rejects.toThrow("not a checkpoint of Vitrine's training");
    place.last.files.set(checkpointFile, new Uint8Array(3));
    const cut = readCheckpoint(place.last.folder);
    await expect(cut).rejects.toThrow(FormatError);
    await expect(cut).rejects.toThrow("too short for a safetensors file; the checkpoint is damaged; the model or adapter beside it still opens");
  });
});
