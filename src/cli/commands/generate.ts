/**
 * `vitrine generate`: continues a text, word by word; with --show the distribution behind each word, with --json both as data.
 * The flags are here, the three ways of telling about it in telling.ts.
 */
import { Command, Option } from "commander";
import type { Engine, GenerateEnd, GenerateOptions, Step } from "../../engine/engine.ts";
import { VitrineError } from "../../base/errors.ts";
import { checkSampling } from "../../generation/sampling.ts";
import type { Token } from "../../tokenizer/tokenizer.ts";
import { interrupted } from "../errors.ts";
import { addFileFlag, addModelFlags, checkContext, numberIn, oneOf, readBias, readStop } from "../options.ts";
import type { ModelFlags, TextFlags } from "../options.ts";
import { openEngine } from "../opening.ts";
import { givenText } from "../session.ts";
import type { Session } from "../session.ts";
import { jsonTelling, plainTelling, showTelling } from "../telling.ts";
import type { Telling, Told } from "../telling.ts";

export interface GenerateFlags extends ModelFlags, TextFlags {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly logitBias?: Readonly<Record<number, number>>;
  readonly seed?: number;
  readonly maxTokens?: number;
  readonly stop?: readonly string[];
  readonly context?: number;
  readonly onFull?: "slide" | "stop";
  readonly slideBy?: number;
  readonly show?: number;
  readonly pace?: number;
  readonly json?: boolean;
  readonly echo: boolean;
}

const examples = `
Examples:
  vitrine generate "Once upon a time"
  vitrine generate "Once upon a time" --show 12     with every distribution
  vitrine generate "Once upon a time" -t 0          always the most probable word
  vitrine generate -s 8 --pace 1 --context 16       slowly, with a short memory
  echo "The goal of" | vitrine generate --seed 7    the same text every time
  vitrine generate "Hello" --json | head            as data (docs/json.md)

Text goes to standard output, everything else to standard error.`;

/** `vitrine generate` with its flags and help. */
export function generateCommand(run: (work: (session: Session) => Promise<number>) => Promise<void>): Command {
  const command = new Command("generate")
    .summary("continue a text, and show how each word was chosen")
    .description(
      "Continues a text word by word: predict, sample, append, repeat.\nThe prompt is the argument, a --file, or standard input (a pipe, or -).",
    )
    .argument("[prompt...]", "the text to continue; without one, text begins from the model's start token");
  addFileFlag(command, "the prompt");
  addModelFlags(command);
  command
    .optionsGroup("How each word is chosen:")
    .addOption(
      new Option(
        "-t, --temperature <t>",
        "0 = always the most probable, 1 = the model's own, higher = more even, without an upper limit (hosted APIs stop at 2)",
      )
        .default(1)
        .argParser(
          numberIn("--temperature", { least: 0, hint: "0 always takes the most probable word, 1 is the model's own, 2 and more gets wild" }),
        ),
    )
    .addOption(new Option("--top-k <k>", "only the k most probable (0: all)").argParser(numberIn("--top-k", { least: 0, whole: true })))
    .addOption(new Option("--top-p <p>", "only the fewest that sum to at least p").argParser(numberIn("--top-p", { above: 0, most: 1 })))
    .addOption(
      new Option("--min-p <p>", "only those at least p times as probable as the first").argParser(numberIn("--min-p", { least: 0, most: 1 })),
    )
    .addOption(
      new Option("--repetition-penalty <r>", "above 1: words seen before become less probable").argParser(
        numberIn("--repetition-penalty", { least: 1e-6, hint: "1 changes nothing, 1.2 is usual" }),
      ),
    )
    .addOption(
      new Option("--frequency-penalty <f>", "taken off a token's logit for each time it was generated").argParser(
        numberIn("--frequency-penalty", {}),
      ),
    )
    .addOption(new Option("--presence-penalty <f>", "taken off once if it was generated at all").argParser(numberIn("--presence-penalty", {})))
    .addOption(new Option("--logit-bias <id=bias>", "added to the logit of a token; repeatable").argParser(readBias))
    .addOption(
      new Option("--seed <n>", "the same seed gives the same text (default: a new one, told at the end)").argParser(
        numberIn("--seed", { least: 0, most: 2 ** 32 - 1, whole: true }),
      ),
    )
    .optionsGroup("How long:")
    .addOption(
      new Option("-n, --max-tokens <n>", "stop after so many tokens (default: 256; with --on-full stop: until the context is full)").argParser(
        numberIn("--max-tokens", { least: 0, whole: true }),
      ),
    )
    .addOption(new Option("--stop <text>", "stop before this text appears; repeatable, \\n is a line break").argParser(readStop))
    .addOption(new Option("--context <n>", "remember at most n tokens").argParser(numberIn("--context", { least: 1, whole: true })))
    .addOption(
      new Option("--on-full <what>", "when the context is full: slide (forget the oldest, the default) or stop").argParser(
        oneOf("--on-full", ["slide", "stop"]),
      ),
    )
    .addOption(
      new Option("--slide-by <n>", "how many tokens to forget at once (default: an eighth of the context)").argParser(
        numberIn("--slide-by", { least: 1, whole: true }),
      ),
    )
    .optionsGroup("What you see:")
    .addOption(
      new Option("-s, --show <n>", "draw the n most probable tokens for every word").argParser(
        numberIn("--show", { least: 0, most: 1000, whole: true }),
      ),
    )
    .addOption(new Option("--pace <seconds>", "wait after each word, to watch").argParser(numberIn("--pace", { least: 0, most: 3600 })))
    .option("--json", "JSON Lines: a prompt, a step for each token with its top 10 (or --show), an end")
    .option("--no-echo", "do not print the prompt before its continuation")
    .addHelpText("after", examples)
    .action((words: string[], flags: GenerateFlags) => run((session) => generateFrom(session, words, flags)));
  return command;
}

async function generateFrom(session: Session, words: readonly string[], flags: GenerateFlags): Promise<number> {
  const given = await givenText(session, words, flags.file);
  if (session.stop.aborted) return session.isInterrupted() ? interrupted : 0;
  return generate(session, given ?? "", flags);
}

/** The command's work; `npm start` calls it too. Gives the exit code. */
export async function generate(session: Session, prompt: string, flags: GenerateFlags): Promise<number> {
  const engine = await openEngine(session, flags);
  try {
    const tokens = await promptTokens(engine, prompt);
    const ids = tokens.map((token) => token.id);
    checkAgainst(engine, flags, ids.length);
    const options = optionsOf(flags, session);
    checkSampling(options);
    const told = { session, engine, prompt, tokens, cut: cutOf(tokens, engine, flags), options, echo: flags.echo };
    const telling = tellingOf(told, flags);
    await telling.begin();
    const steps = engine.generate(ids.length === 0 ? prompt : ids, options);
    const end = await tellAll(steps, telling, session, flags.pace ?? 0);
    if (!session.out.gone.aborted) await telling.end(end);
    return session.isInterrupted() ? interrupted : 0;
  } finally {
    engine.dispose();
  }
}

/** What the model will read. An empty text without a template becomes the start token, as the engine would do. */
async function promptTokens(engine: Engine, prompt: string): Promise<readonly Token[]> {
  const tokens = await engine.tokenize(prompt);
  if (tokens.length > 0) return tokens;
  const start = engine.tokenizer.bosId ?? engine.tokenizer.eosId;
  if (start === undefined)
    throw new VitrineError(
      'the prompt is empty, and this model has no start token to begin with; give it a text, for example vitrine generate "Once upon a time"',
    );
  return [engine.tokenizer.token(start)];
}

/** Flags that the opened model has to agree with, checked before anything is written. */
function checkAgainst({ info }: Engine, flags: GenerateFlags, promptLength: number): void {
  checkContext(flags.context, info);
  const context = flags.context ?? info.contextLength;
  if (flags.slideBy !== undefined && flags.slideBy > context)
    throw new VitrineError(`--slide-by is ${flags.slideBy}, and the context only ${context}; give at most ${context}`);
  if (flags.onFull === "stop" && promptLength > context) {
    throw new VitrineError(
      `the prompt has ${promptLength} tokens, and the context only ${context}; shorten it, or leave --on-full stop out to keep its last ${context}`,
    );
  }
  const stray = Object.keys(flags.logitBias ?? {}).find((id) => Number(id) >= info.vocabularySize);
  if (stray !== undefined)
    throw new VitrineError(
      `--logit-bias names token ${stray}, and ${info.name} has only ids 0 to ${info.vocabularySize - 1}; vitrine tokenize shows them`,
    );
}

function optionsOf(flags: GenerateFlags, session: Session): GenerateOptions & { seed: number } {
  return {
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    repetitionPenalty: flags.repetitionPenalty,
    frequencyPenalty: flags.frequencyPenalty,
    presencePenalty: flags.presencePenalty,
    logitBias: flags.logitBias,
    seed: flags.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
    maxTokens: flags.maxTokens,
    stop: flags.stop,
    context: flags.context,
    onFull: flags.onFull,
    slideBy: flags.slideBy,
    signal: session.stop,
  };
}

/** The beginning of a prompt that is longer than the context: it is never read. */
function cutOf(tokens: readonly Token[], { info }: Engine, flags: GenerateFlags): readonly Token[] {
  return tokens.slice(0, Math.max(0, tokens.length - (flags.context ?? info.contextLength)));
}

function tellingOf(told: Told, flags: GenerateFlags): Telling {
  if (flags.json) return jsonTelling(told, flags.show ?? 10);
  return flags.show ? showTelling(told, flags.show) : plainTelling(told);
}

/** Every step told as it comes. Between two of them the event loop turns, so that Ctrl-C and a closed pipe are noticed. */
async function tellAll(steps: AsyncGenerator<Step, GenerateEnd>, telling: Telling, session: Session, pace: number): Promise<GenerateEnd> {
  for (;;) {
    const next = await steps.next();
    if (next.done) return next.value;
    await telling.step(next.value);
    await pause(pace, session.stop);
  }
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  if (seconds === 0) return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, 1000 * seconds);
    signal.addEventListener("abort", done, { once: true });
  });
}
