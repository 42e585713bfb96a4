/** `vitrine tokenizer train` on real files: what it learns, what it says, and what it says to mistakes. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostModels } from "../../src/cli/host-models.ts";
import { fakeModels, plain, type Ran, type RunOptions, vitrine } from "./fake.testing.ts";
import { linesOf, trainedTokenizerSchema } from "./json-schema.testing.ts";

let folder: string;
let text: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vitrine-tokenizer-"));
  text = path("text.txt");
  await writeFile(
    text,
    `${"The cat sat on the mat, whose owner wasn't there.\nThe cat's hat was flattened: 12,345 others sat on it!\n".repeat(20)}<|endoftext|>\nNaïve 東京 🙂\n`,
  );
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const path = (name: string): string => join(folder, name);
const run = (args: readonly string[], options?: RunOptions): Promise<Ran> => vitrine(["tokenizer", "train", ...args], options);
const written = async (
  name: string,
): Promise<{ model: { vocab: Record<string, number>; merges: string[] }; added_tokens: { id: number; content: string }[] }> =>
  JSON.parse(await readFile(path(`${name}/tokenizer.json`), "utf8")) as never;

describe("vitrine tokenizer train", () => {
  test("writes a folder that the other commands open", async () => {
    const ran = await run([text, "--vocabulary", "300", "--out", path("first")]);
    expect(ran).toMatchObject({ code: 0, stdout: `${path("first")}\n`, stderr: "" });
    expect((await readdir(path("first"))).sort()).toEqual(["tokenizer.json", "tokenizer_config.json"]); // no temporary files
    const { model, added_tokens } = await written("first");
    expect(Object.keys(model.vocab)).toHaveLength(300);
    expect(added_tokens).toMatchObject([{ id: 0, content: "<|endoftext|>" }]);
    const shown = await vitrine(["tokenize", "The cat sat. 東京", "--json", "--model", path("first")], {
      models: { ...fakeModels(), ...hostModels },
    });
    const tokens = (
      shown.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)) as { text: string; bytes: unknown }[]
    ).slice(0, -1);
    expect(tokens.slice(0, 3).map((token) => token.text)).toEqual(["The", " cat", " sat"]);
  });

  test("--json gives the figures", async () => {
    const { code, stdout } = await run([
      text,
      "--vocabulary",
      "290",
      "--special",
      "<a>",
      "--special",
      "<b>",
      "--pattern",
      "cl100k",
      "--json",
      "-o",
      path("figures"),
    ]);
    expect(code).toBe(0);
    const lines = linesOf(stdout);
    expect(lines).toHaveLength(1);
    const line = trainedTokenizerSchema.parse(lines[0]);
    expect(line).toMatchObject({ path: path("figures"), vocabulary: 290, special: ["<a>", "<b>"], merges: 32, pattern: "cl100k", invalidBytes: 0 });
    expect(line.bytes).toBe((await readFile(text)).length);
    expect(line.textTokens).toBeLessThan(line.bytes / 2);
  });

  test("tells a person what came out, and what is odd", async () => {
    await writeFile(path("latin1.txt"), Buffer.from("caf\xe9 caf\xe9 caf\xe9 \xff", "latin1"));
    const { code, stderr } = await run([path("latin1.txt"), "--no-special", "--out", path("odd")], { errorColumns: 100 });
    expect(code).toBe(0);
    const said = plain(stderr).replaceAll(/\s+/g, " ");
    expect(said).toContain("4 of 16 bytes are not UTF-8: each is a token of one byte");
    expect(said).toContain("259 tokens instead of 4,096: no two neighbours in this text occur 2 times any more (--min-frequency)");
    expect(said).toContain("259 tokens: 256 bytes, 3 merges, the last of a pair that occurs 2 times");
    expect(said).toMatch(/16 B of text in \S+ s are 8 tokens, 2\.00 bytes each; try vitrine tokenize "Once upon a time" --model /);
    expect((await written("odd")).added_tokens).toEqual([]);
  });

  test("reads folders, and lines by themselves when asked", async () => {
    await mkdir(path("shelf/deep"), { recursive: true });
    await writeFile(path("shelf/a.txt"), "ab\n\n\nab\n\n\n");
    await writeFile(path("shelf/deep/b.txt"), "cd cd\n");
    await writeFile(path("shelf/c.json"), "xy xy");
    await run([path("shelf"), "--out", path("whole")]);
    expect((await written("whole")).model.merges).toEqual(["Ċ Ċ", "a b", "c d"]); // "\n\n\nab" is \n\n, \n and ab; the last three \n are one piece
    await run([path("shelf"), "--by-line", "--out", path("lines")]);
    expect((await written("lines")).model.merges).toEqual(["a b", "c d"]);
  });

  test("does not write over a tokenizer unless told", async () => {
    await run([text, "--vocabulary", "257", "--out", path("kept")]);
    const again = await run([text, "--vocabulary", "260", "--out", path("kept")]);
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/holds a tokenizer already \(tokenizer\.json\); choose another folder, or write over it with --force/);
    expect(Object.keys((await written("kept")).model.vocab)).toHaveLength(257);
    expect(await run([text, "--vocabulary", "260", "--out", path("kept"), "--force"])).toMatchObject({ code: 0 });
    expect(Object.keys((await written("kept")).model.vocab)).toHaveLength(260);
  });

  test("Ctrl-C writes nothing", async () => {
    const ran = await run([text, "--vocabulary", "300", "--out", path("stopped")], {
      errorColumns: 80,
      onInterrupt: (listener) => {
        listener();
        return () => {};
      },
    });
    expect(ran).toMatchObject({ code: 130, stdout: "" });
    expect(plain(ran.stderr)).toContain("interrupted; nothing was written");
    expect(await readdir(folder)).not.toContain("stopped");
  });
});

describe("mistakes", () => {
  test.each([
    [["--vocabulary", "100"], /--vocabulary is "100"; expected a whole number from 256 to/],
    [["--vocabulary", "256"], /a vocabulary of 256, expected a whole number from 257 \(256 bytes and 1 special token\)/],
    [["--min-frequency", "-1"], /--min-frequency is "-1"; expected a whole number of at least 0/],
    [["--special", ""], /special token is empty/],
    [["--special", "<s>", "--special", "<s>"], /"<s>" is named twice/],
    [["--pattern", "gpt3"], /--pattern is "gpt3"; expected gpt2 or cl100k; did you mean gpt2\?/],
    [["--threads", "0"], /--threads is "0"/],
  ])("%j", async (flags, problem) => {
    const { code, stderr, stdout } = await run([text, "--out", path("never"), ...flags]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(problem);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(await readdir(folder)).not.toContain("never");
  });

  test("files that are not there, empty, binary or folders without text", async () => {
    await writeFile(path("empty.txt"), "");
    await writeFile(path("picture.txt"), Uint8Array.of(137, 80, 78, 71, 0));
    await mkdir(path("bare"));
    for (const [name, problem] of [
      ["texd.txt", /there is no such file or folder; did you mean ".*text\.txt"\?/],
      ["empty.txt", /empty\.txt: the file is empty; leave it out or put text into it/],
      ["picture.txt", /picture\.txt: a binary file \(byte 4 is 0\), expected text/],
      ["bare", /is a folder without \.txt files/],
    ] as const) {
      const { code, stderr } = await run([text, path(name), "--out", path("never")]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(problem)]);
    }
    const onFile = await run([text, "--out", text]);
    expect([onFile.code, onFile.stderr]).toEqual([2, expect.stringMatching(/is a file, expected a folder/)]);
  });

  test("no files, no place, no action, another action", async () => {
    expect(await run(["--out", path("never")])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/missing required argument 'files'/) as unknown,
    });
    expect(await run([text])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/required option '-o, --out <folder>' not specified/) as unknown,
    });
    const bare = await vitrine(["tokenizer"]);
    expect([bare.code, bare.stderr]).toEqual([0, ""]);
    expect(bare.stdout).toContain("learn a byte-level BPE vocabulary");
    expect(await vitrine(["tokenizer", "trian", "x"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/tokenizer trian: expected train; did you mean train\?/) as unknown,
    });
    expect((await run(["--help"])).stdout).toContain("vitrine tokenizer train books/*.txt --vocabulary 4096 --out my-tokenizer");
  });
});
