import { describe, expect, test } from "vitest";
import { ShapeError } from "../base/errors.ts";
import { openReference } from "../device/reference/reference.ts";
import { DeviceCache } from "./kv-cache.ts";
import { largestDifference } from "./data.testing.ts";
import { gpt2Config } from "./presets.ts";
import { randomModel } from "./random-weights.ts";

/** What says layer, sequence, head, position and place in the head. */
function number(layer: number, b: number, h: number, position: number, d: number): number {
  return 1e5 * layer + 1e4 * b + 1e3 * h + 10 * position + d;
}

/** A whole cache of two sequences and three heads; 0 where nothing is held. */
function contents(layer: number, room: number, lengths: readonly number[]): Float32Array {
  return Float32Array.from({ length: 2 * 3 * room * 2 }, (_, i) => {
    const [b, h, position, d] = [Math.floor(i / (6 * room)), Math.floor(i / (2 * room)) % 3, Math.floor(i / 2) % room, i % 2];
    return position < lengths[b] ? number(layer, b, h, position, d) : 0;
  });
}

const shape = { layers: 2, kvHeads: 3, headDimension: 2 };

describe("a key/value cache", () => {
  test("grows by doubling up to its capacity, and what it holds keeps its place", async () => {
    const device = openReference();
    const cache = new DeviceCache(device, shape, 2, 150);
    expect(device.memory().buffers).toBe(0); // nothing until it is needed
    cache.reserve(1);
    expect(cache.room).toBe(64);

    // Sequence 0 holds 64 positions, sequence 1 holds 3: every number says layer, sequence, head and position.
    cache.advance([64, 3]);
    for (const layer of [0, 1]) {
      device.write(cache.keys(layer), contents(layer, 64, [64, 3]));
      device.write(cache.values(layer), contents(layer + 2, 64, [64, 3]));
    }
    cache.reserve(65);
    expect(cache.room).toBe(128);
    for (const layer of [0, 1]) {
      expect(await device.read(cache.keys(layer))).toEqual(contents(layer, 128, [64, 3]));
      expect(await device.read(cache.values(layer))).toEqual(contents(layer + 2, 128, [64, 3]));
    }
    cache.reserve(129);
    expect(cache.room).toBe(150);
    cache.reserve(155); // padding may stand beyond the capacity
    expect(cache.room).toBe(155);
    expect(device.memory().buffers).toBe(4);
    cache.dispose();
    expect(device.memory().buffers).toBe(0);
    expect(cache.lengths).toEqual([0, 0]);
  });

  test("forgets from a position on, in all sequences or in one", () => {
    const cache = new DeviceCache(openReference(), shape, 3, 10);
    cache.advance([5, 8, 2]);
    cache.truncate(6);
    expect(cache.lengths).toEqual([5, 6, 2]);
    cache.truncate(1, 1);
    expect(cache.lengths).toEqual([5, 1, 2]);
    cache.truncate(0);
    expect(cache.lengths).toEqual([0, 0, 0]);
    for (const [length, sequence] of [[-1], [1.5], [NaN], [0, 3]]) expect(() => cache.truncate(length, sequence)).toThrow(ShapeError);
  });

  test("serves a model across its growth", async () => {
    const device = openReference();
    const model = await randomModel(gpt2Config({ layers: 1, heads: 2, width: 8, vocabularySize: 9, contextLength: 140 }), device, 1, 0.5);
    const ids = Array.from({ length: 140 }, (_, i) => (i * i + 3) % 9);
    const whole = model.forward([ids], { logits: "all" });
    const expected = await whole.read();
    const cache = model.cache();
    for (let at = 0; at < 140; at += 20) {
      const logits = model.forward([ids.slice(at, at + 20)], { cache });
      expect(largestDifference(await logits.read(), expected.slice((at + 19) * 9, (at + 20) * 9))).toBeLessThan(1e-5);
    }
  });
});
