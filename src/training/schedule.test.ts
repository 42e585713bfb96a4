import { describe, expect, it } from "vitest";
import { learningRateAt } from "./schedule.ts";
import { trainSettings } from "./settings.ts";

describe("learningRateAt", () => {
  const settings = { steps: 110, warmup: 10, learningRate: 1, leastLearningRate: 0.1 };

  it("climbs evenly to the highest, then falls as half a cosine to the least", () => {
    expect([1, 5, 10].map((step) => learningRateAt(settings, step))).toEqual([0.1, 0.5, 1]);
    expect(learningRateAt(settings, 60)).toBeCloseTo(0.55, 12);
    expect(learningRateAt(settings, 35)).toBeCloseTo(0.1 + 0.9 * (0.5 + Math.SQRT1_2 / 2), 12);
    expect(learningRateAt(settings, 110)).toBeCloseTo(0.1, 12);
    for (let step = 11; step <= 110; step++) expect(learningRateAt(settings, step)).toBeLessThan(learningRateAt(settings, step - 1));
  });

  it("is a number at every step of the shortest runs", () => {
    for (const steps of [1, 2, 3]) {
      for (let warmup = 0; warmup <= steps; warmup++) {
        for (let step = 1; step <= steps; step++) {
          const rate = learningRateAt({ ...settings, steps, warmup }, step);
          expect(rate).toBeGreaterThan(0);
          expect(rate).toBeLessThanOrEqual(1);
        }
      }
    }
  });
});

describe("trainSettings", () => {
  const least = { steps: 1000, batch: 4, learningRate: 0.01 };

  it("fills in what is not said", () => {
    expect(trainSettings(least, 64)).toEqual({
      ...least,
      accumulate: 1,
      context: 64,
      leastLearningRate: 0.001,
      warmup: 10,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.1,
      clip: 1,
      dropout: 0,
      recompute: false,
      evaluateEvery: 50,
      evaluateBatches: 20,
      saveEvery: 250,
      seed: 0,
    });
    expect(trainSettings({ ...least, steps: 1 }, 64).warmup).toBe(1);
    expect(trainSettings({ ...least, steps: 1e6 }, 64).warmup).toBe(2000);
  });

  it.each([
    [{ steps: 0 }, "steps is 0; expected a whole number from 1"],
    [{ batch: 1.5 }, "batch is 1.5; expected a whole number from 1"],
    [{ learningRate: 0 }, "learningRate is 0; expected a number above 0"],
    [{ learningRate: NaN }, "learningRate is NaN"],
    [{ learningRate: Infinity }, "learningRate is Infinity"],
    [{ leastLearningRate: 0.02 }, "leastLearningRate is 0.02; expected a number from 0 to learningRate, 0.01"],
    [{ context: 65 }, "context is 65; expected a whole number from 1 to 64 (the model's context length)"],
    [{ warmup: 1001 }, "warmup is 1001; expected a whole number from 0 to 1000 (all steps)"],
    [{ beta2: 1 }, "beta2 is 1; expected a number from 0 to below 1"],
    [{ dropout: 1 }, "dropout is 1"],
    [{ clip: -1 }, "clip is -1"],
    [{ accumulate: 0 }, "accumulate is 0"],
    [{ evaluateBatches: 0 }, "evaluateBatches is 0"],
    [{ saveEvery: 0 }, "saveEvery is 0"],
    [{ seed: -1 }, "seed is -1"],
  ])("%o is refused", (wrong, message) => {
    expect(() => trainSettings({ ...least, ...wrong }, 64)).toThrow(message);
  });
});
