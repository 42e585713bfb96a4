/** `vitrine finetune` and `vitrine merge` on real files: whole models and adapters, texts and conversations, interruptions and mistakes. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { hostModels } from "../../src/cli/host-models.ts";
import { reportLines } from "../../src/cli/finetune-view.ts";
import type { FinetunePlan } from "../../src/cli/finetune-plan.ts";
import type { FinetuneReport } from "../../src/cli/finetune-report.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import { widthOf } from "../../src/cli/width.ts";
import { temporaryTinyModel } from "../tiny-model.ts";
import { type FakeModels, hardTokenizer, plain, type Ran, type RunOptions, vitrine } from "./fake.testing.ts";
import { linesOf, runSchema, sampleSchema, trainEventSchema } from "./json-schema.testing.ts";

let folder: string;
let model: { path: string; remove(): Promise<void> };
const at = (name: string): string => join(folder, name);
const models = (): FakeModels => ({ ...hostModels, asked: [], disposed: 0 });

const sentence = "the thin hen in the inn then ran her winter errand. ";
const chat = (question: string, answer: string): string =>
  JSON.stringify({ messages: [{ role: "user", content: question }, { role: "assistant", content: answer }] }); // prettier-ignore

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vitrine-finetune-"));
  model = await temporaryTinyModel();
  await writeFile(at("tale.txt"), sentence.repeat(30));
  await writeFile(at("old.txt"), "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ".repeat(5));
  await writeFile(at("chats.jsonl"), Array.from({ length: 12 }, (_, i) => `${chat(`say ${i}`, "the hen")}\n`).join(""));
});
afterAll(async () => {
  await model.remove();
  await rm(folder, { recursive: true });
});

const fast = ["--device", "reference", "--batch", "2", "--context", "16", "--seed", "3"];
const finetune = (args: readonly string[], options: RunOptions = {}): Promise<Ran> => vitrine(["finetune", ...fast, ...args], options);
const filesOf = async (path: string): Promise<string[]> => (await readdir(path)).filter((file) => !file.startsWith(".")).toSorted();
const json = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;

const outlook = z.strictObject({
  top: z.array(z.strictObject({ id: z.number(), text: z.string(), probability: z.number().min(0).max(1) })).length(10),
  rest: z.number().min(0).max(1),
  greedy: z.string(),
  sampled: z.string(),
});
const reportSchema: z.ZodType<FinetuneReport> = z.strictObject({
  type: z.literal("report"),
  model: z.string(),
  out: z.string(),
  steps: z.number(),
  seed: z.number(),
  temperature: z.number(),
  prompts: z.array(z.strictObject({ prompt: z.string(), before: outlook, after: outlook })).min(1),
  losses: z.array(z.strictObject({ text: z.enum(["new", "old"]), tokens: z.number(), before: z.number(), after: z.number() })),
});

describe("a whole model on text", () => {
  let ran: Ran;
  beforeAll(async () => {
    const untouched = await readFile(join(model.path, "model.safetensors"));
    ran = await finetune([model.path, at("tale.txt"), "--out", at("tale"), "--steps", "40", "--learning-rate", "0.01", "--old-text", at("old.txt"), "--report-tokens", "8"]); // prettier-ignore
    expect(await readFile(join(model.path, "model.safetensors"))).toEqual(untouched);
  });

  test("ends well, with a folder that generate opens", async () => {
    expect(ran.code, ran.stderr).toBe(0);
    expect(await filesOf(at("tale"))).toEqual([
      "best", "checkpoint.safetensors", "config.json", "finetune.json", "generation_config.json", "log.csv", "log.jsonl", "merges.txt", "model.safetensors",
      "report.json", "vocab.json",
    ]); // prettier-ignore
    expect(await filesOf(join(at("tale"), "best"))).toEqual([
      "config.json",
      "generation_config.json",
      "merges.txt",
      "model.safetensors",
      "vocab.json",
    ]);
    const said = await vitrine(["generate", "the thin", "-t", "0", "-n", "6", "--model", at("tale"), "--device", "reference"], { models: models() });
    expect(said.code, said.stderr).toBe(0);
    expect(said.stdout.startsWith("the thin")).toBe(true);
  });

  test("the report says what became better and what was forgotten, and is what is shown", async () => {
    const report = reportSchema.parse(await json(join(at("tale"), "report.json")));
    expect(report.prompts.map(({ prompt }) => prompt)).toEqual(["Once upon a time", "I want to", "The"]);
    const [fresh, old] = report.losses;
    expect([fresh.text, old.text]).toEqual(["new", "old"]);
    expect(fresh.after).toBeLessThan(fresh.before - 1);
    expect(old.after).toBeGreaterThan(fresh.after);
    for (const { before, after } of report.prompts) {
      for (const { top, rest } of [before, after]) expect(top.reduce((sum, { probability }) => sum + probability, rest)).toBeCloseTo(1, 5);
      expect(before.top).not.toEqual(after.top);
    }
    expect(ran.stdout).toContain("── before ─");
    expect(ran.stdout).toContain("── after ─");
    expect(ran.stdout).toContain(fresh.before.toFixed(3));
    expect(ran.stdout).toMatch(/new text, not learned from +\d+ +\d\.\d{3} +\d\.\d{3}\nold text/);
  });

  test("no line of the report reaches the last column, wide or narrow, in ASCII too", async () => {
    const report = reportSchema.parse(await json(join(at("tale"), "report.json")));
    for (const columns of [24, 40, 57, 64, 80, 133]) {
      for (const LANG of ["C", "C.UTF-8"]) {
        const terminal = terminalOf({ isTTY: true, columns }, { LANG, TERM: "xterm-256color" }, "linux");
        const lines = reportLines(report, hardTokenizer(), terminal, columns).map(plain);
        for (const line of lines) expect(widthOf(line), line).toBeLessThan(columns);
        if (LANG === "C") expect(lines.slice(0, 14).join("")).toMatch(/^[\x20-\x7e]*$/);
      }
    }
  });
});

describe("an adapter on conversations", () => {
  const lora = [
    "--lora",
    "--rank",
    "4",
    "--steps",
    "80",
    "--batch",
    "4",
    "--context",
    "40",
    "--learning-rate",
    "0.03",
    "--dropout",
    "0",
    "--report-tokens",
    "4",
  ];

  test("learns, keeps the template, opens beside its model, and merged says the same", async () => {
    const first = await finetune([
      model.path,
      at("chats.jsonl"),
      "--out",
      at("chat"),
      ...lora,
      "--targets",
      "c_attn,mlp.c_fc",
      "--report-prompt",
      "say 3",
    ]);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toContain('the model brings no chat template, so a plain one is used and saved with it: "User: ...", "Assistant: ..."');
    expect(first.stderr).toContain("LoRA of rank 4, alpha 16, beside c_attn, mlp.c_fc: 1,152 numbers to learn");
    expect(await filesOf(join(at("chat"), "best"))).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "merges.txt",
      "tokenizer_config.json",
      "vocab.json",
    ]);
    expect(await json(join(at("chat"), "adapter_config.json"))).toMatchObject({ base_model_name_or_path: model.path, r: 4, fan_in_fan_out: true, target_modules: ["c_attn", "mlp.c_fc"] }); // prettier-ignore
    const { chat_template: template, eos_token: eos } = await json(join(at("chat"), "tokenizer_config.json"));
    expect(template).toContain("'User: ' + message['content']");
    expect(eos).toBe("<|endoftext|>");
    const { losses, prompts } = reportSchema.parse(await json(join(at("chat"), "report.json")));
    expect(losses[0].after).toBeLessThan(losses[0].before / 2);
    expect(prompts).toMatchObject([{ prompt: "say 3" }]);
    expect(prompts[0].after.greedy).toBe(" the hen"); // and then the end of its turn: what it was taught

    const merged = await vitrine(["merge", model.path, at("chat"), "--out", at("merged"), "--device", "reference"]);
    expect(merged).toMatchObject({ code: 0, stdout: `${at("merged")}\n`, stderr: "" });
    expect((await json(join(at("merged"), "tokenizer_config.json"))).chat_template).toBe(template);
    const asked = ["generate", "User: say 3\nAssistant:", "-t", "0", "-n", "5", "--no-echo", "--show", "3", "--device", "reference", "--model"];
    const [beside, whole] = await Promise.all([at("chat"), at("merged")].map((path) => vitrine([...asked, path], { models: models() })));
    expect(beside.code, beside.stderr).toBe(0);
    expect(beside.stdout).toContain("hen");
    expect(whole.stdout).toBe(beside.stdout);
  });

  test("uses the template the model brings, and stops where its answers end", async () => {
    await cp(model.path, at("with-template"), { recursive: true });
    const template = "{% for m in messages %}{{ m.role[0] + ':' + m.content }}{% if m.role == 'assistant' %}{{ '<|endoftext|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'a:' }}{% endif %}"; // prettier-ignore
    await writeFile(join(at("with-template"), "chat_template.jinja"), template);
    const { code, stderr } = await finetune([at("with-template"), at("chats.jsonl"), "--out", at("own"), "--steps", "2", "--report-tokens", "0"]);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain("chat template");
    expect((await json(join(at("own"), "tokenizer_config.json"))).chat_template).toBe(template);
  });
});

describe("interrupted", () => {
  test("and resumed it is the run that was never interrupted, to the bit; both are told as documented", async () => {
    const args = [at("tale.txt"), "--lora", "--steps", "12", "--save-every", "5", "--sample-every", "4", "--evaluate-every", "6", "--report-tokens", "3", "--dropout", "0.2"]; // prettier-ignore
    const whole = await finetune([model.path, ...args, "--out", at("whole"), "--json"]);
    expect(whole.code, whole.stderr).toBe(0);

    let stop = (): void => {};
    const cut = finetune([model.path, ...args, "--out", at("cut"), "--json"], {
      onInterrupt: (listener) => {
        stop = listener;
        return () => {};
      },
    });
    for (;;) {
      const log = await readFile(join(at("cut"), "log.jsonl"), "utf8").catch(() => "");
      if (log.split("\n").length > 4) break;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    stop();
    const first = await cut;
    expect(first.code).toBe(130);
    expect(first.stderr).toMatch(/interrupted after step \d+ of 12, and saved; go on with vitrine finetune --resume --out /);

    const rest = await vitrine(["finetune", "--resume", "--out", at("cut"), "--device", "reference", "--json"]);
    expect(rest.code, rest.stderr).toBe(0);
    for (const file of ["adapter_model.safetensors", "best/adapter_model.safetensors"])
      expect(await readFile(join(at("cut"), file)), file).toEqual(await readFile(join(at("whole"), file)));
    const facts = (text: string): string[] => linesOf(text).filter(({ type }) => type === "step").map(({ step, loss }) => `${step as number} ${loss as number}`); // prettier-ignore
    expect([...facts(first.stdout), ...facts(rest.stdout)]).toEqual(facts(whole.stdout));
    expect({ ...(await json(join(at("cut"), "report.json"))), out: "" }).toEqual({ ...(await json(join(at("whole"), "report.json"))), out: "" });

    const lines = linesOf(whole.stdout);
    expect(lines[0].type).toBe("run");
    expect(lines.at(-1)?.type).toBe("report");
    const schemas: Record<string, { parse(line: unknown): unknown }> = { run: runSchema, sample: sampleSchema, report: reportSchema };
    for (const line of lines) (schemas[line.type as string] ?? trainEventSchema).parse(line);
    expect(new Set(lines.map(({ type }) => type))).toEqual(new Set(["run", "step", "evaluation", "saved", "sample", "end", "report"]));
  });

  test("a resume on another text, another model or with other settings is refused", async () => {
    const resume = (...args: string[]): Promise<Ran> => vitrine(["finetune", ...args, "--resume", "--out", at("whole"), "--device", "reference"]);
    expect((await resume("--rank", "4")).stderr).toContain("--rank 4 cannot be changed by --resume: in this run it is 8");
    expect((await resume("--dropout", "0.5")).stderr).toContain("--dropout 0.5 cannot be changed");
    expect((await resume("--targets", "c_proj")).stderr).toContain("--targets c_proj cannot be changed");
    expect((await resume("--epochs", "3")).stderr).toContain("--epochs cannot be changed by --resume");
    expect((await resume("--steps", "3")).stderr).toContain("--steps is 3, and 12 are done already");
    expect((await resume("--force")).stderr).toContain("--force writes over a run");
    expect((await resume(model.path, at("old.txt"))).stderr).toContain("the texts or the tokenizer are not as they were");
    expect((await resume(model.path, at("chats.jsonl"))).stderr).toContain("FILES");
    await mkdir(at("other"));
    await writeFile(join(at("other"), "tale.txt"), sentence.repeat(31)); // only what is in it differs
    await cp(at("whole"), at("changed"), { recursive: true });
    const plan = await readFile(join(at("changed"), "finetune.json"), "utf8");
    await writeFile(join(at("changed"), "finetune.json"), plan.replaceAll(at("tale.txt"), join(at("other"), "tale.txt")));
    expect((await vitrine(["finetune", "--resume", "--out", at("changed"), "--device", "reference"])).stderr).toContain(
      "the texts or the tokenizer are not as they were",
    );
    const other = await temporaryTinyModel({ seed: 2 });
    await writeFile(join(at("changed"), "finetune.json"), plan.replaceAll(model.path, other.path));
    expect((await vitrine(["finetune", "--resume", "--out", at("changed"), "--device", "reference"])).stderr).toContain(
      "the model, the texts or the tokenizer are not as they were",
    );
    await other.remove();
  });

  test("a resume takes what it may change, and texts from where they lie now", async () => {
    await cp(at("whole"), at("moved"), { recursive: true });
    await mkdir(at("away"));
    await cp(at("tale.txt"), join(at("away"), "tale.txt"));
    const { code, stdout } = await vitrine(
      ["finetune", model.path, join(at("away"), "tale.txt"), "--resume", "--out", at("moved"), "--steps", "13", "--evaluate-batches", "3", "--recompute", "--old-text", at("old.txt"), "--device", "reference"],
    ); // prettier-ignore
    expect(code).toBe(0);
    expect(stdout).toContain("old text");
    const { plan } = (await json(join(at("moved"), "finetune.json"))) as { plan: FinetunePlan };
    expect(plan.options).toMatchObject({ steps: 13, evaluateBatches: 3, recompute: true });
    expect(plan).toMatchObject({ files: [join(at("away"), "tale.txt")], report: { oldText: [at("old.txt")] } });
  });
});

describe("mistakes", () => {
  const bad = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await finetune([...args, "--out", at("bad")]);
    expect(code).toBe(2);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^vitrine finetune: /);
    return stderr;
  };

  test("are told before anything is written", async () => {
    const [m, t] = [model.path, at("tale.txt")];
    expect(await bad()).toContain("a model and text are needed");
    expect(await bad(m)).toContain("a model and text are needed");
    expect(await bad(m, at("gone.txt"))).toContain("there is no such file");
    expect(await bad(m, t, "--tokenizer", "characters")).toContain("a model only knows the tokens it was trained with, so it keeps its tokenizer");
    expect(await bad(m, t, "--rank", "8")).toContain("--rank is about LoRA; add --lora");
    expect(await bad(m, t, "--lora", "--targets", "c_atn")).toMatch(/no projection is called c_atn; did you mean c_attn/);
    expect(await bad(m, t, "--lora", "--targets", "a,,b")).toContain("--targets is");
    expect(await bad(m, t, at("chats.jsonl"))).toContain("fine-tune on one kind at a time");
    expect(await bad(m, at("chats.jsonl"), "--validation", t)).toContain("--validation");
    expect(await bad(m, t, "--chat-template", "plain")).toContain("--chat-template is for chat transcripts");
    expect(await bad(m, at("chats.jsonl"), "--chat-template", at("gone.jinja"))).toContain("--chat-template");
    expect(await bad(m, t, "--steps", "3", "--epochs", "2")).toContain("--steps and --epochs");
    expect(await bad(m, t, "--old-text", at("chats.jsonl"))).toContain("--old-text");
    expect(await bad(m, t, "--report-prompt", "")).toContain('--report-prompt "" has no tokens');
    expect(await bad(m, t, "--steps", "3", "--warmup", "9")).toContain("--warmup is 9, more than all 3 steps");
    expect(await bad(m, t, "--resume")).toContain("holds no run of vitrine finetune, there is no finetune.json in it");
    await writeFile(at("broken.jsonl"), `${chat("a", "b")}\n{"messages": \n`);
    expect(await bad(m, at("broken.jsonl"))).toContain(`${at("broken.jsonl")}:2: not valid JSON at column 13`);
    await writeFile(at("short.txt"), "a");
    expect(await bad(m, at("short.txt"), "--validation-share", "0")).toContain("needs at least 17");
    expect(await filesOf(folder)).not.toContain("bad");
  });

  test("a folder that holds something is not written over, but with --force; the model's own folder never", async () => {
    await mkdir(at("full"));
    await writeFile(join(at("full"), "adapter_config.json"), "{}");
    const into = (out: string, ...more: string[]): Promise<Ran> =>
      finetune([model.path, at("tale.txt"), "--steps", "1", "--report-tokens", "0", "--out", out, ...more]);
    expect((await into(at("full"))).stderr).toContain("holds a model already (adapter_config.json)");
    expect((await into(at("full"), "--force")).code).toBe(0);
    expect(await filesOf(at("full"))).not.toContain("adapter_config.json"); // it would open as an adapter
    expect((await into(at("full"))).stderr).toContain("holds a run after step 1 of 1; go on with vitrine finetune --resume");
    expect((await into(model.path, "--force")).stderr).toContain("which is read; give another folder");
    await symlink(model.path, at("link"));
    expect((await into(at("link"), "--force")).stderr).toContain("which is read; give another folder");
    const learning = finetune([join(at("full"), "best"), at("tale.txt"), "--steps", "1", "--out", at("full"), "--force", "--lora"]);
    expect((await learning).stderr).toContain("which is read; give another folder");
    expect(await filesOf(join(at("full"), "best"))).toContain("model.safetensors");
    await writeFile(join(at("full"), "adapter_config.json"), "{}");
    expect((await vitrine(["merge", model.path, at("chat"), "--out", at("full"), "--force", "--device", "reference"])).code).toBe(0);
    expect(await filesOf(at("full"))).not.toContain("adapter_config.json");
    expect(await filesOf(at("full"))).not.toContain("checkpoint.safetensors");
    expect((await into(at("tale.txt"))).stderr).toContain("is a file, expected a folder");
  });

  test("an adapter is no model, and a model no adapter", async () => {
    const { stderr } = await finetune([at("chat"), at("tale.txt"), "--out", at("bad")]);
    expect(stderr).toContain("is an adapter, not a model; make one model of both with vitrine merge");
    const merge = (...args: string[]): Promise<Ran> => vitrine(["merge", ...args, "--out", at("bad"), "--device", "reference"]);
    expect((await merge(at("chat"), model.path)).stderr).toContain("name the model first, then the adapter");
    expect((await merge(model.path, model.path)).stderr).toContain("no adapter_config.json, so not an adapter's folder");
    const other = await temporaryTinyModel({ width: 32 });
    expect((await merge(other.path, at("chat"))).stderr).toMatch(/and this model needs .*; it was made for /);
    await other.remove();
    await cp(at("chat"), at("orphan"), { recursive: true });
    const config = await json(join(at("orphan"), "adapter_config.json"));
    await writeFile(join(at("orphan"), "adapter_config.json"), JSON.stringify({ ...config, base_model_name_or_path: "/no/where" }));
    const said = await vitrine(["generate", "a", "--model", at("orphan"), "--device", "reference"], { models: models() });
    expect(said).toMatchObject({ code: 2, stdout: "" });
    expect(said.stderr).toContain('an adapter of "/no/where", which is not here');
  });
});
