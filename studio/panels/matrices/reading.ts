/** Asking the worker for blocks of a matrix, as it is drawn: rows are outputs. */
import { studio } from "../../state/studio.svelte.ts";
import type { NamedMatrix } from "../../engine/protocol.ts";
import { drawn } from "./places.ts";
import type { Category, Range } from "./places.ts";

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
