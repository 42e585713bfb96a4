import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { partsOf, rowsOf, scaledFrom, scaledText, sumOf, swapped, swapsFrom, swapsText, fitting, tokensLike, muteName, editOf } from "./parts.ts";

type Pushes = Parameters<typeof partsOf>[0];
const pushes: Pushes = [
  { kind: "embedding", layer: -1, head: -1, amount: 0.5 },
  { kind: "positions", layer: -1, head: -1, amount: -0.25 },
  ...[0, 1].flatMap((layer): Pushes => [
    { kind: "head", layer, head: 0, amount: 1 },
    { kind: "head", layer, head: 1, amount: -3 },
    { kind: "attention-bias", layer, head: -1, amount: 0.125 },
    { kind: "mlp", layer, head: -1, amount: layer === 0 ? 4 : -1 },
  ]),
  { kind: "norm-bias", layer: -1, head: -1, amount: 2 },
];

describe("parts", () => {
  test("gather the heads and the bias of each attention", () => {
    const parts = partsOf(pushes);
    expect(parts.map(({ key, amount }) => [key, amount])).toEqual([
      ["embedding", 0.5],
      ["positions", -0.25],
      ["attention.0", -1.875],
      ["mlp.0", 4],
      ["attention.1", -1.875],
      ["mlp.1", -1],
      ["norm-bias", 2],
    ]);
    expect(parts[2].inner.map(({ key }) => key)).toEqual(["head.0.0", "head.0.1", "attention-bias.0"]);
  });

  test("sum to all pushes, however they are arranged", () => {
    const kinds = fc.constantFrom("embedding" as const, "positions" as const, "head" as const, "attention-bias" as const, "mlp" as const);
    const push = fc.record({ kind: kinds, layer: fc.nat(3), head: fc.nat(3), amount: fc.integer({ min: -50, max: 50 }) });
    fc.assert(
      fc.property(fc.array(push), fc.boolean(), (some, sorted) => {
        const parts = partsOf(some);
        const total = some.reduce((sum, { amount }) => sum + amount, 0);
        expect(sumOf(parts)).toBe(total);
        expect(sumOf(rowsOf(parts, sorted, new Set()))).toBe(total);
      }),
    );
  });

  test("are shown strongest first on request, the inside of an opened one below it", () => {
    const rows = rowsOf(partsOf(pushes), true, new Set(["attention.1"]));
    expect(rows.map(({ key }) => key)).toEqual([
      "mlp.0",
      "norm-bias",
      "attention.0",
      "attention.1",
      "head.1.1",
      "head.1.0",
      "attention-bias.1",
      "mlp.1",
      "embedding",
      "positions",
    ]);
  });
});

test("edits are named as the command names them", () => {
  expect([muteName({ layer: 3, head: 1 }), muteName({ layer: 2, head: -1 })]).toEqual(["3.1", "mlp2"]);
  expect(editOf({ layer: 3, head: 1 }, 0)).toEqual({ kind: "head", layer: 3, head: 1, scale: 0 });
  expect(editOf({ layer: 2, head: -1 }, 1.5)).toEqual({ kind: "mlp", layer: 2, scale: 1.5 });
});

test("a swap holds only where its token still stands", () => {
  const swaps = [
    { position: 1, from: 7, to: 70 },
    { position: 2, from: 9, to: 90 },
    { position: 8, from: 1, to: 2 },
  ];
  expect(fitting(swaps, [5, 7, 8])).toEqual([swaps[0]]);
  expect(swapped([5, 7, 8], swaps)).toEqual([5, 70, 8]);
});

test("a typed text means the token that is it, then the one after a space, then longer ones", () => {
  const words = ["", " catch", "dog", " cat", "cat", "cats"];
  expect(tokensLike("cat", words, 4)).toEqual([4, 3, 1, 5]);
  expect(tokensLike("␣cat", words, 4)).toEqual([3, 1]);
  expect(tokensLike("", words, 4)).toEqual([]);
  expect(tokensLike("zebra", words, 4)).toEqual([]);
});

describe("changes in an address", () => {
  test("are read as they were written", () => {
    const edits = [
      { layer: 3, head: 1, scale: 0 },
      { layer: 0, head: -1, scale: 1.55 },
    ];
    expect(scaledText(edits)).toBe("3.1x0_mlp0x1.55");
    expect(scaledFrom(scaledText(edits))).toEqual(edits);
    const swaps = [{ position: 1, from: 8, to: 57 }];
    expect(swapsFrom(swapsText(swaps), [7, 8])).toEqual(swaps);
  });

  test("and nothing else is", () => {
    expect(scaledFrom("")).toEqual([]);
    expect(scaledFrom("3.1x9_3x0_mlp-1x0_1.1x1_1.1xNaN_1e3.0x0")).toEqual([]);
    expect(swapsFrom("2.5_-1.5_0.x_1", [7, 8])).toEqual([]);
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const { scale } of scaledFrom(text)) expect(scale).toBeLessThanOrEqual(2);
        for (const { position } of swapsFrom(text, [1, 2])) expect(position).toBeLessThan(2);
      }),
    );
  });
});
