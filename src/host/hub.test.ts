import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { findCachedModel, listModels, pull, type PullOptions, type PullProgress } from "./hub.ts";
import { COMMIT, etagOf, type FakeHub, gitHash, noise, REPO, scratchFolder, sendFile, sha256, startHub, tinyModel } from "./hub.testing.ts";

let cacheDir: string;
let hub: FakeHub;
const files = tinyModel();
const weights = files.get("model.safetensors")!;
const home = `models--acme--tiny`;

beforeEach(async () => {
  cacheDir = await scratchFolder();
  hub = await startHub(files);
});
afterEach(async () => {
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});

const options = (more: PullOptions = {}): PullOptions => ({
  endpoint: hub.url,
  cacheDir,
  env: { HOME: "/nonexistent" },
  pause: 0.001,
  silence: 5,
  ...more,
});
const fail = async (id: string, more: PullOptions = {}): Promise<VitrineError> => {
  const error: unknown = await pull(id, options(more)).then(
    () => new Error("the pull did not fail"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VitrineError);
  return error as VitrineError;
};
const etag = (name: string): string => etagOf(name, files.get(name)!);
/** Every file below the cache: "path" or "path -> target". */
async function tree(folder: string = cacheDir, prefix = ""): Promise<string[]> {
  const lines: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) lines.push(...(await tree(path, `${prefix}${entry.name}/`)));
    else lines.push(`${prefix}${entry.name}${entry.isSymbolicLink() ? ` -> ${await readlink(path)}` : ""}`);
  }
  return lines.sort();
}

describe("a pull", () => {
  it("leaves exactly the documented layout, with what Vitrine needs and nothing else", async () => {
    const pulled = await pull(REPO, options());
    expect(pulled.folder).toBe(join(cacheDir, home, "snapshots", COMMIT));
    expect(pulled.commit).toBe(COMMIT);
    const names = ["config.json", "tokenizer.json", "model.safetensors"];
    expect(pulled.files.map((file) => [file.path, file.checked, file.from])).toEqual([
      ["config.json", "git", "network"],
      ["tokenizer.json", "git", "network"],
      ["model.safetensors", "sha256", "network"],
    ]);
    expect(pulled.bytes).toBe(names.reduce((sum, name) => sum + files.get(name)!.length, 0));
    expect(await tree()).toEqual(
      [
        ...names.map((name) => `${home}/blobs/${etag(name)}`),
        `${home}/refs/main`,
        ...names.map((name) => `${home}/snapshots/${COMMIT}/${name} -> ../../blobs/${etag(name)}`),
      ].sort(),
    );
    expect(await readFile(join(cacheDir, home, "refs/main"), "utf8")).toBe(COMMIT);
    for (const name of names) expect(sha256(await readFile(join(pulled.folder, name)))).toBe(sha256(files.get(name)!));
    expect(((await lstat(join(cacheDir, home, "blobs", etag("config.json")))).mode & 0o444).toString(8)).not.toBe("0");
  });

  it("asks only for the listing the second time", async () => {
    await pull(REPO, options());
    hub.log.length = 0;
    const again = await pull(REPO, options());
    expect(again.files.every((file) => file.from === "cache")).toBe(true);
    expect(hub.log.map((asked) => asked.path)).toEqual([`/api/models/${REPO}/revision/main`]);
  });

  it("keeps a tag, a pull request and a commit apart", async () => {
    await pull(`${REPO}@refs/pr/1`, options());
    expect(await readFile(join(cacheDir, home, "refs/refs/pr/1"), "utf8")).toBe(COMMIT);
    expect(hub.log[0].path).toBe(`/api/models/${REPO}/revision/refs/pr/1`);
    await pull(`${REPO}@${COMMIT}`, options());
    expect((await tree()).filter((line) => line.includes("/refs/"))).toEqual([`${home}/refs/refs/pr/1`]);
    expect(await findCachedModel(REPO, { cacheDir })).toBeUndefined();
    expect(await findCachedModel(`${REPO}@refs/pr/1`, { cacheDir })).toBe(join(cacheDir, home, "snapshots", COMMIT));
    expect(await findCachedModel(`${REPO}@${COMMIT.slice(0, 7)}`, { cacheDir })).toBe(join(cacheDir, home, "snapshots", COMMIT));
  });

  it("fetches the shards that the index names, and no others", async () => {
    await hub.close();
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const sharded = tinyModel();
    sharded.delete("model.safetensors");
    sharded.set("model.safetensors.index.json", Buffer.from(JSON.stringify({ weight_map: { a: shards[0], b: shards[1], c: shards[0] } })));
    shards.forEach((shard, i) => sharded.set(shard, noise(5000, i + 7)));
    sharded.set("stray.safetensors", noise(100, 99));
    hub = await startHub(sharded);
    const events: PullProgress[] = [];
    const pulled = await pull(REPO, options({ onProgress: (event) => events.push(event) }));
    expect(pulled.files.map((file) => file.path)).toEqual(["config.json", "tokenizer.json", "model.safetensors.index.json", ...shards]);
    expect(events[0].total).toBe(pulled.bytes);
    expect(await findCachedModel(REPO, { cacheDir })).toBe(pulled.folder);
    await rm(join(pulled.folder, shards[1]));
    expect(await findCachedModel(REPO, { cacheDir })).toBeUndefined();
    expect((await listModels({ cacheDir }))[0].why).toContain(`${shards[1]} is missing`);
  });

  it("takes exactly the files asked for, subfolders included", async () => {
    const pulled = await pull(REPO, options({ files: ["onnx/model.onnx"] }));
    const pointer = join(pulled.folder, "onnx/model.onnx");
    expect(await readlink(pointer)).toBe(`../../../blobs/${etag("onnx/model.onnx")}`);
    expect(await readFile(pointer)).toEqual(files.get("onnx/model.onnx"));
    expect((await fail(REPO, { files: ["nope.json"] })).message).toContain('has no file "nope.json"; it holds');
  });

  it("reports progress that only grows and ends whole", async () => {
    const events: PullProgress[] = [];
    const { bytes } = await pull(REPO, options({ onProgress: (event) => events.push(event) }));
    for (let i = 1; i < events.length; i++) {
      expect(events[i].received).toBeGreaterThanOrEqual(events[i - 1].received);
      expect(events[i].filesDone).toBeGreaterThanOrEqual(events[i - 1].filesDone);
    }
    expect(events.every((event) => event.received <= event.total && event.fileReceived <= event.fileTotal)).toBe(true);
    expect(events.at(-1)).toMatchObject({ file: "model.safetensors", received: bytes, total: bytes, filesDone: 3, filesTotal: 3, secondsLeft: 0 });
    expect(events.some((event) => event.bytesPerSecond > 0)).toBe(true);
  });

  it("asks file by file where the listing gives no sizes and hashes", async () => {
    hub.listing = (truth) => ({ ...truth, siblings: truth.siblings.map(({ rfilename }) => ({ rfilename })) });
    const pulled = await pull(REPO, options());
    expect(hub.log.filter((asked) => asked.method === "HEAD").length).toBe(3);
    expect(pulled.files.map((file) => file.checked)).toEqual(["git", "git", "sha256"]);
  });

  it("checks at least the size where an ETag is no hash", async () => {
    hub.listing = (truth) => ({
      ...truth,
      siblings: truth.siblings.map((sibling) => ({ ...sibling, lfs: undefined, blobId: `W-${String(sibling.size)}` })),
    });
    const pulled = await pull(REPO, options());
    expect(pulled.files.map((file) => file.checked)).toEqual(["size", "size", "size"]);
  });

  it("puts a file in the snapshot where another model's pull left the blob of a broken cache", async () => {
    const blob = join(cacheDir, home, "blobs", sha256(weights));
    await mkdir(join(cacheDir, home, "blobs"), { recursive: true });
    await writeFile(blob, weights.subarray(0, 1000)); // what @huggingface/hub 2.17.5 leaves after a short answer
    const { folder } = await pull(REPO, options());
    expect(sha256(await readFile(join(folder, "model.safetensors")))).toBe(sha256(weights));
  });
});

describe("the token", () => {
  it("opens a private model and is named when it is missing or wrong", async () => {
    hub.takeOver = (request, response) => {
      if (request.headers.authorization === "Bearer hf_right") return false;
      response.writeHead(401, request.headers.authorization ? {} : { "x-error-code": "RepoNotFound" }).end("no");
      return true;
    };
    expect((await fail(REPO)).message).toMatch(/has no model "acme\/tiny", or it is private.*set HF_TOKEN/);
    const wrong = await fail(REPO, { token: "hf_wrong" });
    expect(wrong.message).toMatch(/wants to know who asks.*the token that was sent does not open it/);
    expect(wrong.message).not.toContain("hf_wrong");
    expect((await pull(REPO, options({ env: { HOME: "/nonexistent", HF_TOKEN: "hf_right" } }))).files.length).toBe(3);
  });

  it("is asked for, with the page to go to, when a model is gated", async () => {
    hub.takeOver = (_request, response, path) => path.includes("/resolve/") && (response.writeHead(403, { "x-error-code": "GatedRepo" }).end(), true);
    const error = await fail(REPO);
    expect(error.message).toContain(`is gated (HTTP 403): ask for access at ${hub.url}/${REPO}, and set HF_TOKEN`);
    expect(error.blame).toBe("request");
  });

  it("goes to the hub and never to the storage it redirects to", async () => {
    const storage = await startHub(new Map());
    storage.takeOver = (request, response) => (sendFile(request, response, "model.safetensors", weights), true);
    hub.takeOver = (_request, response, path) => {
      if (path.endsWith("/model.safetensors")) {
        response
          .writeHead(302, { location: `${storage.url}/signed?x=1`, "x-linked-size": weights.length, "x-linked-etag": `"${sha256(weights)}"` })
          .end();
        return true;
      }
      // A redirect inside the hub keeps it.
      if (path.endsWith("/config.json") && !path.startsWith("/moved"))
        return (response.writeHead(307, { location: "/moved/config.json" }).end(), true);
      if (path === "/moved/config.json") return (response.writeHead(200).end(files.get("config.json")), true);
      return false;
    };
    hub.listing = (truth) => ({
      ...truth,
      siblings: truth.siblings.map((sibling) => ({
        ...sibling,
        size: sibling.rfilename === "model.safetensors" ? undefined : sibling.size,
        lfs: undefined,
      })),
    });
    const { folder, files: pulled } = await pull(REPO, options({ token: "hf_secret" }));
    expect(sha256(await readFile(join(folder, "model.safetensors")))).toBe(sha256(weights));
    expect(pulled.at(-1)!.checked).toBe("sha256"); // from X-Linked-Etag
    expect(storage.log.map((asked) => [asked.method, asked.authorization])).toEqual([["GET", undefined]]);
    expect(hub.log.length).toBeGreaterThan(4);
    expect(hub.log.every((asked) => asked.authorization === "Bearer hf_secret")).toBe(true);
    expect(hub.log.some((asked) => asked.path === "/moved/config.json")).toBe(true);
    await storage.close();
  });

  it("asks the hub for a fresh address when the storage's signature ran out", async () => {
    const storage = await startHub(new Map());
    storage.takeOver = (request, response, path) => {
      if (path === "/old") response.writeHead(403).end();
      else sendFile(request, response, "model.safetensors", weights);
      return true;
    };
    hub.takeOver = (_request, response, path, nth) =>
      path.endsWith(".safetensors") && (response.writeHead(302, { location: `${storage.url}/${nth === 1 ? "old" : "new"}` }).end(), true);
    expect((await pull(REPO, options())).files.length).toBe(3);
    await storage.close();
  });
});

describe("a hub that answers wrongly", () => {
  it("has no such model, revision or file", async () => {
    const none = await fail("acme/other");
    expect(none.message).toContain(`${hub.url} has no model "acme/other", or it is private (HTTP 404)`);
    expect(none.blame).toBe("request");
    hub.takeOver = (_request, response) => (response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end(), true);
    expect((await fail(`${REPO}@v9`)).message).toContain(`${REPO} has no revision "v9"`);
  });

  it.each([
    ["{ not json", "not valid JSON"],
    ["<!doctype html><html>", "answers with a web page"],
    ["[]", "expected a JSON object"],
    ['{"siblings": []}', '"sha" is nothing'],
    ['{"sha": "../../x", "siblings": []}', '"sha" is'],
    [`{"sha": "${COMMIT}", "siblings": 3}`, '"siblings" is 3'],
    [`{"sha": "${COMMIT}", "siblings": [7]}`, 'without "rfilename"'],
    [`{"sha": "${COMMIT}", "siblings": []}`, "no config.json"],
    [`{"sha": "${COMMIT}", "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.gguf"}]}`, "no model.safetensors"],
  ])("lists %s", async (text, problem) => {
    hub.takeOver = (_request, response) => (response.writeHead(200).end(text), true);
    expect((await fail(REPO)).message).toContain(problem);
    expect(await tree()).toEqual([]);
  });

  it.each(["../../x", "/etc/cron.d/x", "a\\..\\..\\x", "C:\\x", "a/../../x"])("lists the escaping name %j", async (rfilename) => {
    hub.listing = (truth) => ({ ...truth, siblings: [...truth.siblings, { rfilename, size: 1, blobId: "a".repeat(40) }] });
    expect((await fail(REPO)).message).toContain("outside its folder");
    expect(await tree()).toEqual([]);
  });

  it("names an escaping shard in the index", async () => {
    await hub.close();
    const evil = tinyModel();
    evil.delete("model.safetensors");
    evil.set("model.safetensors.index.json", Buffer.from(JSON.stringify({ weight_map: { a: "../../../evil" } })));
    hub = await startHub(evil);
    expect((await fail(REPO)).message).toContain("outside its folder");
  });

  it("gives an ETag that is no file name", async () => {
    hub.listing = (truth) => ({ ...truth, siblings: truth.siblings.map(({ rfilename }) => ({ rfilename })) });
    hub.takeOver = (request, response) =>
      request.method === "HEAD" && (response.writeHead(200, { etag: '"../../x"', "content-length": 5 }).end(), true);
    expect((await fail(REPO)).message).toContain("expected a number and a hash");
  });

  it("redirects in circles, or nowhere", async () => {
    hub.takeOver = (_request, response) => (response.writeHead(302, { location: "/again" }).end(), true);
    expect((await fail(REPO)).message).toContain("more than 8 redirects");
    hub.takeOver = (_request, response) => (response.writeHead(302, { location: "file:///etc/passwd" }).end(), true);
    expect((await fail(REPO)).message).toContain('redirects to "file:///etc/passwd"');
  });

  it("is not there: says how to name another one, and that the cached copy can be used", async () => {
    await hub.close();
    const away = await fail(REPO);
    expect(away.message).toMatch(/cannot reach http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\).*HF_ENDPOINT.*HTTPS_PROXY/);
    expect(away.blame).toBe("work");
    expect(away.message).not.toContain("copy");
    hub = await startHub(files);
    await pull(REPO, options());
    await hub.close();
    expect((await fail(REPO)).message).toContain(`can be used: --model ${REPO}`);
  });

  it("is not asked when HF_HUB_OFFLINE forbids it", async () => {
    expect((await fail(REPO, { env: { HOME: "/nonexistent", HF_HUB_OFFLINE: "1" } })).message).toContain("HF_HUB_OFFLINE is set");
    expect(hub.log).toEqual([]);
  });
});

describe("what the cache holds", () => {
  it("is listed with type, size and what is wrong", async () => {
    const { bytes, folder } = await pull(REPO, options());
    expect(await listModels({ cacheDir })).toEqual([
      { id: REPO, revision: "main", commit: COMMIT, folder, bytes, modelType: "gpt2", loadable: true, why: "" },
    ]);
    expect((await listModels({ cacheDir, check: (config) => `no ${String(config.model_type)} today` }))[0]).toMatchObject({
      loadable: false,
      why: "no gpt2 today",
    });
    await rm(join(cacheDir, home, "blobs", sha256(weights)));
    expect((await listModels({ cacheDir }))[0]).toMatchObject({ loadable: false, why: "model.safetensors is a broken link; pull it again" });
    expect(await findCachedModel(REPO, { cacheDir })).toBeUndefined();
    expect((await pull(REPO, options())).files.at(-1)!.from).toBe("network");
    expect((await listModels({ cacheDir }))[0].loadable).toBe(true);
  });

  it("includes snapshots of Python: without a ref, with a newline in one, copied files, odd neighbours", async () => {
    const commit = "f".repeat(40);
    const folder = join(cacheDir, "models--gpt2/snapshots", commit);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "config.json"), '{ "model_type": "gpt2" }');
    await writeFile(join(folder, "model.safetensors"), noise(10));
    await writeFile(join(folder, "vocab.json"), "{}");
    await writeFile(join(folder, "merges.txt"), "");
    expect(await listModels({ cacheDir })).toMatchObject([{ id: "gpt2", revision: commit, loadable: true, bytes: 36 }]);
    await mkdir(join(cacheDir, "models--gpt2/refs"));
    await writeFile(join(cacheDir, "models--gpt2/refs/main"), `${commit}\n`);
    await writeFile(join(cacheDir, "models--gpt2/refs/v1"), commit);
    expect((await listModels({ cacheDir }))[0].revision).toBe("main, v1");
    expect(await findCachedModel("gpt2", { cacheDir })).toBe(folder);
    for (const stray of [".locks/x", "datasets--a--b/snapshots", "models--", "models--a--b--c/snapshots", "models--x--y/snapshots/not-a-commit"]) {
      await mkdir(join(cacheDir, stray), { recursive: true });
    }
    await writeFile(join(cacheDir, "CACHEDIR.TAG"), "x");
    expect((await listModels({ cacheDir })).length).toBe(1);
    await writeFile(join(folder, "config.json"), "{ broken");
    expect((await listModels({ cacheDir }))[0]).toMatchObject({ loadable: false });
    expect((await listModels({ cacheDir }))[0].why).toContain("not valid JSON");
  });

  it("is nothing where there is no cache, and an error where it is a file", async () => {
    expect(await listModels({ cacheDir: join(cacheDir, "none") })).toEqual([]);
    expect(await findCachedModel(REPO, { cacheDir: join(cacheDir, "none") })).toBeUndefined();
    await writeFile(join(cacheDir, "file"), "");
    await expect(listModels({ cacheDir: join(cacheDir, "file") })).rejects.toThrow("a file stands where a folder is needed");
  });

  it("is verified by name: git and sha256 hashes are those of git and sha256sum", () => {
    expect(gitHash(Buffer.from("hello\n"))).toBe("ce013625030ba8dba906f756967f9e9ca394464a"); // git hash-object
    expect(sha256(Buffer.from("hello\n"))).toBe("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  });
});
