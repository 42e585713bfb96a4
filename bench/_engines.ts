/**
 * What inference.ts asks of an engine, whoever wrote it: read a prompt, then write greedily, and tell how long each part took.
 * Ours are in _vitrine.ts, the others in _onnxruntime.ts.
 */

/** Seconds of one run. */
export interface Timing {
  /** From the call until the first new token is known. */
  readonly prompt: number;
  /** For the `count` tokens after that one, each fed back alone. */
  readonly tokens: number;
}

export interface TextEngine {
  readonly name: string;
  /** What a table's reader must know about it: version, graph form, threads. */
  readonly note: string;
  /** Bytes that one weight of its matrices takes in memory: 4 for fp32, 34 / 32 for Q8_0. */
  readonly bytesPerWeight: number;
  /** Logits (V,) after the prompt; undefined where the engine does not give them. */
  readonly logits?: (prompt: readonly number[]) => Promise<Float32Array>;
  /** The prompt from scratch, one greedy token, then `count` more. */
  run(prompt: readonly number[], count: number): Promise<Timing>;
  dispose(): Promise<void> | void;
}

export function largestIndex(values: ArrayLike<number>, from: number = 0, to: number = values.length): number {
  let best = from;
  for (let i = from + 1; i < to; i++) if (values[i] > values[best]) best = i;
  return best - from;
}

export const seconds = (): number => performance.now() / 1000;
