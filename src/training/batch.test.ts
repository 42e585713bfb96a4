import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evenBatches, randomBatches } from "./batch.ts";
import type { Batch } from "./batch.ts";

const counting = (length: number): { tokens: Uint16Array<ArrayBuffer> } => ({ tokens: Uint16Array.from({ length }, (_, i) => i) });

describe("randomBatches", () => {
  it("every position is asked for its successor", () => {
    const { inputs, targets, counted } = randomBatches(counting(100), 3, 7, 1).next();
    expect(inputs.map((row) => row.length)).toEqual([7, 7, 7]);
    expect([...targets]).toEqual(inputs.flat().map((id) => id + 1));
    for (const row of inputs) expect(row).toEqual(row.map((_, i) => row[0] + i));
    expect(counted).toBe(21);
  });

  it("goes on from a saved state as if nothing had happened", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(20), (seed, before) => {
        const batches = randomBatches(counting(50), 2, 4, seed);
        for (let i = 0; i < before; i++) batches.next();
        const again = randomBatches(counting(50), 2, 4, batches.state());
        for (let i = 0; i < 5; i++) expect(again.next()).toEqual(batches.next());
      }),
      { numRuns: 50 },
    );
  });

  it("reaches the first window and the last, all about equally often", () => {
    const batches = randomBatches(counting(10), 100, 4, 7); // starts 0 to 5
    const seen = new Map<number, number>();
    for (let i = 0; i < 60; i++) for (const [first] of batches.next().inputs) seen.set(first, (seen.get(first) ?? 0) + 1);
    expect([...seen.keys()].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it("with a mask asks for what counts, and draws no window in which nothing does", () => {
    const mask = new Uint8Array(1000);
    mask[600] = mask[601] = 1;
    const batches = randomBatches({ ...counting(1000), mask }, 4, 50, 3);
    for (let i = 0; i < 20; i++) {
      const { targets, counted } = batches.next();
      expect([...targets].filter((id) => id >= 0).every((id) => id === 600 || id === 601)).toBe(true);
      for (let b = 0; b < 4; b++) expect(targets.slice(b * 50, (b + 1) * 50).some((id) => id >= 0)).toBe(true);
      expect(counted).toBe([...targets].filter((id) => id >= 0).length);
    }
  });

  it("a text of one window gives that window; a shorter one is refused with both lengths and the cure", () => {
    expect(randomBatches(counting(5), 1, 4, 0).next().inputs).toEqual([[0, 1, 2, 3]]);
    expect(() => randomBatches(counting(4), 1, 4, 0)).toThrow(
      /has 4 tokens, a context of 4 needs at least 5; use a context of at most 3, or more text/,
    );
  });

  it("refuses masks that do not fit or count nothing", () => {
    expect(() => randomBatches({ ...counting(9), mask: new Uint8Array(8) }, 1, 4, 0)).toThrow("a mask of 8 for 9 tokens");
    expect(() => randomBatches({ ...counting(9), mask: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0) }, 1, 4, 0)).toThrow("counts no token");
    const rare = new Uint8Array(60_000);
    rare[1] = 1;
    expect(() => randomBatches({ ...counting(60_000), mask: rare }, 1, 4, 0).next()).toThrow("held nothing to learn");
  });
});

describe("evenBatches", () => {
  const starts = (batches: readonly Batch[]): number[] => batches.flatMap(({ inputs }) => inputs.map(([first]) => first));

  it("spreads windows from the first token to the last", () => {
    const batches = evenBatches(counting(1001), 4, 10, 11);
    expect(starts(batches)).toEqual([0, 99, 198, 297, 396, 495, 594, 693, 792, 891, 990]);
    expect(batches.map(({ inputs }) => inputs.length)).toEqual([4, 4, 3]);
    expect(batches[2].targets.at(-1)).toBe(1000);
  });

  it("never overlaps: a short text is covered once", () => {
    expect(starts(evenBatches(counting(41), 3, 10, 1000))).toEqual([0, 10, 20, 30]);
    expect(starts(evenBatches(counting(11), 3, 10, 5))).toEqual([0]);
  });
});
