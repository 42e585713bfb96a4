/**
 * What a run of `vitrine train` will do: a preset, with every flag over it, checked before any work. The plan lies in the run's folder
 * (run.json), so that a resume needs no flags and refuses those that would make it another run.
 * The flags themselves are commands/train.ts, doing it is training-run.ts.
 */
import { resolve } from "node:path";
import { VitrineError } from "../base/errors.ts";
import { readConfig } from "../model/config-file.ts";
import type { ModelConfig } from "../model/config.ts";
import { trainSettings } from "../training/settings.ts";
import type { TrainSettings } from "../training/settings.ts";
import type { DeviceFlags } from "./options.ts";

export interface TrainFlags extends DeviceFlags {
  readonly out: string;
  readonly preset?: string;
  readonly architecture?: string;
  readonly layers?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly width?: number;
  readonly mlpWidth?: number;
  readonly context?: number;
  readonly tokenizer?: string;
  readonly vocabulary?: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly accumulate?: number;
  readonly learningRate?: number;
  readonly leastLearningRate?: number;
  readonly warmup?: number;
  readonly weightDecay?: number;
  readonly beta1?: number;
  readonly beta2?: number;
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
  readonly samplePrompt?: string;
  readonly sampleTokens?: number;
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export interface ModelPlan {
  readonly architecture: "gpt2" | "llama";
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  readonly mlpWidth: number;
  readonly context: number;
}

export interface TrainPlan {
  /** Paths as they were found, whole: a resume may come from another folder. */
  readonly files: readonly string[];
  /** Texts of their own, or a share of the files. */
  readonly validation: { readonly files: readonly string[] } | { readonly share: number };
  /** "bpe" is learned on the files, "characters" are those of the files; else a model's folder or name. */
  readonly tokenizer: string;
  /** Of the one that is learned. */
  readonly vocabulary: number;
  readonly model: ModelPlan;
  /** Complete, so that a resume with other defaults is the same run. */
  readonly options: TrainSettings;
  readonly sample: SamplePlan;
}

export interface SamplePlan {
  /** 0 = none. */
  readonly every: number;
  /** null = the model's start token, else a line break. */
  readonly prompt: string | null;
  readonly tokens: number;
}

interface Preset extends Omit<ModelPlan, "architecture" | "kvHeads" | "mlpWidth"> {
  readonly tokenizer: string;
  readonly vocabulary: number;
  readonly steps: number;
  readonly batch: number;
  readonly accumulate: number;
  readonly learningRate: number;
  readonly beta2: number;
  readonly dropout: number;
  /** For people. */
  readonly about: string;
}

/** letters and small are nanoGPT's two character models in size and settings, gpt2 is the smallest of GPT-2. */
export const presets: Readonly<Record<string, Preset>> = {
  letters: {
    about: "letter by letter: 4 layers x 128, context 64; minutes",
    tokenizer: "characters", vocabulary: 512, layers: 4, heads: 4, width: 128, context: 64,
    steps: 2000, batch: 12, accumulate: 1, learningRate: 1e-3, beta2: 0.99, dropout: 0,
  },
  tiny: {
    about: "4 layers x 192, context 128, vocabulary 2,048; under an hour",
    tokenizer: "bpe", vocabulary: 2048, layers: 4, heads: 6, width: 192, context: 128,
    steps: 3000, batch: 16, accumulate: 1, learningRate: 1e-3, beta2: 0.99, dropout: 0,
  },
  small: {
    about: "6 layers x 384, context 256, vocabulary 4,096; a night",
    tokenizer: "bpe", vocabulary: 4096, layers: 6, heads: 6, width: 384, context: 256,
    steps: 5000, batch: 16, accumulate: 1, learningRate: 1e-3, beta2: 0.99, dropout: 0.1,
  },
  gpt2: {
    about: "12 layers x 768, context 1,024, vocabulary 16,384; weeks",
    tokenizer: "bpe", vocabulary: 16384, layers: 12, heads: 12, width: 768, context: 1024,
    steps: 20_000, batch: 4, accumulate: 8, learningRate: 6e-4, beta2: 0.95, dropout: 0,
  },
}; // prettier-ignore

export const defaultPreset = "tiny";

/** 256 bytes and the end of a text. */
export const leastVocabulary = 257;
/** Warming up takes so much of the steps, as in nanoGPT's character models. */
const warmupShare = 0.05;
const sampleShare = 0.1;
const lettersInSample = 160;
const tokensInSample = 48;

/** The plan that flags ask for. `files` and `validation` are paths found already. Throws VitrineError, naming the flags, for what cannot be. */
export function planOf(flags: TrainFlags, files: readonly string[], validation: readonly string[]): TrainPlan {
  const preset = presets[flags.preset ?? defaultPreset];
  const tokenizer = flags.tokenizer ?? (flags.vocabulary === undefined ? preset.tokenizer : "bpe");
  checkTokenizer(flags, tokenizer);
  const steps = flags.steps ?? preset.steps;
  const learningRate = flags.learningRate ?? preset.learningRate;
  checkSchedule({ steps, learningRate, warmup: flags.warmup ?? 0, leastLearningRate: flags.leastLearningRate ?? 0 });
  if (flags.validation !== undefined && flags.validationShare !== undefined)
    throw new VitrineError("--validation and --validation-share were both given; a text of its own, or a share of the files: give one of them");
  const model = modelOf(flags, preset);
  return {
    files,
    validation: flags.validation === undefined ? { share: flags.validationShare ?? 0.1 } : { files: validation },
    tokenizer: tokenizer === "bpe" || tokenizer === "characters" ? tokenizer : named(tokenizer),
    vocabulary: flags.vocabulary ?? preset.vocabulary,
    model,
    options: trainSettings(
      {
        steps,
        learningRate,
        leastLearningRate: flags.leastLearningRate,
        batch: flags.batch ?? preset.batch,
        accumulate: flags.accumulate ?? preset.accumulate,
        warmup: flags.warmup ?? Math.max(1, Math.round(steps * warmupShare)),
        beta1: flags.beta1,
        beta2: flags.beta2 ?? preset.beta2,
        weightDecay: flags.weightDecay,
        clip: flags.clip,
        dropout: flags.dropout ?? preset.dropout,
        recompute: flags.recompute,
        evaluateEvery: flags.evaluateEvery,
        evaluateBatches: flags.evaluateBatches,
        saveEvery: flags.saveEvery,
        seed: flags.seed,
      },
      model.context,
    ),
    sample: {
      every: flags.sampleEvery ?? Math.max(1, Math.round(steps * sampleShare)),
      prompt: flags.samplePrompt ?? null,
      tokens: flags.sampleTokens ?? (tokenizer === "characters" ? lettersInSample : tokensInSample),
    },
  };
}

/** Throws VitrineError, naming the flags, for a schedule that contradicts itself. */
export function checkSchedule({
  steps,
  warmup,
  learningRate,
  leastLearningRate,
}: Pick<TrainSettings, "steps" | "warmup" | "learningRate" | "leastLearningRate">): void {
  if (warmup > steps)
    throw new VitrineError(`--warmup is ${warmup}, more than all ${steps} steps: the learning rate would never be reached; give at most ${steps}`);
  if (leastLearningRate > learningRate)
    throw new VitrineError(
      `--least-learning-rate is ${leastLearningRate}, above the learning rate ${learningRate}; give at most that, it is where the rate ends`,
    );
}

/** A folder that is there whatever the working folder is later; a name stays one. */
function named(tokenizer: string): string {
  return /^[./~\\]|[\\/]/.test(tokenizer) && !/^[\w.-]+\/[\w.-]+(@.+)?$/.test(tokenizer) ? resolve(tokenizer) : tokenizer;
}

function checkTokenizer({ vocabulary }: TrainFlags, tokenizer: string): void {
  if (tokenizer === "") throw new VitrineError('--tokenizer is ""; expected characters, bpe, or a model\'s folder or name');
  if (vocabulary !== undefined && tokenizer !== "bpe")
    throw new VitrineError(
      `--vocabulary ${vocabulary} is the size of a vocabulary to be learned, and --tokenizer ${tokenizer} brings its own; leave one of them out`,
    );
  if (vocabulary !== undefined && vocabulary < leastVocabulary)
    throw new VitrineError(
      `--vocabulary is ${vocabulary}; expected at least ${leastVocabulary}, the 256 bytes and the end of a text (--tokenizer characters has one token for each letter)`,
    );
}

function modelOf(flags: TrainFlags, preset: Preset): ModelPlan {
  const architecture = flags.architecture === "llama" ? "llama" : "gpt2";
  const { layers = preset.layers, heads = preset.heads, width = preset.width, context = preset.context } = flags;
  const { kvHeads = heads, mlpWidth = architecture === "llama" ? 32 * Math.ceil(width / 12) : 4 * width } = flags;
  if (width % heads !== 0) {
    const [below, above] = [Math.floor(width / heads) * heads, Math.ceil(width / heads) * heads];
    throw new VitrineError(
      `${told(flags, "width", width)} is not divisible by ${told(flags, "heads", heads)}: every head has an equal share of the width; try --width ${below > 0 ? `${below} or ${above}` : above}`,
    );
  }
  if (kvHeads !== heads && architecture === "gpt2")
    throw new VitrineError(`--kv-heads ${kvHeads}: in gpt2 every head has keys and values of its own; add --architecture llama, or leave it out`);
  if (heads % kvHeads !== 0)
    throw new VitrineError(
      `--kv-heads ${kvHeads} does not divide ${told(flags, "heads", heads)}: heads share keys evenly; give a divisor of ${heads}`,
    );
  if (architecture === "llama" && (width / heads) % 2 !== 0)
    throw new VitrineError(
      `${told(flags, "width", width)} gives each of ${heads} heads ${width / heads} numbers, and rotary positions turn them in pairs; try --width ${width + heads}`,
    );
  return { architecture, layers, heads, kvHeads, width, mlpWidth, context };
}

/** `--width 130`, or `the preset's 128 heads`: only what was typed is called a flag. */
function told(flags: TrainFlags, name: "width" | "heads", value: number): string {
  return flags[name] === undefined ? `${name} ${value} of the preset` : `--${name} ${value}`;
}

/** The model's dimensions as config.json would say them. `endOfText` begins and ends texts, where the tokenizer has such a token. */
export function configOf({ architecture, ...plan }: ModelPlan, vocabularySize: number, endOfText: number | undefined): ModelConfig {
  const shared = { model_type: architecture, vocab_size: vocabularySize, bos_token_id: endOfText ?? null, eos_token_id: endOfText ?? null };
  const { layers, heads, kvHeads, width, mlpWidth, context } = plan;
  if (architecture === "gpt2")
    return readConfig({ ...shared, n_layer: layers, n_head: heads, n_embd: width, n_inner: mlpWidth, n_positions: context }, "the model asked for");
  return readConfig(
    {
      ...shared,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      hidden_size: width,
      intermediate_size: mlpWidth,
      max_position_embeddings: context,
      tie_word_embeddings: true,
    },
    "the model asked for",
  );
}

/**
 * The saved plan of a run that goes on, with what may change: its schedule, what is shown, and where its texts lie; whether they are
 * the same is seen once they are read. Throws VitrineError for flags that contradict it.
 */
export function resumedPlan(saved: TrainPlan, flags: TrainFlags, files: readonly string[], validation: readonly string[]): TrainPlan {
  const asked: Readonly<Record<string, unknown>> = { ...flags };
  for (const [flag, before] of Object.entries(settings(saved))) {
    const now = asked[flag];
    if (now !== undefined && now !== before) throw refused(flag, now as string | number | boolean, before);
  }
  if (flags.preset !== undefined)
    throw new VitrineError(`--preset ${flags.preset}: --resume goes on with the settings the run began with; leave it out`);
  if (flags.force) throw new VitrineError("--force writes over a run and --resume goes on with it; give one of them");
  if (flags.validation !== undefined && !("files" in saved.validation))
    throw new VitrineError(
      `--validation: in this run a share of the text is kept for it (${saved.validation.share}); leave it out, or begin anew in another --out`,
    );
  const { every, prompt, tokens } = saved.sample;
  return {
    ...saved,
    files: files.length > 0 ? files : saved.files,
    validation: flags.validation === undefined ? saved.validation : { files: validation },
    options: resumedOptions(saved.options, flags),
    sample: { every: flags.sampleEvery ?? every, prompt: flags.samplePrompt ?? prompt, tokens: flags.sampleTokens ?? tokens },
  };
}

/** Options that change no number of the steps done so far: how it goes on from there, and how often somebody looks. */
export const free = [
  "steps",
  "learningRate",
  "leastLearningRate",
  "warmup",
  "clip",
  "recompute",
  "evaluateEvery",
  "evaluateBatches",
  "saveEvery",
] as const;

type Free = Pick<TrainSettings, (typeof free)[number]>;

/** The options of a run that goes on. A lower learning rate takes the least one down with it, where that is not given. Throws VitrineError. */
export function resumedOptions(saved: TrainSettings, flags: Partial<Free>): TrainSettings {
  const given = Object.fromEntries(free.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]])) as Partial<Free>;
  const { learningRate = saved.learningRate } = given;
  const least =
    learningRate === saved.learningRate
      ? saved.leastLearningRate
      : Math.min(learningRate, (saved.leastLearningRate * learningRate) / saved.learningRate);
  const options = { ...saved, leastLearningRate: least, ...given };
  checkSchedule(options);
  return options;
}

/** What a resume may not change, under the names of the flags. */
function settings({ tokenizer, vocabulary, model, options, validation }: TrainPlan): Readonly<Record<string, string | number | boolean | undefined>> {
  const fixed = Object.entries(options).filter(([name]) => !(free as readonly string[]).includes(name));
  return {
    ...model,
    tokenizer,
    vocabulary: tokenizer === "bpe" ? vocabulary : undefined,
    validationShare: "share" in validation ? validation.share : undefined,
    ...Object.fromEntries(fixed),
  };
}

function refused(flag: string, now: string | number | boolean, before: string | number | boolean | undefined): VitrineError {
  const name = `--${flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const was = before === undefined ? "it was not given" : `it is ${before}`;
  return new VitrineError(
    `${name} ${now === true ? "" : `${now} `}cannot be changed by --resume: in this run ${was}; leave it out, or begin anew in another --out`.replace(
      "  ",
      " ",
    ),
  );
}
