/** Columns cut out of a real lens, and what is kept of them when the text changes. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Lens } from "../../engine/protocol.ts";
import { ColumnCache, columnsOf, sharedLength, stageAt, stageCount, stageIndex, tapOf, visibleRange, nextPatch } from "./columns.ts";
import type { Column, Patch } from "./columns.ts";

/** A lens whose numbers tell where they belong: stage, position and candidate can be read off them. */
function telling(layers: number, positions: readonly number[], targets: readonly number[], top: number): Lens {
  const [S, T] = [stageCount(layers), positions.length];
  const cells = S * T * top;
  const code = (at: number): number => at + 1;
  return {
    stages: Array.from({ length: S }, (_, s) => ({ name: tapOf(s), ...stageAt(s) })),
    positions: Int32Array.from(positions),
    top,
    ids: Int32Array.from({ length: cells }, (_, at) => code(at)),
    probabilities: Float32Array.from({ length: cells }, (_, at) => code(at) / 1000),
    logits: Float32Array.from({ length: cells }, (_, at) => -code(at)),
    final: {
      ids: Int32Array.from(positions, (_, t) => code(((S - 1) * T + t) * top)),
      probabilities: new Float32Array(S * T),
      ranks: new Int32Array(S * T),
    },
    target: {
      ids: Int32Array.from(targets),
      probabilities: Float32Array.from({ length: S * T }, (_, at) => at / 500),
      ranks: Int32Array.from({ length: S * T }, (_, at) => at + 7),
    },
    leaders: positions.map((position) => ({
      ids: Int32Array.of(position, 90),
      ranks: Int32Array.from({ length: 2 * S }, (_, at) => at),
      probabilities: Float32Array.from({ length: 2 * S }, (_, at) => at / 100),
    })),
  };
}

describe("columnsOf", () => {
  test("gives every number to its stage and position", () => {
    const [layers, top, positions] = [3, 2, [4, 5, 9]];
    const [S, T] = [stageCount(layers), positions.length];
    const columns = columnsOf(telling(layers, positions, [11, -1, 13], top));
    expect(columns.map(({ position }) => position)).toEqual(positions);
    for (const [t, column] of columns.entries()) {
      for (let s = 0; s < S; s++)
        for (let n = 0; n < top; n++) {
          const at = (s * T + t) * top + n + 1;
          expect(column.ids[s * top + n]).toBe(at);
          expect(column.probabilities[s * top + n]).toBeCloseTo(at / 1000, 6);
          expect(column.logits[s * top + n]).toBe(-at);
        }
      expect(column.final).toBe(column.ids[(S - 1) * top]);
      expect(column.leaders.map(({ id }) => id)).toEqual([positions[t], 90]);
      expect([...column.leaders[1].ranks]).toEqual(Array.from({ length: S }, (_, s) => S + s));
    }
    expect(columns[1].came).toBeUndefined();
    expect(columns[2].came!.id).toBe(13);
    expect([...columns[2].came!.ranks]).toEqual(Array.from({ length: S }, (_, s) => s * T + 2 + 7));
  });
});

test("stages and places in the model are the same thing", () => {
  for (let stage = 0; stage < stageCount(48); stage++) {
    const { layer, point } = stageAt(stage);
    expect(stageIndex(layer, point)).toBe(stage);
  }
  expect([0, 1, 2, 96].map(tapOf)).toEqual([
    "blocks.0.hook_resid_pre",
    "blocks.0.hook_resid_mid",
    "blocks.0.hook_resid_post",
    "blocks.47.hook_resid_post",
  ]);
});

describe("ColumnCache", () => {
  const column = (position: number, came?: number): Column => ({
    position,
    stages: 1,
    top: 1,
    ids: Int32Array.of(position),
    probabilities: Float32Array.of(1),
    logits: Float32Array.of(0),
    final: 0,
    leaders: [],
    came: came === undefined ? undefined : { id: came, ranks: Int32Array.of(1), probabilities: Float32Array.of(1) },
  });
  const model = {};
  const text = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 12 });

  test("after any change of text a fresh column is one that was worked out for the very same tokens", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), (texts) => {
        const cache = new ColumnCache();
        const madeFor = new Map<Column, string>();
        for (const ids of texts) {
          cache.turnTo(model, ids);
          for (const [position] of ids.entries())
            if (cache.isFresh(position)) expect(madeFor.get(cache.at(position)!)).toBe(ids.slice(0, position + 1).join());
          const missing = cache.missing([...ids.keys()], []);
          for (const position of missing) expect(cache.isFresh(position)).toBe(false);
          const made = missing.map((position) => column(position));
          for (const one of made) madeFor.set(one, ids.slice(0, one.position + 1).join());
          cache.put(model, ids, made);
          expect(cache.missing([...ids.keys()], [])).toEqual([]);
          expect(cache.at(ids.length)).toBeUndefined();
        }
      }),
    );
  });

  test("an answer for a text that has changed meanwhile is kept as far as it still holds", () => {
    const cache = new ColumnCache();
    cache.turnTo(model, [1, 2, 3, 4]);
    cache.turnTo(model, [1, 2, 9, 4]);
    cache.put(model, [1, 2, 3, 4], [column(1), column(2), column(3)]);
    expect([0, 1, 2, 3].map((position) => cache.isFresh(position))).toEqual([false, true, false, false]);
    cache.put({}, [1, 2, 9, 4], [column(2)]);
    expect(cache.isFresh(2)).toBe(false);
  });

  test("stale columns stay on screen until their model is gone", () => {
    const cache = new ColumnCache();
    cache.turnTo(model, [1, 2]);
    cache.put(model, [1, 2], [column(0), column(1)]);
    cache.turnTo(model, [1, 5, 6]);
    expect(cache.at(1)).toBeDefined();
    expect(cache.isFresh(1)).toBe(false);
    cache.turnTo({}, [1, 5, 6]);
    expect(cache.at(0)).toBeUndefined();
  });

  test("a column is asked for again when the token after it came", () => {
    const cache = new ColumnCache();
    cache.turnTo(model, [1, 2]);
    cache.put(model, [1, 2], [column(1)]);
    expect(cache.missing([1], [1])).toEqual([]);
    cache.turnTo(model, [1, 2, 3]);
    expect(cache.missing([1], [])).toEqual([]);
    expect(cache.missing([1], [1])).toEqual([1]);
    cache.put(model, [1, 2], [column(1, 3)]);
    expect(cache.missing([1], [1])).toEqual([]);
  });
});

test("sharedLength and visibleRange", () => {
  expect(sharedLength([1, 2, 3], [1, 2])).toBe(2);
  fc.assert(
    fc.property(fc.nat(5000), fc.nat(900), fc.integer({ min: 10, max: 120 }), fc.nat(500), fc.nat(3), (scroll, room, size, count, more) => {
      const [first, end] = visibleRange(scroll, room, size, count, more);
      for (let n = 0; n < count; n++) {
        const shows = (n + 1) * size > scroll && n * size < scroll + room;
        if (shows) expect(n >= first && n < end).toBe(true);
      }
      expect(end - first).toBeLessThanOrEqual(Math.ceil(room / size) + 1 + 2 * more);
    }),
  );
});

test("cells of the grid come a step at a time, and all of them in the end", () => {
  const span = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 24 })).map(([from, count]) => Array.from({ length: count }, (_, i) => from + i));
  const patch = fc.record({ columns: span, rows: span });
  fc.assert(
    fc.property(patch, patch, fc.nat(60), fc.integer({ min: 1, max: 100 }), (first, wanted, near, cells) => {
      let now: Patch = first;
      for (let steps = 0; steps < 60 && !(now.columns.length === wanted.columns.length && now.rows.length === wanted.rows.length); steps++) {
        const next = nextPatch(now, wanted, near, cells);
        const had = (row: number, column: number): boolean => now.rows.includes(row) && now.columns.includes(column);
        const made = next.rows.flatMap((row) => next.columns.filter((column) => !had(row, column))).length;
        expect(made).toBeLessThanOrEqual(Math.max(cells, next.rows.length, next.columns.length));
        now = next;
      }
      expect(now).toEqual(wanted);
    }),
  );
});
