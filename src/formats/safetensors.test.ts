import { existsSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { counted, fileOf } from "./counted.testing.ts";
import { openSafetensors } from "./safetensors.ts";

const open = (file: Uint8Array, name = "x.safetensors"): ReturnType<typeof openSafetensors> => openSafetensors(bytesOf(name, file));

/** The message of the FormatError that opening gives; anything else fails the test. */
async function refusal(file: Uint8Array): Promise<string> {
  const source = counted(bytesOf("x.safetensors", file));
  try {
    await openSafetensors(source);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message.startsWith("x.safetensors")).toBe(true);
    expect(source.closed()).toBe(1);
    return (error as Error).message;
  }
  throw new Error("was accepted");
}

const two = { a: { dtype: "F32", shape: [2], data_offsets: [0, 8] }, b: { dtype: "F16", shape: [2, 1], data_offsets: [8, 12] } };

describe("openSafetensors", () => {
  it("lists tensors and metadata", async () => {
    const source = await open(fileOf({ __metadata__: { format: "pt" }, ...two }, 12));
    expect(source.metadata).toEqual({ format: "pt" });
    expect([...source.tensors.values()].map(({ name, dtype, shape, byteLength }) => ({ name, dtype, shape, byteLength }))).toEqual([
      { name: "a", dtype: "F32", shape: [2], byteLength: 8 },
      { name: "b", dtype: "F16", shape: [2, 1], byteLength: 4 },
    ]);
  });

  it("accepts what the format allows: no tensors, scalars, empty tensors, padding, any order, strange names", async () => {
    expect((await open(fileOf("{}", 0))).tensors.size).toBe(0);
    expect((await open(fileOf("{}          ", 0))).tensors.size).toBe(0);
    const odd = await open(
      fileOf(
        `{"__proto__":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},
          "empty":{"dtype":"F32","shape":[3,0],"data_offsets":[4,4]},"last":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}} `,
        new Uint8Array(Float32Array.of(1.5, 2.5).buffer),
      ),
    );
    expect([...odd.tensors.keys()]).toEqual(["", "empty", "__proto__", "last"]);
    expect(await odd.read("__proto__")).toEqual(Float32Array.of(2.5));
    expect(await odd.read("")).toEqual(Float32Array.of(1.5));
    expect(await odd.read("empty")).toEqual(new Float32Array(0));
  });

  it("reads the header alone, and then just the range asked for", async () => {
    const file = fileOf(two, new Uint8Array(12));
    const data = file.length - 12;
    const source = counted(bytesOf("x", file));
    const weights = await openSafetensors(source);
    expect(Math.max(...source.reads.map(([, end]) => end))).toBe(data);
    expect(source.reads.reduce((sum, [start, end]) => sum + end - start, 0)).toBe(data);
    source.reads.length = 0;
    await weights.read("b");
    await weights.read("a", 1, 2);
    await weights.read("a", 1, 1);
    expect(source.reads).toEqual([
      [data + 8, data + 12],
      [data + 4, data + 8],
    ]);
    await weights.close();
    expect(source.closed()).toBe(1);
  });

  it("reads large tensors in blocks that join without a seam", async () => {
    const count = 5_000_001; // 20 MB: three blocks
    const values = Float32Array.from({ length: count }, (_, i) => i);
    const source = counted(
      bytesOf("x", fileOf({ w: { dtype: "F32", shape: [count], data_offsets: [0, count * 4] } }, new Uint8Array(values.buffer))),
    );
    const weights = await openSafetensors(source);
    const read = await weights.read("w");
    expect(Buffer.from(read.buffer).equals(Buffer.from(values.buffer))).toBe(true);
    expect(Math.max(...source.reads.map(([start, end]) => end - start))).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect((await weights.read("w", 4_000_000, 4_000_002))[1]).toBe(4_000_001);
  });

  it("converts every type of number", async () => {
    const cases: [string, ArrayBufferView, number[]][] = [
      ["F64", Float64Array.of(1.1, -2), [Math.fround(1.1), -2]],
      ["F32", Float32Array.of(0.5, -2), [0.5, -2]],
      ["F16", Uint16Array.of(0x3800, 0xc000), [0.5, -2]],
      ["BF16", Uint16Array.of(0x3f00, 0xc000), [0.5, -2]],
      ["I64", BigInt64Array.of(-5n, 2n ** 40n), [-5, 2 ** 40]],
      ["U64", BigUint64Array.of(2n ** 63n, 1n), [2 ** 63, 1]],
      ["I32", Int32Array.of(-7, 3), [-7, 3]],
      ["U32", Uint32Array.of(2 ** 31, 3), [2 ** 31, 3]],
      ["I16", Int16Array.of(-7, 3), [-7, 3]],
      ["U16", Uint16Array.of(65535, 3), [65535, 3]],
      ["I8", Int8Array.of(-7, 3), [-7, 3]],
      ["U8", Uint8Array.of(255, 3), [255, 3]],
      ["BOOL", Uint8Array.of(0, 1), [0, 1]],
    ];
    for (const [dtype, numbers, expected] of cases) {
      const data = new Uint8Array(numbers.buffer);
      const source = await open(fileOf({ x: { dtype, shape: [2], data_offsets: [0, data.length] } }, data));
      expect([dtype, ...(await source.read("x"))]).toEqual([dtype, ...expected]);
      expect([...(await source.read("x", 1))]).toEqual(expected.slice(1));
    }
  });

  it("names the nearest tensor for a name that is not there, and refuses ranges outside", async () => {
    const source = await open(fileOf({ "wte.weight": { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, 4));
    await expect(source.read("wte.wieght")).rejects.toThrow('x.safetensors: no tensor "wte.wieght" among its 1; did you mean "wte.weight"?');
    for (const [start, end] of [
      [0, 2],
      [-1, 1],
      [1, 0],
      [0.5, 1],
      [0, Number.NaN],
    ])
      await expect(source.read("wte.weight", start, end)).rejects.toThrow(/^internal/);
  });
});

/** A file of one tensor, its entry bent as told. */
function one(entry: object, data = 8): Uint8Array {
  return fileOf({ w: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...entry } }, data);
}

/** Opens and, where that works, reads everything: the only error allowed is a FormatError, and no array may outgrow the file. */
async function survives(file: Uint8Array): Promise<void> {
  try {
    const source = await open(file);
    for (const tensor of source.tensors.values()) {
      expect(tensor.byteLength).toBeLessThanOrEqual(file.length);
      await source.read(tensor.name);
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.message.length).toBeLessThan(600);
  }
}

describe("openSafetensors refuses", () => {
  it.each<[string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(0), "0 bytes, too short"],
    ["seven bytes", new Uint8Array(7), "7 bytes, too short"],
    ["a header of nothing", new Uint8Array(8), "claims a header of 0 bytes"],
    ["a header longer than the file", fileOf("{}", 0).with(0, 200), "claims a header of 200 bytes and the file ends after 10; it is cut short"],
    ["a huge header", Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 123, 125), "the format allows 100000000"],
    ["a header of 100,000,001 bytes", Uint8Array.of(0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, 123), "the format allows 100000000"],
    ["a header that is no object", fileOf("[]", 0), 'does not begin with "{"'],
    ["leading space", fileOf(" {}", 0), 'does not begin with "{"'],
    ["broken JSON", fileOf('{"a":', 0), "not valid JSON at line 1, column 6"],
    ["bytes that are not UTF-8", fileOf("{}", 0).with(9, 0xff), "not UTF-8"],
    [
      "a name twice",
      fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
      'the key "a" comes twice',
    ],
    ["an entry that is no object", fileOf({ w: 3 }, 0), 'tensor "w": 3, expected {'],
    ["no dtype", one({ dtype: undefined }), "dtype is nothing"],
    ["a dtype that is no text", one({ dtype: 32 }), "dtype is 32"],
    ["a mistyped dtype", one({ dtype: "f32" }), 'unknown dtype "f32"; did the writer mean "F32"? Fetch it again, or save it as F32, F16 or BF16'],
    ["an inherited dtype", one({ dtype: "toString" }), "; fetch it again, or save it as F32, F16 or BF16"],
    ["a dtype of the future", one({ dtype: "F8_E4M3" }), 'dtype "F8_E4M3" is not supported'],
    ["no shape", one({ shape: undefined }), "shape missing"],
    ["a negative size", one({ shape: [-2] }), "shape [-2]"],
    ["a fractional size", one({ shape: [0.5, 4] }), "shape [0.5,4]"],
    ["a size of text", one({ shape: ["2"] }), 'shape ["2"]'],
    ["a size past 2^53", fileOf('{"w":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,8]}}', 8), "shape [9007199254740992]"],
    ["an infinite size", fileOf('{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,8]}}', 8), "shape [null]"],
    ["a product that overflows", one({ shape: [2 ** 30, 2 ** 30] }), "more elements than can be counted"],
    ["a product that would wrap to 2 in 64 bits", one({ shape: [2 ** 32, 2 ** 32, 2] }), "more elements than can be counted"],
    ["bytes that overflow", one({ shape: [2 ** 53 - 1] }), "takes 36028797018963964 bytes"],
    ["no offsets", one({ data_offsets: undefined }), "data_offsets missing"],
    ["three offsets", one({ data_offsets: [0, 4, 8] }), "data_offsets [0,4,8]"],
    ["negative offsets", one({ data_offsets: [-8, 0] }), "data_offsets [-8,0]"],
    ["fractional offsets", one({ data_offsets: [0.5, 8.5] }), "data_offsets [0.5,8.5]"],
    ["offsets the wrong way round", one({ data_offsets: [8, 0] }), "end before they begin"],
    [
      "offsets that disagree with the shape",
      one({ data_offsets: [0, 4] }, 4),
      "takes 8 bytes, data_offsets [0,4] span 4; the file is damaged: fetch it again",
    ],
    ["a tensor past the end", one({}, 7), 'tensor "w": ends at byte'],
    ["bytes after the last tensor", one({}, 9), '1 bytes after tensor "w" belong to no tensor'],
    ["bytes after no tensors", fileOf({}, 3), "3 bytes after the header belong to no tensor"],
    ["a hole at the start", one({ data_offsets: [4, 12] }, 12), '4 bytes between the header and tensor "w"'],
    ["a hole", fileOf({ ...two, b: { ...two.b, data_offsets: [10, 14] } }, 14), '2 bytes between tensor "a" and tensor "b"'],
    ["an overlap", fileOf({ ...two, b: { ...two.b, data_offsets: [6, 10] } }, 10), 'tensor "b" overlaps tensor "a"'],
    ["the same bytes twice", fileOf({ a: two.a, b: two.a }, 8), "overlaps"],
    ["metadata that is no object", fileOf({ __metadata__: "pt" }, 0), '__metadata__ is the text "pt"'],
    ["metadata that is no text", fileOf({ __metadata__: { format: 1 } }, 0), '__metadata__ "format" is 1'],
    [
      "a Git LFS pointer",
      Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 548105171\n"),
      "a Git LFS pointer, not the weights",
    ],
    ["a web page", Buffer.from("<!DOCTYPE html><html><title>404</title></html>"), "a web page, not weights"],
    ["a GGUF file", Buffer.from("GGUF\u0003\0\0\0 and so on"), "a GGUF file under another name"],
    ["a PyTorch checkpoint", Buffer.from("PK\u0003\u0004 archive/data.pkl"), "convert it with save_pretrained"],
  ])("%s", async (_, file, message) => {
    expect(await refusal(file)).toContain(message);
  });

  it("a file truncated at any length", async () => {
    const file = fileOf({ __metadata__: { format: "pt" }, ...two }, 12);
    for (let length = 0; length < file.length; length++) await refusal(file.slice(0, length));
    await open(file);
  });

  it("a header lying about its length, whichever way", async () => {
    const file = fileOf(two, 12);
    const honest = file.length - 20;
    for (let length = 0; length <= file.length + 2; length++) {
      if (length === honest) continue;
      const lying = file.slice();
      new DataView(lying.buffer).setBigUint64(0, BigInt(length), true);
      await refusal(lying);
    }
  });

  it("or survives any flipped bytes", async () => {
    const file = fileOf({ __metadata__: { format: "pt" }, ...two, c: { dtype: "I64", shape: [1, 3], data_offsets: [12, 36] } }, 36);
    const flips = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(flips, async (changes) => {
        const broken = file.slice();
        for (const [at, byte] of changes) broken[at] = byte;
        await survives(broken);
      }),
      { numRuns: 5000 },
    );
  });

  it("or survives any bytes, and any JSON for a header", async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), survives), { numRuns: 1000 });
    const size = fc.oneof(fc.nat(16), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 62, 1e308), fc.jsonValue());
    const entry = fc.record(
      {
        dtype: fc.oneof(fc.constantFrom("F32", "F16", "U8"), fc.jsonValue()),
        shape: fc.oneof(fc.array(size, { maxLength: 3 }), fc.jsonValue()),
        data_offsets: fc.oneof(fc.tuple(size, size), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(fc.string(), fc.oneof({ weight: 5, arbitrary: entry }, fc.jsonValue()), { maxKeys: 4 });
    await fc.assert(
      fc.asyncProperty(header, fc.nat(32), (header, data) => survives(fileOf(header, data))),
      { numRuns: 3000 },
    );
  });

  it("lies that differ from the truth in one number", async () => {
    const sizes = [-1, 0, 1, 2, 3, 4, 8, 12, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 64];
    for (const name of ["a", "b"] as const) {
      for (const wrong of sizes) {
        for (const [field, at] of [
          ["shape", 0],
          ["data_offsets", 0],
          ["data_offsets", 1],
        ] as const) {
          if (two[name][field][at] === wrong) continue;
          await refusal(fileOf({ ...two, [name]: { ...two[name], [field]: two[name][field].with(at, wrong) } }, 12));
        }
      }
    }
  });

  it("a file that shrinks while it is read", async () => {
    const file = fileOf(two, 12);
    const source = bytesOf("x", file);
    const shrinking = {
      ...source,
      read: async (start: number, end: number) => (start >= file.length - 12 ? new Uint8Array(1) : source.read(start, end)),
    };
    await expect((await openSafetensors(shrinking)).read("a")).rejects.toThrow(FormatError);
  });
});

describe.skipIf(!existsSync("../shared/data"))("real files (skipped where ../shared/data is absent)", () => {
  it.each([
    ["stories260K/model", "model.embed_tokens.weight", [512, 64]],
    ["golden/gpt2-tiny/model", "transformer.wpe.weight", [64, 64]],
    ["golden/gpt2-tiny/vectors", "act/hook_embed", [2, 24, 64]],
    ["golden/nano-sort/model", "", []],
    ["golden/nano-sort/partials", "attSm", [3, 3, 11, 11]],
  ])("%s.safetensors opens, and its numbers are those of the bytes", async (path, tensor, shape) => {
    const file = readFileSync(`../shared/data/${path}.safetensors`);
    const source = await open(file);
    let bytes = 0;
    for (const { name, byteLength } of source.tensors.values()) {
      bytes += byteLength;
      for (const value of await source.read(name)) if (Number.isNaN(value)) throw new Error(`${name} holds NaN`);
    }
    const header = Number(file.readBigUInt64LE(0));
    expect(bytes).toBe(file.length - 8 - header);
    if (tensor === "") return;
    expect(source.tensors.get(tensor)?.shape).toEqual(shape);
    const [begin] = JSON.parse(file.toString("utf8", 8, 8 + header))[tensor].data_offsets;
    expect((await source.read(tensor))[3]).toBe(file.readFloatLE(8 + header + begin + 12));
  });

  it("softmaxed attention sums to 1, so rows are where they should be", async () => {
    const source = await open(readFileSync("../shared/data/golden/nano-sort/partials.safetensors"));
    const rows = await source.read("attSm");
    for (let row = 0; row < rows.length; row += 11) expect(rows.subarray(row, row + 11).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  });
});
