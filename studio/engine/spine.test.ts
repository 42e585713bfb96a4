import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VitrineError } from "../../src/base/errors.ts";
import type { Device } from "../../src/device/device.ts";
import { headStages } from "../../src/inspection/attention.ts";
import { capture } from "../../src/inspection/capture.ts";
import { files, randomIds, twoDevices } from "../../src/inspection/models.testing.ts";
import { readConfig } from "../../src/model/config-file.ts";
import { largestDifference } from "../../src/model/data.testing.ts";
import { randomModel } from "../../src/model/random-weights.ts";
import { readLooks, readSpine } from "./spine.ts";

describe.each(twoDevices)("the spine on $name", ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => {
    expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 });
    device.dispose();
  });

  test.each(files)("of %s is the rows of a whole capture", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const ids = randomIds(5, 9);
    const positions = [2, 7];
    const spine = await readSpine(model, ids, positions);
    const whole = await capture(model, ids, [...Object.keys(spine.rows), "logits"]);
    const { width: C, vocabularySize: V, layers } = model.config;
    expect(Object.keys(spine.rows)).toHaveLength((model.config.family === "gpt2" ? 3 : 2) + 6 * layers);
    for (const [p, position] of positions.entries()) {
      for (const [name, rows] of Object.entries(spine.rows))
        expect(
          largestDifference(rows.subarray(p * C, (p + 1) * C), whole.get(name)!.data.subarray(position * C, (position + 1) * C)),
          name,
        ).toBeLessThan(1e-4);
      const logits = whole.get("logits")!.data.subarray(position * V, (position + 1) * V);
      expect(largestDifference(spine.logits.subarray(p * V, (p + 1) * V), logits)).toBeLessThan(1e-3);
    }
    model.dispose();
  });

  test.each(files)("looks of %s are the rows of every head's pattern", async (_, file) => {
    const model = await randomModel(readConfig(file), device, 3, 0.3);
    const ids = randomIds(6, 8);
    const { data, heads, length } = await readLooks(model, ids, 1, [0, 5, 7]);
    for (let head = 0; head < heads; head++) {
      const { pattern } = await headStages(model, ids, 1, head);
      for (const [p, position] of [0, 5, 7].entries()) {
        const row = data.slice((p * heads + head) * length, (p * heads + head + 1) * length);
        expect([...row]).toEqual([...pattern.subarray(position * length, (position + 1) * length)]);
      }
    }
    model.dispose();
  });

  test("a position that is not there is said", async () => {
    const model = await randomModel(readConfig(files[0][1]), device, 3, 0.3);
    await expect(readSpine(model, randomIds(5, 4), [4])).rejects.toThrow(VitrineError);
    model.dispose();
  });
});
