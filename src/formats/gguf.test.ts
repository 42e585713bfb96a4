import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import { FormatError, VitrineError } from "../base/errors.ts";
import { counted } from "./counted.testing.ts";
import { readGgufHeader } from "./gguf.ts";
import { type Claims, ggufBytes, openBytes, tensorOf, text, u32, u64, written } from "./gguf.testing.ts";
import type { GgufType } from "./gguf-type.ts";
import type { TypedValue } from "./write-gguf.ts";

const allTypes: readonly GgufType[] = ["F32", "F16", "BF16", "Q8_0", "Q4_0"];

/** One tensor of each type, with numbers that every type holds exactly: in each block of 32 the extreme is -8 (or -127 steps of 1). */
const exact = (i: number): number => (i % 32 === 0 ? -8 : (i % 15) - 7);
const exactQ8 = (i: number): number => (i % 32 === 0 ? -127 : (i % 200) - 100);
const everyType = allTypes.map((type) => tensorOf(`t.${type}`, type, [3, 64], type === "Q8_0" ? exactQ8 : exact));

const everyValue = new Map<string, TypedValue>([
  ["a.u32", { u32: 4294967295 }],
  ["a.f32", { f32: 0.5 }],
  ["a.yes", { bool: true }],
  ["a.no", { bool: false }],
  ["a.string", { string: "naïve 🙂" }],
  ["a.strings", { strings: ["", "\ufeff", "\ufeffa", "▁the", "日本", "\u0000"] }],
  ["a.i32s", { i32s: [1, -1, 2147483647, -2147483648] }],
  ["a.f32s", { f32s: [0, -1000.5, Infinity] }],
  ["a.none", { strings: [] }],
]);

describe("what was written is read", () => {
  test("values of every type, byte order marks kept", async () => {
    const { header } = await openBytes(await written(everyValue, []));
    expect(Object.fromEntries(header.values)).toEqual({
      "a.u32": 4294967295,
      "a.f32": 0.5,
      "a.yes": true,
      "a.no": false,
      "a.string": "naïve 🙂",
      "a.strings": ["", "\ufeff", "\ufeffa", "▁the", "日本", "\u0000"],
      "a.i32s": [1, -1, 2147483647, -2147483648],
      "a.f32s": [0, -1000.5, Infinity],
      "a.none": [],
    });
  });

  test("tensors of every type, aligned to 32 bytes, blocks announced as fp32", async () => {
    const file = await openBytes(await written(everyValue, everyType));
    for (const type of allTypes) {
      const info = file.header.tensors.get(`t.${type}`)!;
      expect(info).toMatchObject({ name: `t.${type}`, type, shape: [3, 64], dtype: type.startsWith("Q") ? "F32" : type });
      expect(info.start % 32).toBe(0);
      const expected = Float32Array.from({ length: 192 }, (_, i) => (type === "Q8_0" ? exactQ8(i) : exact(i)));
      expect(await file.read(info.name), type).toEqual(expected);
    }
    expect(file.header.tensors.get("t.Q4_0")?.byteLength).toBe(6 * 18);
  });

  test("any part of a tensor is that part of the whole", async () => {
    const file = await openBytes(await written(new Map(), everyType));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...allTypes), fc.nat(192), fc.nat(192), async (type, a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        expect(await file.read(`t.${type}`, start, end)).toEqual((await file.read(`t.${type}`)).subarray(start, end));
      }),
    );
    await expect(file.read("t.F32", 0, 193)).rejects.toThrow("internal: x.gguf: elements 0 to 193");
    await expect(file.read("t.F33")).rejects.toThrow('did you mean "t.F32"?');
  });

  test("no number is read before it is asked for, and then only its own bytes", async () => {
    const bytes = await written(everyValue, [tensorOf("big", "F32", [2_000_000], (i) => i), tensorOf("q", "Q8_0", [64], exactQ8)]);
    const source = counted(bytesOf("x.gguf", bytes));
    const { tensors } = await readGgufHeader(source);
    expect(source.reads).toEqual([[0, 4 * 1024 * 1024]]);
    const { ggufTensors } = await import("./gguf.ts");
    await ggufTensors(source, { name: "x.gguf", values: new Map(), tensors }).read("q", 40, 41);
    const { start } = tensors.get("q")!;
    expect(source.reads.at(-1)).toEqual([start + 34, start + 68]); // its block
    expect(source.closed()).toBe(0);
  });

  test("a header of many megabytes, read in a few larger pieces", async () => {
    const tokens = Array.from({ length: 200_000 }, (_, i) => `token number ${i} of very many tokens`);
    const source = counted(bytesOf("x.gguf", await written(new Map([["tokens", { strings: tokens }]]), everyType)));
    const { values } = await readGgufHeader(source);
    expect(values.get("tokens")).toEqual(tokens);
    expect(source.reads.length).toBeLessThanOrEqual(3);
  });

  test("number types that others write, lists in lists, version 2", async () => {
    const values: Claims["values"] = [
      ["u8", 0, [255]],
      ["i8", 1, [255]],
      ["u16", 2, [255, 255]],
      ["i16", 3, [254, 255]],
      ["u64", 10, u64(2n ** 63n)],
      ["i64", 11, u64(2n ** 64n - 5n)],
      ["f64", 12, [...new Uint8Array(Float64Array.of(1e300).buffer)]],
      ["lists", 9, [...u32(9), ...u64(2), ...u32(0), ...u64(2), 1, 2, ...u32(8), ...u64(1), ...text("x")]],
    ];
    const { header } = await openBytes(ggufBytes({ version: 2, values }));
    expect(Object.fromEntries(header.values)).toEqual({
      u8: 255,
      i8: -1,
      u16: 65535,
      i16: -2,
      u64: 2 ** 63,
      i64: -5,
      f64: 1e300,
      lists: [[1, 2], ["x"]],
    });
  });

  test("another alignment, as the file says", async () => {
    const bytes = ggufBytes({ values: [["general.alignment", 4, u32(64)]], tensors: [{ name: "a", axes: [4], type: 0, offset: 0 }], dataBytes: 128 });
    expect((await openBytes(bytes)).header.tensors.get("a")!.start % 64).toBe(0);
  });
});

describe("what cannot be written is refused", () => {
  test.each<[string, Parameters<typeof tensorOf>, string]>([
    [
      "rows that are no whole number of blocks",
      ["w", "Q4_0", [4, 48], () => 0],
      'tensor "w" (4, 48) has rows that are no multiple of 32, so it cannot be Q4_0',
    ],
    ["too few numbers", ["w", "F32", [4], new Float32Array(3)], 'tensor "w" of shape (4) needs 4 numbers, only 3 came'],
    ["too many numbers", ["w", "F32", [4], new Float32Array(5)], "needs 4 numbers, more came"],
    ["a number too large for fp16", ["w", "F16", [2], Float32Array.of(1, 70000)], 'tensor "w" holds 70000, which F16 cannot hold; export as f32'],
    ["a number too large for blocks", ["w", "Q4_0", [32], () => 1e6], "holds 1000000, which Q4_0 cannot hold"],
    ["infinity in a block", ["w", "Q8_0", [32], () => Infinity], "holds Infinity, which Q8_0 cannot hold"],
    ["no number in a block", ["w", "Q8_0", [32], () => NaN], "holds NaN, which Q8_0 cannot hold"],
  ])("%s", async (_, tensor, message) => {
    await expect(written(new Map(), [tensorOf(...tensor)])).rejects.toThrow(message);
    await expect(written(new Map(), [tensorOf(...tensor)])).rejects.toThrow(VitrineError);
  });

  test("infinities and NaN stay what they are in floats", async () => {
    const file = await openBytes(await written(new Map(), [tensorOf("w", "F16", [3], Float32Array.of(Infinity, -Infinity, NaN))]));
    expect(await file.read("w")).toEqual(Float32Array.of(Infinity, -Infinity, NaN));
  });

  test("a name twice", async () => {
    await expect(written(new Map(), [everyType[0], everyType[0]])).rejects.toThrow('two tensors are called "t.F32"');
  });
});

const tensor = { name: "w", axes: [32, 2] as readonly (number | bigint)[], type: 0, offset: 0 };

describe("a file that is not right is refused with the reason", () => {
  test.each<[string, Claims, string]>([
    ["other content", { magic: "PK\u0003\u0004" }, 'does not begin with "GGUF"; not a GGUF file'],
    ["version 1", { version: 1 }, "GGUF version 1, supported are 2 and 3"],
    ["big-endian", { version: 0x03000000 }, "GGUF version 50331648"],
    ["more tensors than fit", { tensorCount: 1e9 }, "claims 1000000000 tensors, more than the file can hold"],
    ["more values than fit", { valueCount: 2n ** 40n }, "claims 1099511627776 metadata values"],
    ["a count beyond all sizes", { tensorCount: 2n ** 63n }, "says 9223372036854776000 where a size was expected"],
    ["a string longer than the file", { values: [["k", 8, u64(2 ** 40)]] }, "claims 1099511627776 bytes of text"],
    ["a list longer than the file", { values: [["k", 9, [...u32(4), ...u64(2 ** 50)]]] }, "values in a list, more than the file can hold"],
    ["lists without end", { values: [["k", 9, Array.from({ length: 5 }, () => [...u32(9), ...u64(1)]).flat()]] }, "lists nested deeper than 4"],
    ["a type there is not", { values: [["k", 13, [0]]] }, "a value of type 13, which GGUF does not know"],
    ["text that is not UTF-8", { values: [["k", 8, [...u64(2), 0xc3, 0x28]]] }, "is not UTF-8"],
    ["a key twice", { values: [["k", 0, [1]], ["k", 0, [1]]] }, 'metadata key "k" comes twice'], // prettier-ignore
    ["an alignment of nothing", { values: [["general.alignment", 4, u32(0)]] }, "general.alignment is 0"],
    ["an alignment in words", { values: [["general.alignment", 8, text("32")]] }, "general.alignment is 32"],
    ["five axes", { tensors: [{ ...tensor, axes: [1, 1, 1, 1, 1] }] }, 'tensor "w" has 5 axes'],
    ["a K-quant", { tensors: [{ ...tensor, type: 12 }] }, 'tensor "w" is Q4_K; supported are F32, F16, BF16, Q8_0 and Q4_0'],
    ["a type of tomorrow", { tensors: [{ ...tensor, type: 99 }] }, 'tensor "w" is of ggml type 99'],
    ["sizes that overflow", { tensors: [{ ...tensor, axes: [2n ** 50n, 2n ** 50n] }] }, "claims 1.2676506002282294e+30 elements"],
    ["half a block", { tensors: [{ ...tensor, type: 8, axes: [33, 2] }], dataBytes: 4096 }, "is Q8_0 with rows of 33, not a multiple of 32"],
    ["a scalar in a block", { tensors: [{ ...tensor, type: 2, axes: [] }], dataBytes: 4096 }, "is Q4_0 with rows of 1"],
    ["data that is not there", { tensors: [tensor], dataBytes: 255 }, "reaches byte 352 of the file, which has only 351; it is cut short"],
    ["an offset beyond all files", { tensors: [{ ...tensor, offset: 2 ** 53 - 1 }], dataBytes: 256 }, "it is cut short"],
    ["a tensor twice", { tensors: [tensor, { ...tensor, offset: 256 }], dataBytes: 512 }, 'tensor "w" comes twice'],
    ["overlapping tensors", { tensors: [tensor, { ...tensor, name: "v", offset: 224 }], dataBytes: 512 }, 'tensors "w" and "v" overlap'],
    ["a tensor inside another", { tensors: [tensor, { ...tensor, name: "v", axes: [1], offset: 32 }], dataBytes: 512 }, "overlap"],
  ])("%s", async (_, claims, message) => {
    const opening = openBytes(ggufBytes(claims));
    await expect(opening).rejects.toThrow(FormatError);
    await expect(opening).rejects.toThrow(message);
  });

  test("cut short at every length", async () => {
    const bytes = await written(everyValue, everyType);
    for (let length = 0; length < bytes.length; length++) {
      const opening = openBytes(bytes.subarray(0, length));
      // The last tensor's padding may be missing.
      if (length >= bytes.length - 20) await opening;
      else await expect(opening, `${length}`).rejects.toThrow(FormatError);
    }
  });

  test("any bytes changed: it opens and reads, or says what is wrong", async () => {
    const bytes = await written(everyValue, everyType);
    const change = fc.record({ at: fc.nat(bytes.length - 1), value: fc.constantFrom(0, 1, 2, 8, 9, 127, 128, 255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const damaged = bytes.slice();
        for (const { at, value } of changes) damaged[at] = value;
        try {
          const file = await openBytes(damaged);
          for (const { name, byteLength } of file.header.tensors.values()) {
            expect(byteLength).toBeLessThanOrEqual(damaged.length);
            await file.read(name);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("no hostile header is read beyond 64 MB, whatever it claims of a huge file", async () => {
    const head = ggufBytes({ values: [["k", 8, u64(2 ** 40)]] });
    const source = counted({
      name: "huge.gguf",
      size: 2 ** 42,
      read: async (start, end) => {
        const bytes = new Uint8Array(end - start);
        bytes.set(head.subarray(start, end));
        return bytes;
      },
      close: async () => {},
    });
    await expect(readGgufHeader(source)).rejects.toThrow("its header is longer than 67108864 bytes");
    expect(source.reads).toEqual([[0, 4 * 1024 * 1024]]);
  });
});
