import { describe, expect, test } from "vitest";
import { folderOf } from "./browser.ts";

describe("a model's files in a page", () => {
  test("an address names the folder, and its last part the model", () => {
    expect(folderOf("https://example.org/models/my%20model/")).toMatchObject({
      name: "my model",
      folder: { name: "https://example.org/models/my%20model/" },
    });
    expect(folderOf(new URL("https://example.org/"))).toMatchObject({ name: "example.org" });
    expect(() => folderOf("no address")).toThrow(/"no address" is not an address/);
  });

  test("chosen files, or blobs by name", async () => {
    const { folder, name } = folderOf(new Map([["config.json", new Blob(["{}"])]]));
    expect(name).toBe("chosen files");
    expect(await folder.list()).toEqual(["config.json"]);
    expect(await folderOf([new File(["{}"], "vocab.json")]).folder.list()).toEqual(["vocab.json"]);
  });
});
