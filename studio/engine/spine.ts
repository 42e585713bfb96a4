/**
 * The forward pass at a few positions, for the panel "flow": whole activations of 48 layers would be hundreds of megabytes,
 * and the panel shows one to four rows of each. Part of inspection-calls.ts.
 */
import { listen, readRow } from "../../src/inspection/capture.ts";
import { logitsOf } from "../../src/inspection/final-norm.ts";
import type { LocalEngine } from "../../src/index.browser.ts";
import { tapNames } from "../../src/model/taps.ts";

type Model = LocalEngine["model"];

/** P positions, C width, V vocabulary. */
export interface Spine {
  readonly positions: readonly number[];
  readonly width: number;
  readonly layers: number;
  /** By tap name: (P, C). The stream after each thing that was added, what was added, and what the norms made of it. */
  readonly rows: Readonly<Record<string, Float32Array>>;
  /** (P, V) */
  readonly logits: Float32Array;
}

/** How much some positions look at each position, by every head of a layer. */
export interface Looks {
  readonly layer: number;
  readonly heads: number;
  readonly positions: readonly number[];
  /** T */
  readonly length: number;
  /** (P, H, T): rows of hook_pattern. */
  readonly data: Float32Array;
}

const heardInBlocks = ["ln1.hook_normalized", "hook_attn_out", "hook_resid_mid", "ln2.hook_normalized", "hook_mlp_out", "hook_resid_post"];

/** One pass over `ids`, cut behind the last position: what comes later cannot change it. Positions count from 0. */
export async function readSpine(model: Model, ids: readonly number[], positions: readonly number[]): Promise<Spine> {
  const { width: C, layers, vocabularySize: V } = model.config;
  const start = ["hook_embed", "hook_pos_embed"].filter((name) => tapNames(model.config).includes(name));
  const names = [...start, ...heardInBlocks.map((name) => `blocks.*.${name}`), "ln_final.hook_normalized"];
  const heard = await listen(model, ids.slice(0, Math.max(...positions) + 1), names, (_, tensor) =>
    Promise.all(positions.map((position) => readRow(tensor, position))),
  );
  const rows: Record<string, Float32Array> = {};
  for (const [name, found] of heard) {
    rows[name] = new Float32Array(positions.length * C);
    for (const [p, row] of found.entries()) rows[name].set(row, p * C);
  }
  const last = heard.get(`blocks.${layers - 1}.hook_resid_post`)!;
  const logits = new Float32Array(positions.length * V);
  for (const [p, row] of last.entries()) logits.set(await logitsOf(model, row), p * V);
  return { positions, width: C, layers, rows, logits };
}

export async function readLooks(model: Model, ids: readonly number[], layer: number, positions: readonly number[]): Promise<Looks> {
  const { heads: H } = model.config;
  const T = ids.length;
  const data = new Float32Array(positions.length * H * T);
  const name = `blocks.${layer}.attn.hook_pattern`;
  await listen(model, ids, [name], async (_, { device, buffer }) => {
    const reading = positions.flatMap((position) =>
      Array.from({ length: H }, (_, head) => device.read(buffer, (head * T + position) * T, T) as Promise<Float32Array>),
    );
    for (const [at, row] of (await Promise.all(reading)).entries()) data.set(row, at * T);
  });
  return { layer, heads: H, positions, length: T, data };
}
