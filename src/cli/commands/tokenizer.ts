/**
 * `vitrine tokenizer train`: a vocabulary of one's own, learned from text files. Learning is tokenizer/train.ts's.
 */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command, Option } from "commander";
import { nearest, quoted, VitrineError } from "../../base/errors.ts";
import { textSources } from "../../host/text-sources.ts";
import { nodeFolderWriter } from "../../host/node-files.ts";
import { countOnThreads } from "../../host/piece-threads.ts";
import { saveTokenizer } from "../../tokenizer/train-files.ts";
import { trainBpe } from "../../tokenizer/train.ts";
import type { TrainBpeOptions, TrainedBpe } from "../../tokenizer/train.ts";
import { interrupted } from "../errors.ts";
import { trainedTokenizerLine } from "../json.ts";
import { bytes, counted, duration, grouped } from "../numbers.ts";
import { numberIn, oneOf } from "../options.ts";
import { Progress } from "../progress.ts";
import type { Run, Session } from "../session.ts";
import { textFiles } from "../text-files.ts";

interface TrainFlags {
  readonly out: string;
  readonly vocabulary: number;
  readonly minFrequency: number;
  /** false: --no-special. */
  readonly special: readonly string[] | false;
  readonly pattern: "gpt2" | "cl100k";
  readonly byLine?: boolean;
  readonly threads?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  vitrine tokenizer train books/*.txt --vocabulary 4096 --out my-tokenizer
  vitrine tokenizer train books stories --vocabulary 8192 --out my-tokenizer   all .txt files in two folders
  vitrine tokenize "Once upon a time" --model my-tokenizer
  vitrine train books --tokenizer my-tokenizer --out my-model

The vocabulary counts everything: special tokens (ids from 0), the 256 bytes, and a token for each merge.
Any text can be written with it, whatever its language. A special token written in the files parts the
text there. Bytes that are not UTF-8 stay tokens of one byte. The same files give the same vocabulary, and
Hugging Face's tokenizers and transformers read the folder.`;

export function tokenizerCommand(run: Run): Command {
  const command = new Command("tokenizer").summary("learn a vocabulary from text files").description("Makes tokenizers.");
  return command
    .argument("[action...]", "train")
    .action(([action]: string[]) => {
      if (action === undefined) command.help();
      const meant = nearest(action, ["train"]);
      throw new VitrineError(
        `tokenizer ${action}: expected train${meant === undefined ? "; vitrine tokenizer train --help shows how" : "; did you mean train?"}`,
      );
    })
    .addCommand(trainCommand(run));
}

function trainCommand(run: Run): Command {
  return new Command("train")
    .summary("learn a byte-level BPE vocabulary from text files")
    .description(
      "Learns a vocabulary from texts by byte-pair encoding: the two neighbours that occur together most often become a token, again and again.\nFILES are text files of any size, or folders with .txt files inside.",
    )
    .argument("<files...>", "what to learn from")
    .requiredOption("-o, --out <folder>", "where to write tokenizer.json and tokenizer_config.json")
    .addOption(
      new Option("--vocabulary <n>", "tokens in all").default(4096).argParser(numberIn("--vocabulary", { least: 256, most: 2 ** 24, whole: true })),
    )
    .addOption(
      new Option("--min-frequency <n>", "how often two neighbours must occur to become a token")
        .default(2)
        .argParser(numberIn("--min-frequency", { least: 0, whole: true })),
    )
    .addOption(new Option("--special <token>", 'a special token; repeatable (default: "<|endoftext|>")').argParser(readSpecial))
    .option("--no-special", "no special tokens")
    .addOption(
      new Option("--pattern <name>", "how text is cut before merging: gpt2, or cl100k as GPT-4 and Llama 3 do")
        .default("gpt2")
        .argParser(oneOf("--pattern", ["gpt2", "cl100k"])),
    )
    .option("--by-line", "every line is a text of its own, as Hugging Face's tokenizers train from files")
    .addOption(
      new Option("--threads <n>", "how many threads read (default: one for each core)").argParser(
        numberIn("--threads", { least: 1, most: 1024, whole: true }),
      ),
    )
    .option("--force", "write over a tokenizer that is there")
    .option("--json", "one JSON object with all figures (docs/json.md)")
    .addHelpText("after", examples)
    .action((files: string[], flags: TrainFlags) => run((session) => train(session, files, flags)));
}

/** `--special` again and again. Commander gives `true` for what was collected before when only --no-special is known. */
function readSpecial(text: string, earlier: unknown): string[] {
  return [...(Array.isArray(earlier) ? (earlier as string[]) : []), text];
}

async function train(session: Session, named: readonly string[], flags: TrainFlags): Promise<number> {
  const begun = performance.now();
  const paths = await textFiles(named);
  const out = resolve(flags.out);
  await checkTarget(out, flags);
  const progress = progressOf(session);
  const options: TrainBpeOptions = {
    vocabulary: flags.vocabulary,
    minFrequency: flags.minFrequency,
    special: flags.special === false ? [] : Array.isArray(flags.special) ? flags.special : undefined,
    pattern: flags.pattern,
    lines: flags.byLine === true,
    onProgress: progress.update,
    signal: session.stop,
    count: countOnThreads(paths, { threads: flags.threads }),
  };
  try {
    const trained = await trainBpe(await textSources(paths), options);
    await saveTokenizer(trained, nodeFolderWriter(out));
    progress.clear();
    await tell(session, trained, flags, (performance.now() - begun) / 1000);
    return 0;
  } catch (error) {
    if (!session.isInterrupted()) throw error;
    progress.clear();
    await session.hint("interrupted; nothing was written");
    return interrupted;
  } finally {
    progress.clear();
  }
}

/** Two lines, one after the other: bytes read, then tokens learned. */
function progressOf({ talk }: Session): { update: NonNullable<TrainBpeOptions["onProgress"]>; clear: () => void } {
  const make = {
    counting: () => new Progress(talk, { title: "counting words", unit: "bytes", after: 500 }),
    merging: () => new Progress(talk, { title: "merging", unit: "tokens", after: 500 }),
  };
  let phase: "counting" | "merging" = "counting";
  let progress = make.counting();
  return {
    update: (done, total, now) => {
      if (now !== phase) {
        progress.clear();
        progress = make[now]();
        phase = now;
      }
      progress.update({ done, total });
    },
    clear: () => progress.clear(),
  };
}

async function tell(session: Session, trained: TrainedBpe, flags: TrainFlags, seconds: number): Promise<void> {
  const { tokens, lastCount, special, merges } = trained;
  if (trained.invalidBytes > 0)
    await session.notice(`${grouped(trained.invalidBytes)} of ${grouped(trained.bytes)} bytes are not UTF-8: each is a token of one byte`);
  if (tokens.length < flags.vocabulary)
    await session.notice(
      `${counted(tokens.length, "token")} instead of ${grouped(flags.vocabulary)}: no two neighbours in this text occur ${flags.minFrequency <= 1 ? "any more" : `${flags.minFrequency} times any more (--min-frequency)`}`,
    );
  if (flags.json) await session.out.line(JSON.stringify(trainedTokenizerLine(trained, flags.out, seconds)));
  else await session.out.line(flags.out);
  const named = special.length === 0 ? "" : `, ${special.length === 1 ? special[0] : `${special.length} special`}`;
  await session.hint(
    `${counted(tokens.length, "token")}: 256 bytes${named}, ${counted(merges.length, "merge")}${merges.length === 0 ? "" : `, the last of a pair that occurs ${counted(lastCount, "time")}`}`,
  );
  await session.hint(
    `${bytes(trained.bytes)} of text in ${duration(seconds)} are ${counted(trained.textTokens, "token")}, ${(trained.bytes / trained.textTokens).toFixed(2)} bytes each; try vitrine tokenize "Once upon a time" --model ${flags.out}`,
  );
}

/** Throws VitrineError where writing would fail late, or cost somebody a tokenizer. */
async function checkTarget(out: string, { out: given, force }: TrainFlags): Promise<void> {
  const there = await stat(out).catch(() => undefined);
  if (there !== undefined && !there.isDirectory()) throw new VitrineError(`--out ${quoted(given)} is a file, expected a folder; choose another name`);
  for (const file of ["tokenizer.json", "vocab.json"]) {
    if (!force && (await stat(join(out, file)).catch(() => undefined)) !== undefined)
      throw new VitrineError(`--out ${quoted(given)} holds a tokenizer already (${file}); choose another folder, or write over it with --force`);
  }
}
