/**
 * `vitrine eval`: how well a model knows texts, in figures that can be compared: between models by bits per byte, whatever their tokens.
 */
import { Command, Option } from "commander";
import { VitrineError } from "../../base/errors.ts";
import type { Engine } from "../../engine/engine.ts";
import type { LocalEngine } from "../../engine/local.ts";
import { textSources } from "../../host/text-sources.ts";
import { evaluate } from "../../training/evaluate.ts";
import type { Evaluation } from "../../training/evaluate.ts";
import { encodeCorpus } from "../../training/tokens.ts";
import type { Corpus } from "../../training/tokens.ts";
import { interrupted } from "../errors.ts";
import { perSecond } from "../json.ts";
import type { EvaluationLine } from "../json.ts";
import { bytes, counted, duration, grouped, percent, rate } from "../numbers.ts";
import { openEngine } from "../opening.ts";
import { addLoadingFlags, checkContext, numberIn } from "../options.ts";
import type { ModelFlags } from "../options.ts";
import { Progress } from "../progress.ts";
import type { Run, Session } from "../session.ts";
import { textFiles } from "../text-files.ts";
import { drawTable } from "../table.ts";

interface EvalFlags extends ModelFlags {
  readonly context?: number;
  readonly stride?: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  vitrine eval out/letters held-out.txt
  vitrine eval out/books books/classics --json

loss is the mean of -ln(probability) of a token; it depends on what the tokens are.
bits per byte and per character do not: they compare models with other tokens, and text
compressors. By default the window moves by half a context, so that every token but the
first few is predicted from at least half a context; --stride of the whole context is
twice as fast and a little unfair to the model.`;

export function evalCommand(run: Run): Command {
  const command = new Command("eval")
    .summary("how well a model knows texts")
    .description("Predicts every token of the texts from those before it. FILES are text files, or folders with .txt files inside.")
    .argument("<model>", "a model folder, an embedded name, or a pulled ORG/NAME[@REV]")
    .argument("<files...>", "what to predict");
  return addLoadingFlags(command)
    .addOption(new Option("--context <n>", "look back at most n tokens").argParser(numberIn("--context", { least: 1, whole: true })))
    .addOption(
      new Option("--stride <n>", "how far the window moves (default: half the context)").argParser(numberIn("--stride", { least: 1, whole: true })),
    )
    .option("--json", "one JSON object with all figures (docs/json.md)")
    .addHelpText("after", examples)
    .action((model: string, files: string[], flags: EvalFlags) => run((session) => evaluateModel(session, model, files, flags)));
}

async function evaluateModel(session: Session, model: string, named: readonly string[], flags: EvalFlags): Promise<number> {
  const files = await textFiles(named);
  const engine = await openEngine(session, { ...flags, model });
  try {
    if (!isLocal(engine))
      throw new VitrineError(`${engine.info.name} cannot be evaluated: it gives no probabilities for a text of yours; use a local model`);
    checkContext(flags.context, engine.info);
    const context = flags.context ?? engine.info.contextLength;
    if (flags.stride !== undefined && flags.stride > context)
      throw new VitrineError(
        `--stride is ${flags.stride}, and the context only ${context}: tokens between two windows would be left out; give at most ${context}`,
      );
    const stride = flags.stride ?? Math.max(1, Math.floor(context / 2));
    const corpus = await read(session, engine, files);
    const evaluation = await measure(session, engine, corpus, context, stride);
    await tell(session, { evaluation, corpus, name: engine.info.name, files: files.length, context, stride }, flags.json === true);
    return 0;
  } catch (error) {
    if (session.isInterrupted()) return interrupted;
    throw error;
  } finally {
    engine.dispose();
  }
}

function isLocal(engine: Engine): engine is LocalEngine {
  return "model" in engine;
}

async function read(session: Session, { tokenizer }: Engine, files: readonly string[]): Promise<Corpus> {
  const progress = new Progress(session.talk, { title: "reading", unit: "bytes", after: 500 });
  try {
    return await encodeCorpus(await textSources(files), tokenizer, {
      onProgress: (done, total) => progress.update({ done, total }),
      onNote: (note) => {
        progress.clear();
        void session.notice(note);
      },
      signal: session.stop,
    });
  } finally {
    progress.clear();
  }
}

async function measure(session: Session, { model, tokenizer }: LocalEngine, corpus: Corpus, context: number, stride: number): Promise<Evaluation> {
  const progress = new Progress(session.talk, { title: "predicting", unit: "tokens", after: 500 });
  try {
    return await evaluate(model, corpus, {
      context,
      stride,
      tokenizer,
      onProgress: (done, total) => progress.update({ done, total }),
      signal: session.stop,
    });
  } finally {
    progress.clear();
  }
}

interface Told {
  readonly evaluation: Evaluation;
  readonly corpus: Corpus;
  readonly name: string;
  readonly files: number;
  readonly context: number;
  readonly stride: number;
}

async function tell({ out }: Session, { evaluation, corpus, name, files, context, stride }: Told, asJson: boolean): Promise<void> {
  const { tokens, loss, perplexity, accuracy, bitsPerByte, bitsPerCharacter, seconds } = evaluation;
  const speed = perSecond(tokens, seconds);
  if (asJson) {
    const line: EvaluationLine = {
      type: "evaluation",
      model: name,
      files,
      tokens,
      loss: finite(loss),
      perplexity: finite(perplexity),
      accuracy,
      bytes: evaluation.bytes,
      characters: evaluation.characters,
      bitsPerByte: finite(bitsPerByte),
      bitsPerCharacter: finite(bitsPerCharacter),
      context,
      stride,
      seconds,
      tokensPerSecond: speed,
    };
    return out.line(JSON.stringify(line));
  }
  const rows = [
    ["loss", `${loss.toFixed(4)} nats a token`],
    ["perplexity", perplexity < 1000 ? perplexity.toFixed(2) : grouped(Math.round(perplexity))],
    ["bits per byte", bitsPerByte?.toFixed(4) ?? "-"],
    ["bits per character", bitsPerCharacter?.toFixed(4) ?? "-"],
    ["next token right", percent(accuracy).trim()],
    ["tokens", `${grouped(tokens)} in ${duration(seconds)} (${rate(speed)}/s)`],
  ];
  const head = [`${name} on ${counted(files, "text")}`, bytes(corpus.textBytes)];
  const [title, rule, ...lines] = drawTable(
    [
      { title: head[0], wrap: true },
      { title: head[1], wrap: true },
    ],
    rows,
    out.terminal,
  );
  for (const text of [title, rule, ...lines]) await out.line(text);
}

/** JSON has no infinity. */
function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
