/** Asking the worker for blocks of a matrix, as it is drawn: rows are outputs; and for what the matrix met in a pass over the text. */
import { studio } from "../../state/studio.svelte.ts";
import type { ModelConfig, NamedMatrix } from "../../engine/protocol.ts";
import { atPosition, biasName, biasPlace, drawn } from "./places.ts";
import type { Category, Meeting, Range } from "./places.ts";

/** A matrix of the open model. */
export interface OpenMatrix {
  readonly category: Category;
  readonly layer: number | undefined;
  /** Undefined = all heads, or a matrix that has none. */
  readonly head: number | undefined;
  readonly which: string | NamedMatrix;
  /** The checkpoint keeps it the other way round. */
  readonly turned: boolean;
  /** In the checkpoint. */
  readonly name: string;
  /** As drawn. */
  readonly rows: number;
  readonly columns: number;
}

/** Name and size, without reading the matrix. */
export async function openMatrix(
  asked: Pick<OpenMatrix, "category" | "layer" | "head" | "which" | "turned">,
  signal: AbortSignal,
): Promise<OpenMatrix> {
  const { name, shape } = await studio.engine.call("matrix", [asked.which, [0, 1], [0, 1]], signal);
  const [rows, columns] = asked.turned ? [shape[1], shape[0]] : shape;
  return { ...asked, name, rows, columns };
}

/** (rows, columns) of the drawing. */
export async function readBlock({ which, turned }: OpenMatrix, rows: Range, columns: Range, signal: AbortSignal): Promise<Float32Array> {
  const block = await studio.engine.call("matrix", turned ? [which, columns, rows] : [which, rows, columns], signal);
  return drawn(block, turned);
}

/** A text up to a position, and how much of it the model sees. */
export interface TextBefore {
  readonly all: readonly number[];
  readonly prompt: number;
  readonly context: number;
  /** The ids in sight. */
  readonly seen: readonly number[];
}

/** What the pass over the text gave at the last position. */
export interface Met {
  readonly matrix: OpenMatrix;
  /** Undefined for a lookup. */
  readonly vector: Float32Array | undefined;
  /** All results of the matrix at this position. */
  readonly results: Float32Array;
}

export async function readMet(matrix: OpenMatrix, meet: Meeting, { all, prompt, context, seen }: TextBefore, signal: AbortSignal): Promise<Met> {
  const { input, output, outputStart } = meet;
  const wanted = output === "logits" ? [input!] : input === undefined ? [output] : [input, output];
  const heard = await studio.engine.call("capture", [[...seen], wanted], signal);
  const one = (name: string): Float32Array =>
    atPosition(
      heard.find((activation) => activation.name === name)!,
      seen.length - 1,
    );
  // logits of every position would be large: only the last one's are asked for
  const results = output === "logits" ? (await studio.outlookAfter(all, prompt, context)).logits : one(output);
  signal.throwIfAborted();
  const own = results.slice(outputStart, outputStart + (input === undefined ? matrix.columns : matrix.rows));
  return { matrix, vector: input === undefined ? undefined : one(input).slice(), results: own };
}

/** A few rows of weights, with their biases where the checkpoint has them. */
export interface Lines {
  readonly matrix: OpenMatrix;
  readonly first: number;
  readonly count: number;
  readonly data: Float32Array;
  readonly bias: Float32Array | undefined;
}

export async function readLines(
  matrix: OpenMatrix,
  config: ModelConfig,
  [first, count]: Range,
  /** All checkpoint names; none for a lookup, which has no bias. */
  names: readonly string[],
  signal: AbortSignal,
): Promise<Lines> {
  const data = await readBlock(matrix, [first, count], [0, matrix.columns], signal);
  const name = biasName(matrix.name, names);
  const place = biasPlace(config, matrix.category, matrix.head, first);
  const bias = name === undefined ? undefined : (await studio.engine.call("matrix", [name, [0, 1], [place, count]], signal)).data;
  return { matrix, first, count, data, bias };
}
