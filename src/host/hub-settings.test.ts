import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hubCacheDir, hubSettings } from "./hub-settings.ts";

describe("hub settings", () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "vitrine-hub-"));
  });
  afterEach(() => rm(home, { recursive: true }));

  it("finds the cache as Python's huggingface_hub does", () => {
    expect(hubCacheDir({ HOME: home })).toBe(join(home, ".cache/huggingface/hub"));
    expect(hubCacheDir({ HOME: home, XDG_CACHE_HOME: "/x" })).toBe("/x/huggingface/hub");
    expect(hubCacheDir({ HOME: home, XDG_CACHE_HOME: "/x", HF_HOME: "/h" })).toBe("/h/hub");
    expect(hubCacheDir({ HOME: home, HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" })).toBe("/old");
    expect(hubCacheDir({ HOME: home, HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/c" })).toBe("/c");
    expect(hubCacheDir({ HOME: home, HF_HOME: "~/hf" })).toBe(join(home, "hf/hub"));
    expect(hubCacheDir({ HOME: home, DISK: "/big", HF_HUB_CACHE: "$DISK/a/${DISK}" })).toBe("/big/a//big");
  });

  it("takes the token from HF_TOKEN, else from the login's file", async () => {
    expect((await hubSettings({ HOME: home })).token).toBeUndefined();
    await mkdir(join(home, "hf"));
    await writeFile(join(home, "hf/token"), "hf_file\n");
    expect((await hubSettings({ HOME: home, HF_HOME: join(home, "hf") })).token).toBe("hf_file");
    expect((await hubSettings({ HOME: home, HF_HOME: join(home, "hf"), HF_TOKEN: " hf_env \n" })).token).toBe("hf_env");
    expect((await hubSettings({ HOME: home, HF_TOKEN_PATH: join(home, "hf/token") })).token).toBe("hf_file");
  });

  it("refuses a token no header can carry, without printing it", async () => {
    const refused = hubSettings({ HOME: home, HF_TOKEN: "hf_sec ret\u0001" });
    await expect(refused).rejects.toThrow("HF_TOKEN: the token has spaces");
    await expect(refused).rejects.not.toThrow("sec");
  });

  it("takes HF_ENDPOINT, without its last slash, and refuses what is no address", async () => {
    expect((await hubSettings({ HOME: home })).endpoint).toBe("https://huggingface.co");
    expect((await hubSettings({ HOME: home, HF_ENDPOINT: "http://127.0.0.1:8080/hub/" })).endpoint).toBe("http://127.0.0.1:8080/hub");
    for (const address of ["huggingface.co", "ftp://x", "http://", "not a url", "http://u:p@x"]) {
      await expect(hubSettings({ HOME: home, HF_ENDPOINT: address })).rejects.toThrow("is not the address of a hub");
    }
  });

  it("hears HF_HUB_OFFLINE", async () => {
    expect((await hubSettings({ HOME: home, HF_HUB_OFFLINE: "1" })).offline).toBe(true);
    expect((await hubSettings({ HOME: home, HF_HUB_OFFLINE: "0" })).offline).toBe(false);
  });
});
