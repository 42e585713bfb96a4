/**
 * The published checkpoints of ../shared/data for golden tests, which skip, saying so, where it is absent.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesOf } from "../base/bytes.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import type { TensorSource } from "../formats/tensor-source.ts";

const DATA = join(import.meta.dirname, "../../../shared/data");

export const noData: boolean = !existsSync(DATA);
/** For the title of a suite that needs the data. */
export const dataNote: string = noData ? " (SKIPPED: ../shared/data is not here)" : "";

export async function openTensors(path: string): Promise<TensorSource> {
  return openSafetensors(bytesOf(path, readFileSync(join(DATA, path))));
}

export function readJson(path: string): unknown {
  return JSON.parse(readFileSync(join(DATA, path), "utf8"));
}

/** Rows of a (B, T) tensor of token ids. */
export function idRows(values: Float32Array, T: number): number[][] {
  return Array.from({ length: values.length / T }, (_, b) => Array.from(values.subarray(b * T, (b + 1) * T)));
}

/** The largest difference between two lists of numbers; NaN when any number is, and infinities must agree. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return NaN;
  let largest = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) largest = largest >= Math.abs(a[i] - b[i]) ? largest : Math.abs(a[i] - b[i]);
  return largest;
}
