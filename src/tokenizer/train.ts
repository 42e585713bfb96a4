/**
 * BPE training: from text files of any size to the vocabulary and merges of a byte-level tokenizer as GPT-2's. Counting the
 * pieces of the text is train-pieces.ts's, learning merges train-merges.ts's, the files that say it all train-files.ts's.
 */
import { VitrineError, quoted } from "../base/errors.ts";
import type { ByteSource } from "../base/bytes.ts";
import { byteCharacters } from "./byte-alphabet.ts";
import { learnMerges } from "./train-merges.ts";
import { PieceCounter, countRange } from "./train-pieces.ts";
import type { Cutting, PieceTotals, ReadingOptions, TrainingPattern } from "./train-pieces.ts";
import { PieceTable } from "./train-table.ts";

export interface TrainBpeOptions {
  /** Tokens in all: special ones, the 256 bytes and what merges make. Fewer come out when the text has no more pairs to merge. */
  readonly vocabulary: number;
  /** A pair of neighbours must occur so often to become a token. Default 2. */
  readonly minFrequency?: number;
  /** Get the first ids, part the text where they are written in it, and are never learned from. Default: `<|endoftext|>`. */
  readonly special?: readonly string[];
  /** How text is cut into the pieces that are never merged across: "gpt2" (default), or "cl100k" as GPT-4 and Llama 3 do. */
  readonly pattern?: TrainingPattern;
  /** Every line is a text of its own, as when Hugging Face's `tokenizers` trains from files: no token then spans a line break. Default false. */
  readonly lines?: boolean;
  /** "counting": bytes read, of all. "merging": tokens there are, of those asked for. */
  readonly onProgress?: (done: number, total: number, phase: "counting" | "merging") => void;
  readonly signal?: AbortSignal;
  /** Reads the files in another way, for example on several threads (host/). Default: one after the other, here. */
  readonly count?: CountPieces;
}

/** Counts the pieces of all files; calls `onBytes` with the bytes read since the last call. */
export type CountPieces = (files: readonly ByteSource[], cutting: Cutting, options: ReadingOptions) => Promise<CountedPieces>;

export interface CountedPieces extends PieceTotals {
  readonly table: PieceTable;
}

export interface TrainedBpe {
  readonly special: readonly string[];
  readonly pattern: TrainingPattern;
  /** In the order of their ids: special tokens, the 256 bytes, products of merges. All but the special ones are spelled in GPT-2's byte alphabet ("Ġthe"). */
  readonly tokens: readonly string[];
  /** Rules in the order they were learned. */
  readonly merges: readonly (readonly [left: string, right: string])[];
  /** How often the pair of the last rule occurred. */
  readonly lastCount: number;
  /** Bytes read, and those among them that are not UTF-8. */
  readonly bytes: number;
  readonly invalidBytes: number;
  /** Pieces the text was cut into, and how many different ones. */
  readonly pieces: number;
  readonly distinctPieces: number;
  /** Tokens that the text becomes with this vocabulary; special ones are not counted. */
  readonly textTokens: number;
}

/**
 * Learns a byte-level BPE vocabulary from files, which are read as streams. The same files give the same vocabulary on every machine.
 * Bytes that are not UTF-8 are tokens by themselves and are not merged. The sources are not closed.
 * Throws VitrineError for no files, an empty or a binary one (named), a vocabulary below 256 and the special tokens, special tokens
 * that are empty, twice there or one byte's spelling, and when `signal` is aborted.
 *
 * ```ts
 * const trained = await trainBpe(await textSources(["a.txt", "b.txt"]), { vocabulary: 4096 });
 * await saveTokenizer(trained, nodeFolderWriter("my-tokenizer"));
 * ```
 */
export async function trainBpe(files: readonly ByteSource[], options: TrainBpeOptions): Promise<TrainedBpe> {
  const { special = ["<|endoftext|>"], minFrequency = 2, pattern = "gpt2", lines = false, signal, onProgress, count = countPieces } = options;
  checkOptions(options.vocabulary, minFrequency, special);
  await checkFiles(files);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const { table, ...totals } = await count(
    files,
    { pattern, special, lines },
    { signal, onBytes: (bytes) => onProgress?.((done += bytes), total, "counting") },
  );
  const { wordTokens, ...learned } = await learnMerges(table, {
    vocabulary: options.vocabulary,
    minFrequency,
    special,
    signal,
    onProgress: (tokens, wanted) => onProgress?.(tokens, wanted, "merging"),
  });
  return { special, pattern, ...learned, ...totals, distinctPieces: table.size, textTokens: wordTokens + totals.invalidBytes };
}

/** All files one after the other, on this thread. */
export const countPieces: CountPieces = async (files, cutting, options) => {
  const table = new PieceTable();
  const counter = new PieceCounter(cutting, table);
  for (const file of files) await countRange(file, 0, file.size, counter, options);
  return { table, ...counter.totals };
};

function checkOptions(vocabulary: number, minFrequency: number, special: readonly string[]): void {
  for (const [i, token] of special.entries()) {
    if (token === "") throw new VitrineError("tokenizer train: a special token is empty; leave it out");
    if (/\p{Surrogate}/u.test(token))
      throw new VitrineError(`tokenizer train: the special token ${quoted(token)} holds half a character; write it whole`);
    if (special.indexOf(token) !== i) throw new VitrineError(`tokenizer train: the special token ${quoted(token)} is named twice; name it once`);
    if (byteCharacters.includes(token))
      throw new VitrineError(`tokenizer train: the special token ${quoted(token)} is how a vocabulary spells a single byte; choose a longer one`);
  }
  const least = 256 + special.length;
  if (!Number.isSafeInteger(vocabulary) || vocabulary < least || vocabulary > 2 ** 24) {
    const parts = `256 bytes${special.length === 0 ? "" : ` and ${special.length} special token${special.length === 1 ? "" : "s"}`}`;
    throw new VitrineError(
      `tokenizer train: a vocabulary of ${vocabulary}, expected a whole number from ${least} (${parts}) to ${2 ** 24}; 4096 suits a small model`,
    );
  }
  if (!Number.isSafeInteger(minFrequency) || minFrequency < 0)
    throw new VitrineError(`tokenizer train: a least frequency of ${minFrequency}, expected a whole number from 0`);
}

/** How much of a file is looked at to tell text from other things. */
const START = 1 << 16;

async function checkFiles(files: readonly ByteSource[]): Promise<void> {
  if (files.length === 0) throw new VitrineError("tokenizer train: no text files; name at least one");
  for (const file of files) {
    if (file.size === 0) throw new VitrineError(`${file.name}: the file is empty; leave it out or put text into it`);
    const start = await file.read(0, Math.min(file.size, START));
    const zero = start.indexOf(0);
    if (zero < 0) continue;
    const wide = (start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff);
    if (wide) throw new VitrineError(`${file.name}: text in UTF-16, expected UTF-8; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)`);
    throw new VitrineError(`${file.name}: a binary file (byte ${zero} is 0), expected text; name text files only`);
  }
}
