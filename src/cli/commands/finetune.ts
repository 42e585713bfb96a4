/**
 * `vitrine finetune`: a model that exists learns more, from texts or conversations, whole or by LoRA; at the end it is compared with
 * what it was. Flags become a plan in finetune-plan.ts, the plan a run in finetune-run.ts; how it is told is training-telling.ts's.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { quoted, VitrineError } from "../../base/errors.ts";
import { textSources } from "../../host/text-sources.ts";
import { resolveModel } from "../../host/node-models.ts";
import { attachAdapters } from "../../model/adapters.ts";
import type { Adapters } from "../../model/adapters.ts";
import { checkLength } from "../../training/batch.ts";
import { train } from "../../training/trainer.ts";
import type { TrainEnd } from "../../training/training.ts";
import { interrupted } from "../errors.ts";
import { beginFolder, openSavedRun, placeOf, writePlan, writeReport } from "../finetune-folder.ts";
import { planOf, requestOf, resumedPlan } from "../finetune-plan.ts";
import type { FinetuneFlags, FinetunePaths, FinetunePlan } from "../finetune-plan.ts";
import { questionsOf, reportOf, stopsOf, takeSnapshot } from "../finetune-report.ts";
import type { Question, Snapshot } from "../finetune-report.ts";
import { encodedText, openBase, plainTemplate, readTexts } from "../finetune-run.ts";
import type { LearnedText, OpenedBase } from "../finetune-run.ts";
import { reportLines } from "../finetune-view.ts";
import { finiteFields } from "../json.ts";
import { grouped, percent } from "../numbers.ts";
import { addDeviceFlags, numberIn } from "../options.ts";
import { Progress } from "../progress.ts";
import { checkNewFolder, inRunFolder } from "../run-folder.ts";
import type { Run, Session } from "../session.ts";
import { textFiles } from "../text-files.ts";
import { Figures } from "../training-figures.ts";
import { openLog } from "../training-log.ts";
import type { TrainingLog } from "../training-log.ts";
import { drawSample, sampleLine } from "../training-sample.ts";
import { endText, runLine, sayWhenStopped, trainTelling } from "../training-telling.ts";
import { wrapWords } from "../width.ts";

const examples = `
Examples:
  vitrine finetune ./my-model tales.txt --out out/tales
  vitrine finetune ./my-model chats.jsonl --out out/chat --lora
  vitrine finetune --resume --out out/tales          goes on where it was interrupted
  vitrine merge ./my-model out/chat --out out/merged an adapter and its model become one

A line of a .jsonl file is a conversation, and only the assistant's words are learned:
  {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}

Ctrl-C finishes the step and saves. At the end the same prompts are asked of both models;
report.json keeps the answers (docs/finetuning.md).`;

export function finetuneCommand(run: Run): Command {
  const command = new Command("finetune")
    .summary("teach a model more, from texts or conversations")
    .description("Goes on training a model. FILES are text files, folders with .txt files inside, or chat transcripts (.jsonl).")
    .argument("[model]", "a model folder, an embedded name, or a pulled ORG/NAME[@REV]")
    .argument("[files...]", "what to learn from")
    .requiredOption("-o, --out <dir>", "the folder of the run: model or adapter, checkpoint, log, report")
    .option(
      "--resume",
      "go on with the run in --out, with its settings; only the schedule (--steps, --learning-rate, --warmup, --clip), --recompute and what is shown or saved may change; a model and texts that have moved are named again",
    )
    .option("--force", "begin anew in a folder that holds a run or a model")
    .optionsGroup("What changes:");
  const whole = (flag: string, value: string, help: string, least: number, most?: number): void => {
    const name = `--${flag}`;
    command.addOption(new Option(`${name} <${value}>`, help).argParser(numberIn(name, { least, most, whole: true })));
  };
  const number = (flag: string, value: string, help: string, range: Parameters<typeof numberIn>[1]): void => {
    const name = `--${flag}`;
    command.addOption(new Option(`${name} <${value}>`, help).argParser(numberIn(name, range)));
  };
  command.option("--lora", "learn small matrices beside the model's (an adapter, as PEFT keeps it) instead of changing it");
  whole("rank", "n", "LoRA: how much the change can say (default: 8)", 1, 4096);
  number("alpha", "x", "LoRA: the change counts alpha / rank (default: 16)", { above: 0, most: 1e6 });
  command
    .addOption(
      new Option("--targets <names>", "LoRA: beside which matrices, with commas (default: GPT-2 c_attn, Llama q_proj,v_proj)").argParser(readTargets),
    )
    .addOption(new Option("--chat-template <file>", "a Jinja file instead of the model's own template; plain: Vitrine's"))
    .addOption(new Option("--tokenizer <which>").hideHelp()) // refused with its reason
    .optionsGroup("How it learns:");
  number("epochs", "x", "how often through the text (default: 3)", { above: 0, most: 1e6 });
  whole("steps", "n", "steps in all, instead of --epochs", 1, 1e9);
  whole("batch", "n", "texts of the context's length read in a step (default: 8)", 1, 1e6);
  whole("accumulate", "n", "batches added up for a step (default: 1)", 1, 1e6);
  whole("context", "n", "tokens of each (default: the model's context, or what the text has)", 1, 1_048_576);
  number("learning-rate", "x", "the highest (default: by the model's width; 5e-5 at 768, LoRA 2e-4)", { above: 0, most: 10 });
  whole("warmup", "n", "steps until it is reached (default: a twentieth of the steps)", 0, 1e9);
  number("weight-decay", "x", "matrices shrink by learning rate x this of themselves (default: 0.01)", { least: 0, most: 100 });
  number("clip", "x", "the gradient's norm is cut to it; 0 = never (default: 1)", { least: 0 });
  number("dropout", "x", "share of numbers dropped while learning (default: 0.1)", { least: 0, most: 0.95 });
  command.option("--recompute", "blocks are computed twice instead of kept: less memory, a third more time");
  whole("seed", "n", "of what is drawn; the same seed gives the same model (default: 0)", 0, 2 ** 32 - 1);
  addDeviceFlags(command);
  command.optionsGroup("What it is checked on:").option("--validation <files...>", "texts or conversations that are not learned from");
  number("validation-share", "x", "the share of FILES kept for it (default: 0.1; 0: none)", { least: 0, most: 0.9 });
  command.option("--old-text <files...>", "what the model should not forget: its loss is reported before and after");
  whole("evaluate-every", "n", "look at the validation text every n steps; 0: at the end (default: twenty times)", 0, 1e9);
  whole("evaluate-batches", "n", "on so many batches of it (default: 20)", 1, 1e6);
  whole("save-every", "n", "a checkpoint every n steps, and at every best validation loss (default: 250)", 1, 1e9);
  command.optionsGroup("What you see:");
  command.addOption(
    new Option("--report-prompt <text>", "asked before and after; repeatable. For chats: what the user says").argParser(
      (text: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), text],
    ),
  );
  whole("report-tokens", "n", "how much is written for each (default: 32)", 0, 10_000);
  whole("sample-every", "n", "let it answer the first prompt every n steps; 0: never (default: four times)", 0, 1e9);
  return command
    .option("--json", "JSON Lines: the run, every step, samples, the report (docs/json.md); the live view goes to standard error")
    .addHelpText("after", examples)
    .action((model: string | undefined, files: string[], flags: FinetuneFlags) => run((session) => finetune(session, model, files, flags)));
}

function readTargets(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return names;
  throw new VitrineError(`--targets is ${quoted(text)}; expected names of matrices with commas between them, for example c_attn,c_proj`);
}

async function finetune(session: Session, model: string | undefined, named: readonly string[], flags: FinetuneFlags): Promise<number> {
  if (named.length === 0 && !flags.resume)
    throw new VitrineError("a model and text are needed, for example vitrine finetune ./my-model tales.txt --out out/tales");
  const paths = {
    files: await textFiles(named),
    validation: await textFiles(flags.validation ?? []),
    oldText: await textFiles(flags.oldText ?? []),
  };
  const template = await readTemplate(flags.chatTemplate);
  const found = model === undefined ? undefined : await resolveModel(model);
  const id = found && (found.path === resolve(model!) ? found.path : model!); // a folder is found from anywhere, a name stays one
  return inRunFolder(flags.out, () => finetuneIn(session, flags, { id, path: found?.path, paths, template }));
}

interface Asked {
  /** The model that is learned from, as the plan keeps it, and its folder; undefined for a resume that names none. */
  readonly id: string | undefined;
  readonly path: string | undefined;
  readonly paths: FinetunePaths;
  readonly template: string | null;
}

/** The run, in a folder that is this process's alone. */
async function finetuneIn(session: Session, flags: FinetuneFlags, { id, path, paths, template }: Asked): Promise<number> {
  const { out } = flags;
  const saved = flags.resume ? await openSavedRun(out) : undefined;
  const request = saved ? resumedPlan(saved.plan, flags, id, paths, template) : requestOf(id!, flags, paths, template);
  const from = saved?.state?.step ?? 0;
  if (saved === undefined) await checkNewFolder(out, { reads: [path!], force: flags.force });
  else if (saved.plan.options.steps < from || (flags.steps ?? Infinity) < from)
    throw new VitrineError(`--steps is ${flags.steps}, and ${from} are done already; give more, or begin anew in another --out`);

  const base = await openBase(session, request, flags);
  let adapters: Adapters | undefined;
  try {
    const text = await readTexts(session, request, base);
    if (saved?.data !== undefined && saved.data !== text.data)
      throw new VitrineError(
        "--resume: the model, the texts or the tokenizer are not as they were when the run began, so it cannot go on with them; put them back, or begin anew in another --out",
      );
    const plan = saved ? (request as FinetunePlan) : planOf(request, flags, base.engine.model.config, text.train);
    const old = plan.report.oldText.length > 0 ? await encodedText(session, await textSources(plan.report.oldText), base.engine.tokenizer, "reading the old text") : undefined; // prettier-ignore
    checkLength(text.train, plan.options.context, "the training text"); // now, before anything is written
    const questions = questionsOf(plan.report.prompts, base.engine.tokenizer, base.template, text.validation ?? text.train);
    const ask = (title: string): Promise<Snapshot> => snapshot(session, title, plan, base, questions, { new: text.validation, old }, text.turnEnds);
    const before = await ask("asking the model before");
    adapters = plan.lora ? attachAdapters(base.engine.model, { ...plan.lora, seed: plan.options.seed }) : undefined;
    if (adapters) await session.notice(loraText(plan, adapters, base));
    if (saved === undefined) await beginFolder(out, base.tokenizerFiles, flags.force === true);
    await writePlan(out, plan, text.data);
    const log = await openLog(out, from, (note) => void session.notice(note));
    const end = await learn(session, { flags, plan, base, adapters, text, log, from, questions });
    if (end.reason === "done") await tell(session, flags, plan, base, questions, before, await ask("asking the model after"));
    return await farewell(session, end, plan, flags);
  } finally {
    adapters?.detach();
    base.engine.dispose();
  }
}

async function readTemplate(file: string | undefined): Promise<string | null> {
  if (file === undefined) return null;
  if (file === plainTemplate) return plainTemplate;
  return readFile(resolve(file), "utf8").catch((error: unknown) => {
    throw new VitrineError(`--chat-template ${quoted(file)}: ${(error as Error).message}; name a Jinja file, or plain`, { cause: error });
  });
}

async function snapshot(
  session: Session,
  title: string,
  plan: FinetunePlan,
  { engine }: OpenedBase,
  questions: readonly Question[],
  texts: Parameters<typeof takeSnapshot>[2],
  turnEnds: readonly number[],
): Promise<Snapshot> {
  const progress = new Progress(session.talk, { title, unit: "tokens", after: 1000 });
  try {
    return await takeSnapshot(engine, questions, texts, {
      tokens: plan.report.tokens,
      seed: plan.options.seed,
      turnEnds,
      onProgress: (done, total) => progress.update({ done, total }),
      signal: session.stop,
    });
  } finally {
    progress.clear();
  }
}

function loraText({ lora }: FinetunePlan, adapters: Adapters, { engine }: OpenedBase): string {
  const share = percent(adapters.parameterCount / engine.info.parameters).trim();
  return `LoRA of rank ${lora!.rank}, alpha ${lora!.alpha}, beside ${lora!.targets.join(", ")}: ${grouped(adapters.parameterCount)} numbers to learn, ${share} of the model's`;
}

interface Learning {
  readonly flags: FinetuneFlags;
  readonly plan: FinetunePlan;
  readonly base: OpenedBase;
  readonly adapters: Adapters | undefined;
  readonly text: LearnedText;
  readonly log: TrainingLog;
  readonly from: number;
  readonly questions: readonly Question[];
}

/** Runs the steps and tells of them. Between two the event loop turns, so that Ctrl-C is noticed. */
async function learn(session: Session, { flags, plan, base, adapters, text, log, from, questions }: Learning): Promise<TrainEnd> {
  const { engine, folder, tokenizerFiles } = base;
  const { options } = plan;
  const { model } = engine;
  const figures = new Figures(options.steps);
  figures.recall(log.earlier);
  const telling = trainTelling(session, figures, flags.json === true);
  await telling.begin(runLine(flags.out, engine, text, options, from));
  const stopping = sayWhenStopped(session, telling);
  const sampleEvery = plan.sampleEvery ?? Math.max(1, Math.round(options.steps / 4));
  const [{ prompt, ids }] = questions;
  const stopIds = stopsOf(engine, text.turnEnds);
  try {
    const place = await placeOf(flags.out, { model, adapters, base: { folder, path: plan.model }, tokenizerFiles, turnEnds: text.turnEnds });
    const goesOn = { resume: from > 0, extend: from > 0, overwrite: flags.force === true };
    const { train: learned, validation, data } = text;
    const learnable = adapters?.learnable();
    for await (const event of train({ model, learnable, train: learned, validation, options, data, place, ...goesOn, signal: session.stop })) {
      figures.add(event);
      await telling.event(event);
      if (event.type === "end") {
        await telling.end();
        const words = endText(event, figures, flags.out);
        const { columns, isTTY } = session.out.terminal;
        if (!flags.json) await session.out.line(isTTY ? wrapWords(words, columns() - 1) : words);
        return event;
      }
      log.write(event);
      if (event.type === "step" && sampleEvery > 0 && event.step % sampleEvery === 0 && event.step < options.steps && !session.stop.aborted) {
        const written = await drawSample(engine, prompt, event.step, {
          ids,
          stopIds,
          tokens: plan.report.tokens,
          seed: options.seed,
          signal: session.stop,
        });
        log.write(sampleLine(written, engine));
        await telling.sample(written, engine);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error("internal: training ended without saying so");
  } finally {
    stopping();
    await telling.end();
  }
}

async function tell(
  { out, stop }: Session,
  flags: FinetuneFlags,
  { options }: FinetunePlan,
  { engine }: OpenedBase,
  questions: readonly Question[],
  before: Snapshot,
  after: Snapshot,
): Promise<void> {
  const about = { model: engine.info.name, out: flags.out, steps: options.steps, seed: options.seed };
  const report = reportOf(about, questions, before, after);
  await writeReport(flags.out, report);
  if (stop.aborted) return;
  if (flags.json) await out.line(JSON.stringify(finiteFields(report)));
  else for (const line of reportLines(report, engine.tokenizer, out.terminal, out.terminal.columns())) await out.line(line);
}

async function farewell(session: Session, end: TrainEnd, { lora, options }: FinetunePlan, { out }: FinetuneFlags): Promise<number> {
  if (end.reason === "done") {
    await session.hint(`try vitrine generate --model ${out}${lora ? `, or make one model of both with vitrine merge MODEL ${out} --out DIR` : ""}`);
    return 0;
  }
  const done = end.step === 0 ? "before the first step" : `after step ${grouped(end.step)} of ${grouped(options.steps)}, and saved`;
  const why = session.isInterrupted() ? "interrupted" : "stopped, as nobody reads the output any more,";
  await session.notice(`${why} ${done}; go on with vitrine finetune --resume --out ${out}`);
  return interrupted;
}
