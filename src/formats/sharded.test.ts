import { describe, expect, it } from "vitest";
import { FormatError } from "../base/errors.ts";
import { fileOf, memoryFolder } from "./counted.testing.ts";
import { openSharded } from "./sharded.ts";
import type { TensorSource } from "./tensor-source.ts";

const shard = (name: string, ...numbers: number[]): Uint8Array =>
  fileOf(
    { __metadata__: { format: "pt" }, [name]: { dtype: "F32", shape: [numbers.length], data_offsets: [0, numbers.length * 4] } },
    new Uint8Array(Float32Array.from(numbers).buffer),
  );

const files = { "one.safetensors": shard("a", 1, 2), "two.safetensors": shard("b", 3) };

type Folder = ReturnType<typeof memoryFolder>;

async function open(index: unknown, extra: Record<string, Uint8Array> = {}): Promise<{ folder: Folder; source: Promise<TensorSource> }> {
  const text = typeof index === "string" ? index : JSON.stringify(index);
  const folder = memoryFolder({ ...files, ...extra, "model.safetensors.index.json": text });
  const source = await folder.open("model.safetensors.index.json");
  if (!source) throw new Error("the index is there");
  return { folder, source: openSharded(folder, source) };
}

describe("openSharded", () => {
  it("is one source over all shards", async () => {
    const { folder, source } = await open({ metadata: { total_size: 12 }, weight_map: { a: "one.safetensors", b: "two.safetensors" } });
    const weights = await source;
    expect([...weights.tensors.keys()]).toEqual(["a", "b"]);
    expect(weights.metadata).toEqual({ format: "pt" });
    expect(await weights.read("a")).toEqual(Float32Array.of(1, 2));
    expect(await weights.read("b", 0, 1)).toEqual(Float32Array.of(3));
    await expect(weights.read("c")).rejects.toThrow('model: no tensor "c" among its 2');
    expect(folder.opened()).toBe(2);
    await weights.close();
    expect(folder.opened()).toBe(0);
  });

  it("knows only the tensors that the index names", async () => {
    const { source } = await open({ weight_map: { a: "one.safetensors" } });
    expect([...(await source).tensors.keys()]).toEqual(["a"]);
  });

  it.each<[string, unknown, string]>([
    [
      "a missing shard",
      { weight_map: { a: "one.safetensors", b: "three.safetensors" } },
      'shard "three.safetensors", one of 2, is not in model; fetch it',
    ],
    ["a tensor absent in its shard", { weight_map: { a: "one.safetensors", c: "two.safetensors" } }, 'tensor "c" is not in two.safetensors'],
    ["a path that climbs out", { weight_map: { a: "../one.safetensors" } }, '"../one.safetensors", expected a file of the same folder; refused'],
    ["an absolute path", { weight_map: { a: "/etc/passwd" } }, "refused"],
    ["a Windows path", { weight_map: { a: "C:\\one.safetensors" } }, "refused"],
    ["a path into a subfolder", { weight_map: { a: "sub/one.safetensors" } }, "refused"],
    ["no weight_map", { metadata: {} }, "weight_map is nothing"],
    ["a weight_map that is no object", { weight_map: ["one.safetensors"] }, "weight_map is an array of 1"],
    ["a file name that is no text", { weight_map: { a: 1 } }, 'weight_map of "a" is 1'],
    ["a tensor named twice", '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}', "comes twice"],
    ["an index that is no object", "[]", "holds an array of 0"],
    ["a broken index", '{"weight_map"', "cut short"],
    ["a broken shard", { weight_map: { a: "one.safetensors", x: "bad.safetensors" } }, "model/bad.safetensors: 3 bytes, too short"],
  ])("refuses %s, and closes everything it opened", async (_, index, message) => {
    const { folder, source } = await open(index, { "bad.safetensors": new Uint8Array(3) });
    await expect(source).rejects.toThrow(FormatError);
    await expect(source).rejects.toThrow(message);
    expect(folder.opened()).toBe(0);
  });
});
