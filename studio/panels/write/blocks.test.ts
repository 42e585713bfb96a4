import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blocksOf, keyOf, nextToOpen } from "./blocks.ts";
import type { Known } from "./blocks.ts";

const choices = (...p: number[]): Known => ({ choices: p.map((probability, id) => ({ id, text: String(id), probability })) });

describe("blocksOf", () => {
  const known = new Map([
    [keyOf([]), choices(0.6, 0.3, 0.01)],
    [keyOf([0]), choices(0.4, 0.25)],
  ]);

  test("heights are joint probabilities, children lie beside their block", () => {
    const blocks = blocksOf(known, 3, 0.05);
    const find = (...ids: number[]) => blocks.find((block) => !block.rest && keyOf(block.ids) === keyOf(ids))!;
    expect(find(0)).toMatchObject({ joint: 0.6, top: 0, column: 0, opened: true });
    expect(find(1)).toMatchObject({ joint: 0.3, top: 0.6, opened: false });
    expect(find(0, 1).joint).toBeCloseTo(0.15, 12);
    expect(find(0, 1).top).toBeCloseTo(0.24, 12);
    expect(find(2)).toBeUndefined(); // too thin: part of the rest
    const rest = blocks.find((block) => block.rest && block.column === 0)!;
    expect(rest.joint).toBeCloseTo(0.1, 12);
  });

  test("the likeliest closed block is asked for next", () => {
    const blocks = blocksOf(known, 3, 0.05);
    expect(nextToOpen(blocks, 3, 0.05)!.ids).toEqual([1]);
    expect(nextToOpen(blocks, 3, 0.29)?.ids).toEqual([1]);
    expect(nextToOpen(blocks, 3, 0.31)).toBeUndefined();
    expect(nextToOpen(blocks, 1, 0.05)).toBeUndefined();
  });

  test("no column is higher than the view, no blocks overlap", () => {
    const row = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 1, maxLength: 5 }).chain((weights) =>
      fc.double({ min: 1, max: 2, noNaN: true }).map((slack) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0) * slack;
        return choices(...weights.map((weight) => weight / total).toSorted((a, b) => b - a));
      }),
    );
    fc.assert(
      fc.property(row, row, row, (first, second, third) => {
        const all = new Map([[keyOf([]), first], [keyOf([0]), second], [keyOf([0, 0]), third]]); // prettier-ignore
        const blocks = blocksOf(all, 4, 0.01);
        for (let column = 0; column < 3; column++) {
          let end = 0;
          for (const { top, joint } of blocks.filter((block) => block.column === column).toSorted((a, b) => a.top - b.top)) {
            expect(top).toBeGreaterThan(end - 1e-9);
            end = top + joint;
          }
          expect(end).toBeLessThan(1 + 1e-9);
        }
      }),
    );
  });
});
