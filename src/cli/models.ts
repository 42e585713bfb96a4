/**
 * What the commands ask of the host: opening models, listing them, fetching them. Tests pass another one.
 * Everything behind it is loaded when first asked for, so that `--help` and `params` stay quick.
 */
import type { MatrixFormat } from "../device/device.ts";
import type { Engine } from "../engine/engine.ts";
import type { Tally } from "../model/tally.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Dimensions } from "../model/presets.ts";
import type { Environment } from "./terminal.ts";

export interface OpenOptions {
  readonly model?: string;
  readonly device?: string;
  readonly threads?: number;
  readonly weights?: MatrixFormat;
  /** Weights loaded so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** A line for people about something odd but harmless. */
  readonly onNote?: (text: string) => void;
  /** A line about the device that had to be taken instead of a better one; a log should have it. */
  readonly onDeviceNote?: (text: string) => void;
  readonly signal?: AbortSignal;
}

export interface ListedModel {
  readonly name: string;
  readonly source: "embedded" | "cache" | "nearby";
  readonly folder: string;
  readonly bytes: number;
  /** config.json's model_type; undefined where there is none. */
  readonly architecture: string | undefined;
  readonly loadable: boolean;
  /** Why it is not; "" when it is. */
  readonly why: string;
}

interface FetchProgress {
  readonly file: string;
  readonly received: number;
  readonly total: number;
  readonly bytesPerSecond: number;
  readonly secondsLeft: number | undefined;
  readonly filesDone: number;
  readonly filesTotal: number;
}

interface FetchOptions {
  readonly onProgress: (progress: FetchProgress) => void;
  readonly onNote: (text: string) => void;
  readonly signal: AbortSignal;
  readonly env: Environment;
}

export interface Fetched {
  readonly id: string;
  readonly folder: string;
  readonly commit: string;
  readonly bytes: number;
  /** Files that came over the network, and all. */
  readonly files: { readonly fetched: number; readonly total: number };
}

export interface Models {
  open(options: OpenOptions): Promise<Engine>;
  /** Of a model, or of a folder that has nothing else. */
  openTokenizer(model: string | undefined): Promise<{ readonly name: string; readonly tokenizer: Tokenizer }>;
  /** The tally of a model's config, and how many numbers its files really hold. */
  tally(
    model: string | undefined,
    rule: Tally["rule"],
    changes: Partial<Dimensions>,
  ): Promise<{ readonly tally: Tally; readonly stored: number | undefined }>;
  list(env: Environment): Promise<ListedModel[]>;
  fetch(id: string, options: FetchOptions): Promise<Fetched>;
}
