/** That the drawing's rows, times what the model had at that place, plus the bias, are what the model computed: for every matrix of both families. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../../src/device/device.ts";
import { capture } from "../../../src/inspection/capture.ts";
import { matrixOf, weightsOf } from "../../../src/inspection/matrices.ts";
import { files, twoDevices } from "../../../src/inspection/models.testing.ts";
import { readConfig } from "../../../src/model/config-file.ts";
import { parametersOf } from "../../../src/model/families.ts";
import { randomModel } from "../../../src/model/random-weights.ts";
import { atPosition, biasName, biasPlace, drawn, hasHeads, hasLayers, inCheckpoint, keyHead, liesTurned, meeting, runningSum } from "./places.ts";
import type { MatrixCategory } from "./places.ts";

const categories: readonly MatrixCategory[] = ["Embedding", "Positions", "Key", "Query", "Value", "Output", "Gate-projection", "Up-projection", "Down-projection", "Unembedding"]; // prettier-ignore
const ids = [3, 41, 7, 7];
const position = 2;

describe("matrix and vector", () => {
  let device: Device;
  beforeAll(async () => {
    device = await twoDevices[0].open();
  });
  afterAll(() => device.dispose());

  test.each(files)("of %s meet as drawn", async (_, file) => {
    const config = readConfig(file);
    const model = await randomModel(config, device, 3, 0.3);
    const names = parametersOf(config).map(({ name }) => name);
    let checked = 0;
    for (const category of categories) {
      if (weightsOf(config, category).length === 0) continue;
      const layer = hasLayers(category) ? 1 : undefined;
      for (const head of hasHeads(category) && category !== "Output" ? [undefined, 0, config.heads - 1] : [undefined]) {
        const block = await matrixOf(model, { category, layer, head });
        const turned = liesTurned(config, category);
        const weights = drawn(block, turned);
        const [rows, columns] = turned ? [block.shape[1], block.shape[0]] : block.shape;
        const { input, output, outputStart } = meeting(config, category, layer ?? 0, head);
        const heard = await capture(model, ids, input === undefined ? [output] : [input, output]);
        const result = atPosition(heard.get(output)!, position);
        const bias = biasName(block.name, names);
        const biases = bias === undefined ? undefined : await matrixOf(model, bias);
        for (let row = 0; row < rows; row++) {
          const line = weights.subarray(row * columns, (row + 1) * columns);
          if (input === undefined) {
            if (row === (category === "Embedding" ? ids[position] : position)) expect([...line]).toEqual([...result]);
            continue;
          }
          const sum = runningSum(line, atPosition(heard.get(input)!, position))[columns];
          const total = sum + (biases ? biases.data[biasPlace(config, category, head, row)] : 0);
          expect(total, `${category} ${row}`).toBeCloseTo(result[outputStart + row], 4);
          checked++;
        }
      }
    }
    expect(checked).toBeGreaterThan(100);
    model.dispose();
  });

  test.each(files)("of %s stand in the checkpoint where the why card says", async (_, file) => {
    const config = readConfig(file);
    const model = await randomModel(config, device, 3, 0.3);
    for (const category of categories) {
      if (weightsOf(config, category).length === 0) continue;
      const layer = hasLayers(category) ? 1 : undefined;
      for (const head of hasHeads(category) ? [undefined, 0, config.heads - 1] : [undefined]) {
        const block = await matrixOf(model, { category, layer, head });
        const turned = liesTurned(config, category);
        const weights = drawn(block, turned);
        const columns = turned ? block.shape[0] : block.shape[1];
        for (const [row, column] of [
          [0, 0],
          [1, 2],
          [3, 1],
        ]) {
          // prettier-ignore
          const [first, second] = inCheckpoint(config, category, head, row, column);
          const { data } = await matrixOf(model, block.name, [first, 1], [second, 1]);
          expect(data[0]).toBe(weights[row * columns + column]);
        }
      }
    }
    model.dispose();
  });

  test("heads that share keys", () => {
    const config = readConfig(files[2][1]);
    expect(Array.from({ length: config.heads }, (_, head) => keyHead(config, head))).toEqual([0, 0, 0, 1, 1, 1]);
  });

  test("the running sum begins at nothing and ends with the product", () => {
    expect([...runningSum([1, -2, 3], [4, 5, 6])]).toEqual([0, 4, -6, 12]);
  });
});
