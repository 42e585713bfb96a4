import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import { type FloatType, fromFloat32, toFloat32 } from "../base/dtype.ts";
import { VitrineError } from "../base/errors.ts";
import { joined } from "./counted.testing.ts";
import { openSafetensors } from "./safetensors.ts";
import { type TensorToWrite, writeSafetensors } from "./write-safetensors.ts";

const float = fc.float({ noNaN: true, min: -60000, max: 60000 });
const tensor = fc.tuple(fc.constantFrom<FloatType>("F32", "F16", "BF16"), fc.array(fc.nat(4), { maxLength: 4 })).chain(([dtype, shape]) => {
  const count = shape.reduce((a, b) => a * b, 1);
  return fc.record({
    dtype: fc.constant(dtype),
    shape: fc.constant(shape),
    values: fc.array(float, { minLength: count, maxLength: count }),
    cut: fc.nat(count),
  });
});
const name = fc.string({
  unit: fc.oneof(fc.constantFrom("a", "b", ".", "0", "_", '"', "\\", "é", "😀"), fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 })),
});
const tensors = fc.uniqueArray(fc.tuple(name, tensor), { selector: ([name]) => name, maxLength: 6 });

describe("writeSafetensors", () => {
  it("writes what openSafetensors reads back, of any shape and type, whole or in pieces", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }), async (list, metadata) => {
        const file = await joined(
          writeSafetensors(
            list.map(([name, { dtype, shape, values, cut }], index) => {
              const all = Float32Array.from(values);
              return { name, dtype, shape, values: index % 2 === 0 ? all : [all.subarray(0, cut), all.subarray(cut)] };
            }),
            metadata,
          ),
        );
        const source = await openSafetensors(bytesOf("x", file));
        expect({ ...source.metadata }).toEqual({ ...metadata });
        expect(source.tensors.size).toBe(list.length);
        for (const [name, { dtype, shape, values }] of list) {
          expect(source.tensors.get(name)).toMatchObject({ dtype, shape });
          // One rounding on the way; dtype.test.ts proves that one against arithmetic.
          expect(await source.read(name)).toEqual(toFloat32(dtype, fromFloat32(dtype, Float32Array.from(values))));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("aligns the data to 8 bytes and every tensor to its numbers", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, async (list) => {
        const file = await joined(
          writeSafetensors(list.map(([name, { dtype, shape, values }]) => ({ name, dtype, shape, values: Float32Array.from(values) }))),
        );
        const length = Number(new DataView(file.buffer).getBigUint64(0, true));
        expect(length % 8).toBe(0);
        const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<
          string,
          { dtype: FloatType; data_offsets: number[] }
        >;
        for (const { dtype, data_offsets } of Object.values(header)) expect(data_offsets[0] % (dtype === "F32" ? 4 : 2)).toBe(0);
      }),
    );
  });

  it("keeps the order given among tensors of one type", async () => {
    const list = ["z", "a", "m"].map((name): TensorToWrite => ({ name, dtype: "F32", shape: [1], values: Float32Array.of(1) }));
    const source = await openSafetensors(bytesOf("x", await joined(writeSafetensors(list))));
    expect([...source.tensors.keys()]).toEqual(["z", "a", "m"]);
  });

  it("asks for a tensor's numbers only when its turn comes", async () => {
    const log: string[] = [];
    const lazy = (name: string): TensorToWrite => ({
      name,
      dtype: "F32",
      shape: [2],
      values: (async function* () {
        for (const x of [1, 2]) {
          log.push(`${name}${x}`);
          yield Float32Array.of(x);
        }
      })(),
    });
    for await (const chunk of writeSafetensors([lazy("a"), lazy("b")])) log.push(`${chunk.length} bytes`);
    expect(log.slice(1)).toEqual(["a1", "4 bytes", "a2", "4 bytes", "b1", "4 bytes", "b2", "4 bytes"]);
  });

  it("hands a large tensor on in blocks", async () => {
    const values = Float32Array.from({ length: 3_000_000 }, (_, i) => i);
    let largest = 0;
    let total = 0;
    for await (const chunk of writeSafetensors([{ name: "w", dtype: "F32", shape: [3, 1_000_000], values }])) {
      largest = Math.max(largest, chunk.length);
      total += chunk.length;
    }
    expect(largest).toBe(4 * 2 ** 20);
    expect(total % 8).toBe(0);
    expect(total).toBeGreaterThan(12_000_000);
  });

  it("stops when too few, too many or too large numbers come", async () => {
    await expect(write(Float32Array.of(1))).rejects.toThrow('save: tensor "wte.weight" of shape (2, 1) needs 2 numbers, only 1 came');
    await expect(write([Float32Array.of(1, 2), Float32Array.of(3)])).rejects.toThrow("needs 2 numbers, more came");
    await expect(write(Float32Array.of(1, 65520), "F16")).rejects.toThrow('"wte.weight" holds 65520, too large for F16; save it as F32');
    await expect(write(Float32Array.of(-3.4e38, 0), "BF16")).rejects.toThrow(/too large for BF16/);
    await expect(write(Float32Array.of(Infinity, Number.NaN), "F16")).resolves.toBeInstanceOf(Uint8Array);
    await expect(write(Float32Array.of(65519, -65504), "F16")).resolves.toBeInstanceOf(Uint8Array);
  });

  it("refuses bad names and shapes before a byte is written", () => {
    const w: TensorToWrite = { name: "w", dtype: "F32", shape: [1], values: Float32Array.of(1) };
    expect(() => writeSafetensors([w, { ...w, dtype: "F16" }])).toThrow('save: tensor name "w" is taken');
    expect(() => writeSafetensors([{ ...w, name: "__metadata__" }])).toThrow(VitrineError);
    expect(() => writeSafetensors([{ ...w, name: "\ud800" }])).toThrow(VitrineError);
    for (const shape of [[-1], [0.5], [2 ** 53], [2 ** 30, 2 ** 30], [Number.NaN]])
      expect(() => writeSafetensors([{ ...w, shape }])).toThrow(VitrineError);
  });
});

/** A file of one tensor of shape (2, 1). */
function write(values: TensorToWrite["values"], dtype: FloatType = "F32"): Promise<Uint8Array> {
  return joined(writeSafetensors([{ name: "wte.weight", dtype, shape: [2, 1], values }]));
}
