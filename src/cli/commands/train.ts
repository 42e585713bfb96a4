/**
 * `vitrine train`: a model from plain text, from random numbers on, with everything to be seen while it learns.
 * Flags become a plan in training-plan.ts, the plan a run in training-run.ts; how it is told is training-telling.ts's.
 */
import { Command, Option } from "commander";
import { VitrineError } from "../../base/errors.ts";
import { train } from "../../training/trainer.ts";
import type { TrainEnd } from "../../training/training.ts";
import { interrupted } from "../errors.ts";
import { grouped } from "../numbers.ts";
import { addDeviceFlags, numberIn, oneOf } from "../options.ts";
import { checkNewFolder, inRunFolder } from "../run-folder.ts";
import type { Run, Session } from "../session.ts";
import { textFiles } from "../text-files.ts";
import { Figures } from "../training-figures.ts";
import { openSavedRun, placeOf, writePlan } from "../training-folder.ts";
import { openLog } from "../training-log.ts";
import type { TrainingLog } from "../training-log.ts";
import { defaultPreset, planOf, presets, resumedPlan } from "../training-plan.ts";
import type { TrainFlags, TrainPlan } from "../training-plan.ts";
import { openRun } from "../training-run.ts";
import type { OpenedRun } from "../training-run.ts";
import { drawSample, sampleLine } from "../training-sample.ts";
import { endText, runLine, sayWhenStopped, trainTelling } from "../training-telling.ts";
import { wrapWords } from "../width.ts";

const examples = `
Presets, of which every number can be changed:
${Object.entries(presets)
  .map(([name, { about }]) => `  ${name.padEnd(9)}${about}`)
  .join("\n")}

Examples:
  vitrine train shakespeare.txt --out out/letters --preset letters
  vitrine train books/ --out out/books --layers 6 --width 288 --heads 6 --vocabulary 4096
  vitrine train --resume --out out/books            goes on where it was interrupted
  vitrine generate "Once upon a time" --model out/books

Ctrl-C finishes the step and saves. In the folder lie the model as it is now, the best
one so far (best/), the checkpoint, log.jsonl and log.csv.`;

export function trainCommand(run: Run): Command {
  const command = new Command("train")
    .summary("learn a model from text files")
    .description("Learns a model from plain text, from random weights on. FILES are text files, or folders with .txt files inside.")
    .argument("[files...]", "what to learn from")
    .requiredOption("-o, --out <dir>", "the folder of the run: model, checkpoint, log")
    .option(
      "--resume",
      "go on with the run in --out, with its settings; only the schedule (--steps, --learning-rate, --least-learning-rate, --warmup, --clip), --recompute and what is shown or saved may change; texts that have moved are named again",
    )
    .option("--force", "begin anew in a folder that holds a run or a model")
    .optionsGroup("The model:");
  const whole = (flag: string, value: string, help: string, least: number, most?: number): void => {
    const name = `--${flag}`;
    command.addOption(new Option(`${name} <${value}>`, help).argParser(numberIn(name, { least, most, whole: true })));
  };
  const number = (flag: string, value: string, help: string, range: Parameters<typeof numberIn>[1]): void => {
    const name = `--${flag}`;
    command.addOption(new Option(`${name} <${value}>`, help).argParser(numberIn(name, range)));
  };
  command
    .addOption(
      new Option("--preset <name>", `sizes and settings to begin with: ${Object.keys(presets).join(", ")} (default: ${defaultPreset})`).argParser(
        oneOf("--preset", Object.keys(presets)),
      ),
    )
    .addOption(new Option("--architecture <name>", "gpt2 or llama (default: gpt2)").argParser(oneOf("--architecture", ["gpt2", "llama"])));
  whole("layers", "n", "blocks of attention and MLP", 1, 1000);
  whole("heads", "n", "attention heads of a block; they share the width evenly", 1, 4096);
  whole("kv-heads", "n", "llama: heads of keys and values, shared by the others (default: as many as heads)", 1, 4096);
  whole("width", "n", "numbers of a token's vector", 1, 65_536);
  whole("mlp-width", "n", "neurons of each MLP (default: 4 x width, llama 8/3 x width)", 1, 1_048_576);
  whole("context", "n", "tokens the model looks back at", 1, 1_048_576);
  command.addOption(
    new Option(
      "--tokenizer <which>",
      "characters (one token each), bpe (learned on the files), or the folder or name of a model whose tokenizer is used",
    ),
  );
  whole("vocabulary", "n", "tokens of a bpe that is learned", 1, 1_000_000);
  command.optionsGroup("How it learns:");
  whole("steps", "n", "steps in all", 1, 1e9);
  whole("batch", "n", "texts of the context's length read in a step", 1, 1e6);
  whole("accumulate", "n", "batches added up for a step (default: 1)", 1, 1e6);
  number("learning-rate", "x", "the highest, reached after the warm-up; then it falls as a cosine", { above: 0, most: 10 });
  number("least-learning-rate", "x", "where it ends (default: a tenth of the highest)", { least: 0 });
  whole("warmup", "n", "steps until the learning rate is reached (default: a twentieth of the steps)", 0, 1e9);
  number("weight-decay", "x", "matrices shrink by learning rate x this of themselves (default: 0.1)", { least: 0, most: 100 });
  number("beta1", "x", "AdamW's memory of the gradient (default: 0.9)", { least: 0, most: 0.999999 });
  number("beta2", "x", "AdamW's memory of its square (default: 0.99, gpt2 0.95)", { least: 0, most: 0.999999 });
  number("clip", "x", "the gradient's norm is cut to it; 0 = never (default: 1)", { least: 0 });
  number("dropout", "x", "share of numbers dropped while learning", { least: 0, most: 0.95 });
  command.option("--recompute", "blocks are computed twice instead of kept: less memory, a third more time");
  whole("seed", "n", "of the first weights and of what is drawn; the same seed gives the same model (default: 0)", 0, 2 ** 32 - 1);
  addDeviceFlags(command);
  command.optionsGroup("What it is checked on:").option("--validation <files...>", "texts that are not learned from");
  number("validation-share", "x", "the share of FILES kept for it (default: 0.1; 0: none)", { least: 0, most: 0.9 });
  whole("evaluate-every", "n", "look at it every n steps; 0: at the end (default: twenty times)", 0, 1e9);
  whole("evaluate-batches", "n", "on so many batches of it (default: 20)", 1, 1e6);
  whole("save-every", "n", "a checkpoint every n steps, and at every best validation loss (default: 250)", 1, 1e9);
  command.optionsGroup("What you see:");
  whole("sample-every", "n", "let it write every n steps; 0: never (default: ten times)", 0, 1e9);
  command.addOption(new Option("--sample-prompt <text>", "what it continues (default: the beginning of a text)"));
  whole("sample-tokens", "n", "how much it writes", 1, 100_000);
  return command
    .option("--json", "JSON Lines: the run, every step, samples (docs/json.md); the live view goes to standard error")
    .addHelpText("after", examples)
    .action((files: string[], flags: TrainFlags) => run((session) => trainFrom(session, files, flags)));
}

async function trainFrom(session: Session, named: readonly string[], flags: TrainFlags): Promise<number> {
  if (named.length === 0 && !flags.resume)
    throw new VitrineError(
      "no text was given; name files or folders with .txt files, for example vitrine train shakespeare.txt --out out/letters --preset letters",
    );
  const [files, validation] = [await textFiles(named), await textFiles(flags.validation ?? [])];
  return inRunFolder(flags.out, () => trainIn(session, flags, files, validation));
}

/** The run, in a folder that is this process's alone. */
async function trainIn(session: Session, flags: TrainFlags, files: readonly string[], validation: readonly string[]): Promise<number> {
  const { out } = flags;
  const saved = flags.resume ? await openSavedRun(out) : undefined;
  const plan = saved ? resumedPlan(saved.plan, flags, files, validation) : planOf(flags, files, validation);
  const from = saved?.state?.step ?? 0;
  if (saved === undefined) await checkNewFolder(out, { tokenizer: plan.tokenizer, force: flags.force });
  else if (plan.options.steps < from)
    throw new VitrineError(`--steps is ${plan.options.steps}, and ${from} are done already; give more, or begin anew in another --out`);

  const run = await openRun(session, out, plan, flags, saved !== undefined, (opened) => {
    if (saved?.data !== undefined && saved.data !== opened.data)
      throw new VitrineError(
        "--resume: the texts or the tokenizer are not as they were when the run began, so it cannot go on with them; put them back, or begin anew in another --out",
      );
    promptOf(plan, opened);
  });
  try {
    const prompt = promptOf(plan, run);
    if (saved !== undefined) await writePlan(out, plan, run.data);
    const log = await openLog(out, from, (note) => void session.notice(note));
    const figures = new Figures(plan.options.steps);
    figures.recall(log.earlier);
    const end = await learn(session, { flags, plan, run, log, from, prompt, figures });
    return await farewell(session, end, figures, flags);
  } finally {
    run.engine.dispose();
  }
}

interface Learning {
  readonly flags: TrainFlags;
  readonly plan: TrainPlan;
  readonly run: OpenedRun;
  readonly log: TrainingLog;
  readonly from: number;
  readonly prompt: string;
  readonly figures: Figures;
}

/** What samples continue. Throws VitrineError where the tokenizer has no tokens for it: now, not at the first sample. */
function promptOf({ sample }: TrainPlan, { engine: { tokenizer } }: OpenedRun): string {
  if (sample.prompt === null || sample.prompt === "") {
    const start = tokenizer.bosId ?? tokenizer.eosId;
    if (start !== undefined) return "";
    return ["\n", " "].find((text) => canEncode(tokenizer, text)) ?? tokenizer.token(0).text;
  }
  try {
    tokenizer.encode(sample.prompt);
  } catch (error) {
    throw error instanceof VitrineError ? new VitrineError(`--sample-prompt: ${error.message}`, { cause: error }) : error;
  }
  return sample.prompt;
}

function canEncode(tokenizer: OpenedRun["engine"]["tokenizer"], text: string): boolean {
  try {
    return tokenizer.encode(text).length > 0;
  } catch (error) {
    if (error instanceof VitrineError) return false;
    throw error;
  }
}

/** Runs the steps and tells of them. Between two the event loop turns, so that Ctrl-C is noticed. */
async function learn(session: Session, { flags, plan, run, log, from, prompt, figures }: Learning): Promise<TrainEnd> {
  const { engine } = run;
  const { options, sample } = plan;
  const telling = trainTelling(session, figures, flags.json === true);
  await telling.begin(runLine(flags.out, run.engine, run, options, from));
  const stopping = sayWhenStopped(session, telling);
  try {
    const place = placeOf(flags.out, engine.model);
    const { train: text, validation, data } = run;
    const goesOn = { resume: from > 0, extend: from > 0, overwrite: flags.force === true };
    for await (const event of train({ model: engine.model, train: text, validation, options, data, place, ...goesOn, signal: session.stop })) {
      figures.add(event);
      await telling.event(event);
      if (event.type === "end") return event;
      log.write(event);
      const isDue = event.type === "step" && sample.every > 0 && (event.step % sample.every === 0 || event.step === options.steps);
      if (isDue && !session.stop.aborted) {
        const written = await drawSample(engine, prompt, event.step, { tokens: sample.tokens, seed: options.seed, signal: session.stop });
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

async function farewell(session: Session, end: TrainEnd, figures: Figures, { out, json }: TrainFlags): Promise<number> {
  const { columns, isTTY } = session.out.terminal;
  const words = endText(end, figures, out);
  if (!json) await session.out.line(isTTY ? `\n${wrapWords(words, columns() - 1)}` : words);
  if (end.reason === "done") {
    await session.hint(`try vitrine generate --model ${out}`);
    return 0;
  }
  const done = end.step === 0 ? "before the first step" : `after step ${grouped(end.step)} of ${grouped(figures.steps)}, and saved`;
  const why = session.isInterrupted() ? "interrupted" : "stopped, as nobody reads the output any more,";
  await session.notice(`${why} ${done}; go on with vitrine train --resume --out ${quotedForShell(out)}`);
  return interrupted;
}

function quotedForShell(path: string): string {
  return /^[\w./@:+,-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
