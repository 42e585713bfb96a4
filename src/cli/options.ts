/**
 * Flags that several commands share, and reading their values: a number in its range, an id with its bias, a stop string.
 * Each reader throws a VitrineError that says what was expected.
 */
import { Option } from "commander";
import type { Command } from "commander";
import type { MatrixFormat } from "../device/device.ts";
import type { ModelInfo } from "../engine/engine.ts";
import { nearest, quoted, VitrineError } from "../base/errors.ts";

export interface Range {
  readonly least?: number;
  /** The value itself is out, unlike `least`. */
  readonly above?: number;
  readonly most?: number;
  readonly whole?: boolean;
  /** What else may help, said after the expectation. */
  readonly hint?: string;
}

/** A reader for a numeric flag. */
export function numberIn(flag: string, range: Range): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    const { least = -Infinity, above = -Infinity, most = Infinity, whole = false } = range;
    if (Number.isFinite(value) && value >= least && value > above && value <= most && (!whole || Number.isSafeInteger(value))) return value;
    throw new VitrineError(`${flag} is ${quoted(text)}; expected ${expectation(range)}${range.hint === undefined ? "" : `; ${range.hint}`}`);
  };
}

function expectation({ least, above, most, whole }: Range): string {
  const kind = whole ? "a whole number" : "a number";
  if (above !== undefined) return `${kind} above ${above}${most === undefined ? "" : ` and at most ${most}`}`;
  if (least !== undefined && most !== undefined) return `${kind} from ${least} to ${most}`;
  if (least !== undefined) return `${kind} of at least ${least}`;
  return most === undefined ? kind : `${kind} of at most ${most}`;
}

/** A reader for a flag with a few possible words. */
export function oneOf(flag: string, words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    const meant = nearest(text, words);
    throw new VitrineError(`${flag} is ${quoted(text)}; expected ${listed(words)}${meant === undefined ? "" : `; did you mean ${meant}?`}`);
  };
}

function listed(words: readonly string[]): string {
  return words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** What can only be known once the model is open. */
export function checkContext(context: number | undefined, { name, contextLength }: ModelInfo): void {
  if (context === undefined || context <= contextLength) return;
  throw new VitrineError(`--context is ${context}, and ${name} has only ${contextLength} positions; leave it out or give at most ${contextLength}`);
}

/** `--logit-bias 262=-100`, repeatable. */
export function readBias(text: string, earlier: Readonly<Record<number, number>> = {}): Record<number, number> {
  const match = /^\s*(\d+)\s*[=:]\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*$/i.exec(text);
  if (match === null) {
    throw new VitrineError(
      `--logit-bias is ${quoted(text)}; expected ID=BIAS with a token's id (vitrine tokenize shows it), for example 262=-100 to forbid it`,
    );
  }
  const bias = Number(match[2]);
  if (!Number.isFinite(Math.fround(bias)))
    throw new VitrineError(
      `--logit-bias is ${quoted(text)}; expected a bias that is finite in 32 bits, for example ${match[1]}=-100 to forbid the token`,
    );
  return { ...earlier, [Number(match[1])]: bias };
}

const stopEscapes: Readonly<Record<string, string>> = { "\\n": "\n", "\\t": "\t", "\\r": "\r", "\\\\": "\\" };

/** `--stop TEXT`, repeatable; \n, \t and \\ are understood, since shells make real line breaks hard to type. */
export function readStop(text: string, earlier: readonly string[] = []): string[] {
  const stop = text.replace(/\\[nrt\\]/g, (escape) => stopEscapes[escape]);
  if (stop === "") throw new VitrineError('--stop is ""; expected the text that ends generation, for example --stop "\\n\\n"');
  return [...earlier, stop];
}

const modelHelp = "a model folder, a .gguf file, an embedded name, or a pulled ORG/NAME[@REV] (default: the embedded model)";
const weightFormats: readonly MatrixFormat[] = ["f32", "f16", "int8", "int4"];
const deviceNames: readonly string[] = ["auto", "native", "wasm", "reference"];

export interface DeviceFlags {
  readonly device?: string;
  readonly threads?: number;
}

export interface ModelFlags extends DeviceFlags {
  readonly model?: string;
  readonly weights?: MatrixFormat;
}

/** `--model`, and how it is opened. */
export function addModelFlags(command: Command): Command {
  return addLoadingFlags(command.addOption(new Option("-m, --model <model>", modelHelp)));
}

/** How a model is opened, whichever it is. */
export function addLoadingFlags(command: Command): Command {
  return addDeviceFlags(command).addOption(
    new Option(
      "--weights <format>",
      "how weights are kept in memory: f32 (exact), f16, int8 or int4 (smaller, faster) (default: as a GGUF of type q8_0 or q4_0 has them, else f32)",
    ).argParser(oneOf("--weights", weightFormats)),
  );
}

/** `--device` and `--threads`. */
export function addDeviceFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--device <name>", "what computes: native, wasm or reference (default: the fastest; vitrine devices)").argParser(
        oneOf("--device", deviceNames),
      ),
    )
    .addOption(
      new Option("--threads <n>", "how many threads (default: chosen for this machine)").argParser(
        numberIn("--threads", { least: 1, most: 1024, whole: true }),
      ),
    );
}

export interface TextFlags {
  readonly file?: string;
}

/** `--file`; `what` says what is read from it. */
export function addFileFlag(command: Command, what: string): Command {
  return command.addOption(new Option("-f, --file <path>", `read ${what} from a file (one line break at its end is left out)`));
}
