/**
 * What a run of `vitrine finetune` will do, complete, so that a resume with other defaults is the same run; it lies in the run's folder
 * as finetune.json (finetune-folder.ts). The flags are commands/finetune.ts's, doing it is finetune-run.ts's.
 */
import { quoted, VitrineError } from "../base/errors.ts";
import { usualTargets } from "../engine/adapters.ts";
import type { ModelConfig } from "../model/config.ts";
import { trainSettings } from "../training/settings.ts";
import type { TrainSettings } from "../training/settings.ts";
import type { TokenData } from "../training/token-list.ts";
import type { DeviceFlags } from "./options.ts";
import { checkSchedule, free, resumedOptions } from "./training-plan.ts";

export interface FinetuneFlags extends DeviceFlags {
  readonly out: string;
  readonly lora?: boolean;
  readonly rank?: number;
  readonly alpha?: number;
  readonly targets?: readonly string[];
  readonly chatTemplate?: string;
  readonly tokenizer?: string;
  readonly epochs?: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly accumulate?: number;
  readonly context?: number;
  readonly learningRate?: number;
  readonly warmup?: number;
  readonly weightDecay?: number;
  readonly clip?: number;
  readonly dropout?: number;
  readonly recompute?: boolean;
  readonly seed?: number;
  readonly validation?: readonly string[];
  readonly validationShare?: number;
  readonly evaluateEvery?: number;
  readonly evaluateBatches?: number;
  readonly saveEvery?: number;
  readonly sampleEvery?: number;
  readonly reportPrompt?: readonly string[];
  readonly reportTokens?: number;
  readonly oldText?: readonly string[];
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export interface LoraPlan {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly string[];
}

/** What is known before a file is read. */
export interface FinetuneRequest {
  /** A path, whole, or a name. */
  readonly model: string;
  /** Paths as they were found, whole. */
  readonly files: readonly string[];
  /** Texts of their own, or a share of the files. */
  readonly validation: { readonly files: readonly string[] } | { readonly share: number };
  readonly kind: "text" | "chat";
  /** The chat template's program where the model's own is not used. */
  readonly template: string | null;
  readonly lora: LoraPlan | null;
  /** 0 = never. */
  readonly sampleEvery: number | null;
  readonly report: {
    /** null: some that suit. */
    readonly prompts: readonly string[] | null;
    /** Of each continuation. */
    readonly tokens: number;
    /** What the model should not forget. */
    readonly oldText: readonly string[];
  };
}

export interface FinetunePlan extends FinetuneRequest {
  readonly options: TrainSettings;
}

const defaults = { rank: 8, alpha: 16, batch: 8, epochs: 3, dropout: 0.1, weightDecay: 0.01, warmupShare: 0.05, validationShare: 0.1 };
const fewestSteps = 20;

/** What kind of files these are, by their endings. Throws VitrineError for a mixture. */
export function kindOf(files: readonly string[]): "text" | "chat" {
  const chats = files.filter((file) => /\.jsonl$/i.test(file));
  if (chats.length === 0) return "text";
  const text = files.find((file) => !chats.includes(file));
  if (text === undefined) return "chat";
  throw new VitrineError(`${quoted(chats[0])} is chat transcripts and ${quoted(text)} is text; fine-tune on one kind at a time`);
}

/** Files as they were found. */
export interface FinetunePaths {
  readonly files: readonly string[];
  readonly validation: readonly string[];
  readonly oldText: readonly string[];
}

/** What the flags ask for. Paths were found already. Throws VitrineError, naming the flags, for what contradicts itself. */
export function requestOf(model: string, flags: FinetuneFlags, paths: FinetunePaths, template: string | null): FinetuneRequest {
  checkFlags(flags);
  const kind = kindOf(paths.files);
  if (paths.validation.length > 0 && kindOf(paths.validation) !== kind)
    throw new VitrineError(`--validation ${quoted(paths.validation[0])} is of another kind than the files to learn from; give ${kind === "chat" ? "chat transcripts (.jsonl)" : "text"} too`); // prettier-ignore
  if (template !== null && kind === "text")
    throw new VitrineError("--chat-template is for chat transcripts (.jsonl), and the files are text; leave it out");
  checkOldText(paths.oldText);
  return {
    model,
    files: paths.files,
    validation: flags.validation === undefined ? { share: flags.validationShare ?? defaults.validationShare } : { files: paths.validation },
    kind,
    template,
    lora: flags.lora ? { rank: flags.rank ?? defaults.rank, alpha: flags.alpha ?? defaults.alpha, targets: flags.targets ?? [] } : null,
    sampleEvery: flags.sampleEvery ?? null,
    report: { prompts: flags.reportPrompt ?? null, tokens: flags.reportTokens ?? 32, oldText: paths.oldText },
  };
}

function checkOldText(files: readonly string[]): void {
  if (files.some((file) => /\.jsonl$/i.test(file)))
    throw new VitrineError(
      `--old-text ${quoted(files[0])}: chat transcripts came, expected plain text, for example some of what the model was trained on`,
    );
}

function checkFlags(flags: FinetuneFlags): void {
  if (flags.tokenizer !== undefined)
    throw new VitrineError(
      `--tokenizer ${quoted(flags.tokenizer)}: a model only knows the tokens it was trained with, so it keeps its tokenizer; leave it out, or train a new model with vitrine train --tokenizer`,
    );
  for (const flag of ["rank", "alpha", "targets"] as const)
    if (flags[flag] !== undefined && !flags.lora)
      throw new VitrineError(`--${flag} is about LoRA; add --lora, or leave it out to change all weights`);
  if (flags.steps !== undefined && flags.epochs !== undefined)
    throw new VitrineError("--steps and --epochs were both given; they say the same in two ways: give one of them");
  if (flags.validation !== undefined && flags.validationShare !== undefined)
    throw new VitrineError("--validation and --validation-share were both given; a text of its own, or a share of the files: give one of them");
}

/**
 * The whole plan, once model and text are known. Defaults: three times through the text at a learning rate that falls with the model's
 * width: 5e-5 at GPT-2's 768, as is usual there, and four times that for LoRA, of which there is less to spoil.
 */
export function planOf(request: FinetuneRequest, flags: FinetuneFlags, config: ModelConfig, train: TokenData): FinetunePlan {
  const lora = request.lora && { ...request.lora, targets: request.lora.targets.length > 0 ? request.lora.targets : usualTargets[config.family] };
  const context = flags.context ?? Math.max(1, Math.min(config.contextLength, train.tokens.length - 1));
  if (context > config.contextLength)
    throw new VitrineError(
      `--context is ${context}, and the model has only ${config.contextLength} positions; leave it out or give at most ${config.contextLength}`,
    );
  const { batch = defaults.batch, accumulate = 1 } = flags;
  const once = train.tokens.length / (batch * accumulate * context);
  const steps = flags.steps ?? Math.max(fewestSteps, Math.ceil((flags.epochs ?? defaults.epochs) * once));
  const usual = (5e-5 * 768) / config.width;
  const learningRate = flags.learningRate ?? Number(Math.min(3e-3, lora ? 4 * usual : usual).toPrecision(2));
  checkSchedule({ steps, learningRate, warmup: flags.warmup ?? 0, leastLearningRate: 0 });
  const options = trainSettings(
    {
      steps,
      batch,
      accumulate,
      context,
      learningRate,
      warmup: flags.warmup ?? Math.max(1, Math.round(steps * defaults.warmupShare)),
      beta2: 0.99,
      weightDecay: flags.weightDecay ?? defaults.weightDecay,
      clip: flags.clip,
      dropout: flags.dropout ?? defaults.dropout,
      recompute: flags.recompute,
      evaluateEvery: flags.evaluateEvery,
      evaluateBatches: flags.evaluateBatches,
      saveEvery: flags.saveEvery,
      seed: flags.seed,
    },
    config.contextLength,
  );
  return { ...request, lora, options };
}

/** The saved plan of a run that goes on; only its schedule, what is shown, and where model and texts lie, may change. Throws VitrineError for flags that contradict it. */
export function resumedPlan(
  saved: FinetunePlan,
  flags: FinetuneFlags,
  model: string | undefined,
  paths: FinetunePaths,
  template: string | null,
): FinetunePlan {
  checkFlags({ ...flags, lora: flags.lora ?? saved.lora !== null });
  const refuse = (what: string, now: unknown, before: unknown): never => {
    throw new VitrineError(
      `${what} ${String(now)} cannot be changed by --resume: in this run it is ${String(before)}; leave it out, or begin anew in another --out`,
    );
  };
  if (flags.force) throw new VitrineError("--force writes over a run and --resume goes on with it; give one of them");
  if (flags.epochs !== undefined) throw new VitrineError("--epochs cannot be changed by --resume; say how many steps in all with --steps");
  if (paths.files.length > 0 && kindOf(paths.files) !== saved.kind) refuse("FILES", paths.files.join(" "), saved.files.join(" "));
  if (template !== null && template !== saved.template) refuse("--chat-template", "of other words", "another");
  if (flags.lora && saved.lora === null)
    throw new VitrineError("--lora cannot be begun by --resume: this run changes all weights; leave it out, or begin anew in another --out");
  const before: Readonly<Record<string, unknown>> = { ...saved.options, ...saved.lora, ...saved.validation };
  const asked: Readonly<Record<string, unknown>> = { ...flags, validationShare: undefined };
  const fixed = Object.keys(saved.options).filter((name) => !(free as readonly string[]).includes(name));
  for (const flag of [...fixed, "rank", "alpha"])
    if (asked[flag] !== undefined && asked[flag] !== before[flag]) refuse(`--${dashed(flag)}`, asked[flag], before[flag]);
  if (flags.targets !== undefined && flags.targets.join() !== saved.lora?.targets.join()) refuse("--targets", flags.targets, saved.lora?.targets);
  if (
    (flags.validation !== undefined && !("files" in saved.validation)) ||
    (flags.validationShare !== undefined && flags.validationShare !== before.share)
  )
    throw new VitrineError("--resume goes on with the validation text the run began with; leave --validation and --validation-share out");
  checkOldText(paths.oldText);
  return {
    ...saved,
    model: model ?? saved.model,
    files: paths.files.length > 0 ? paths.files : saved.files,
    validation: flags.validation === undefined ? saved.validation : { files: paths.validation },
    options: resumedOptions(saved.options, flags),
    sampleEvery: flags.sampleEvery ?? saved.sampleEvery,
    report: {
      prompts: flags.reportPrompt ?? saved.report.prompts,
      tokens: flags.reportTokens ?? saved.report.tokens,
      oldText: flags.oldText === undefined ? saved.report.oldText : paths.oldText,
    },
  };
}

function dashed(flag: string): string {
  return flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
