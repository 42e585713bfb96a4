import { describe, expect, it } from "vitest";
import { bytesOf, decodeUtf8, isFileName, readText } from "./bytes.ts";
import { FormatError } from "./errors.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("bytesOf", () => {
  it("gives the bytes of a range", async () => {
    const source = bytesOf("x", Uint8Array.of(1, 2, 3, 4));
    expect(source.size).toBe(4);
    expect(await source.read(1, 3)).toEqual(Uint8Array.of(2, 3));
    expect(await source.read(4, 4)).toEqual(new Uint8Array(0));
  });

  it.each([
    [-1, 2],
    [3, 2],
    [0, 5],
    [Number.NaN, 2],
    [0, 1.5],
  ])("refuses bytes %d to %d of 4", async (start, end) => {
    await expect(bytesOf("x", new Uint8Array(4)).read(start, end)).rejects.toThrow(/^internal: x: bytes/);
  });
});

describe("readText", () => {
  it("reads UTF-8, without its byte order mark", async () => {
    expect(await readText(bytesOf("x", utf8("\uFEFFgrüß 👋")), 100)).toBe("grüß 👋");
    expect(decodeUtf8("x", utf8("plain"))).toBe("plain");
  });

  it("refuses other encodings and naming the file", async () => {
    await expect(readText(bytesOf("merges.txt", Uint8Array.of(0x66, 0xfc, 0x72)), 100)).rejects.toThrow(FormatError);
    await expect(readText(bytesOf("merges.txt", Uint8Array.of(0x66, 0xfc, 0x72)), 100)).rejects.toThrow(/^merges\.txt: not UTF-8/);
  });

  it("does not even read what is too large", async () => {
    const huge = { ...bytesOf("x", new Uint8Array(0)), size: 1e12, read: () => Promise.reject(new Error("was read")) };
    await expect(readText(huge, 100)).rejects.toThrow(FormatError);
  });

  it("decodes shared memory", () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(2));
    bytes.set(utf8("ok"));
    expect(decodeUtf8("x", bytes)).toBe("ok");
  });
});

describe("isFileName", () => {
  it("lets names of files pass", () => {
    for (const name of ["model.safetensors", "model-00001-of-00002.safetensors", ".hidden", "a b", "größe.json", "...", "CON"])
      expect(isFileName(name)).toBe(true);
  });

  it("stops everything that leads elsewhere", () => {
    for (const name of ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "C:x", "x\0", "x\n", "x".repeat(256)])
      expect(isFileName(name)).toBe(false);
  });
});
