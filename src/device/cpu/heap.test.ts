import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VitrineError } from "../../base/errors.ts";
import { Heap } from "./heap.ts";

const mebi = 2 ** 20;

function heapOf(limit: number, start = 1000): Heap {
  return new Heap(new WebAssembly.Memory({ initial: 1, maximum: limit / 65536 }), start, limit);
}

describe("heap", () => {
  test("blocks lie on lines, in memory, and never overlap, whatever comes and goes", () => {
    const step = fc.record({ size: fc.oneof(fc.nat(200), fc.nat(40_000), fc.nat(2_000_000)), free: fc.option(fc.nat()) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = heapOf(256 * mebi);
        const live: { at: number; size: number }[] = [];
        for (const { size, free } of steps) {
          const at = heap.allocate(size);
          expect(at % 64).toBe(0);
          expect(at).toBeGreaterThanOrEqual(1000);
          expect(at + size).toBeLessThanOrEqual(heap.memory.buffer.byteLength);
          for (const other of live) expect(at + size <= other.at || other.at + other.size <= at).toBe(true);
          live.push({ at, size: Math.max(size, 1) });
          if (free !== null) {
            const [gone] = live.splice(free % live.length, 1);
            heap.free(gone.at, gone.size);
          }
        }
        for (const { at, size } of live) heap.free(at, size);
        expect(heap.inUse).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("large blocks that were returned in any order serve one block of their whole size", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8 }), (order) => {
        const heap = heapOf(64 * mebi);
        const blocks = order.map(() => heap.allocate(mebi));
        const size = heap.memory.buffer.byteLength;
        for (const i of order) heap.free(blocks[i], mebi);
        expect(heap.allocate(8 * mebi)).toBe(blocks[0]);
        expect(heap.memory.buffer.byteLength).toBe(size);
      }),
    );
  });

  test("the same sizes again and again need no more memory", () => {
    const heap = heapOf(64 * mebi);
    const pass = (): void => {
      const held = [64, 3072, 12288, 40_000, 1_572_864, 100].map((size) => ({ at: heap.allocate(size), size }));
      for (const { at, size } of held) heap.free(at, size);
    };
    pass();
    const size = heap.memory.buffer.byteLength;
    for (let i = 0; i < 1000; i++) pass();
    expect(heap.memory.buffer.byteLength).toBe(size);
  });

  test("zeroed blocks are zero, also where something lay before", () => {
    for (const size of [100, 32768, 300_000]) {
      const heap = heapOf(64 * mebi);
      const dirty = heap.allocate(size);
      heap.f32.fill(7, dirty / 4, (dirty + size) / 4);
      heap.free(dirty, size);
      for (let i = 0; i < 3; i++) {
        const at = heap.allocateZeroed(size);
        expect(heap.f32.subarray(at / 4, Math.floor((at + size) / 4)).every((x) => x === 0)).toBe(true);
      }
      // one that begins in a returned block at the end and goes on in new memory
      const last = heap.allocate(400_000);
      heap.f32.fill(7, last / 4, last / 4 + 100_000);
      heap.free(last, 400_000);
      const at = heap.allocateZeroed(9_000_000);
      expect(heap.f32.subarray(at / 4, at / 4 + 2_250_000).every((x) => x === 0)).toBe(true);
    }
  });

  test("what does not fit is refused with the limit and a cure, and the heap goes on", () => {
    const heap = heapOf(8 * mebi);
    const at = heap.allocate(4 * mebi);
    expect(() => heap.allocate(5 * mebi)).toThrow(VitrineError);
    expect(() => heap.allocate(5 * mebi)).toThrow(/5 MiB more.*4 MiB are in use.*ends at 8 MiB.*smaller model/);
    expect(heap.inUse).toBe(4 * mebi);
    heap.free(at, 4 * mebi);
    expect(heap.allocate(7 * mebi)).toBe(at);
  });

  test("views follow memory as it grows", () => {
    const heap = heapOf(64 * mebi);
    const early = heap.allocate(64);
    heap.f32[early / 4] = 5;
    const late = heap.allocate(20 * mebi);
    heap.f32[late / 4 + 5 * mebi - 1] = 6;
    expect(heap.f32[early / 4]).toBe(5);
    expect(heap.f32[late / 4 + 5 * mebi - 1]).toBe(6);
  });
});
