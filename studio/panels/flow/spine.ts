/**
 * One position's way through the model, as the panel draws it: a stream, and what joins it one thing after the other.
 * Lengths and cosines are worked out here from the model's own vectors. Pure; the worker's part is engine/spine.ts.
 */
import type { Spine } from "../../engine/protocol.ts";

export type PartKind = "positions" | "attention" | "mlp";

/** Something that is added to the stream. */
export interface Joining {
  readonly kind: PartKind;
  /** -1 for the positions. */
  readonly layer: number;
  /** Tap names of what is added and of the stream behind it. */
  readonly addedName: string;
  readonly afterName: string;
  readonly before: Float32Array;
  readonly added: Float32Array;
  readonly after: Float32Array;
  readonly beforeLength: number;
  readonly addedLength: number;
  readonly afterLength: number;
  /** Of what is added and the stream before it; NaN where one of them is nothing. */
  readonly cosine: number;
  /** What the norm made of the stream before the part read it. */
  readonly norm: Float32Array | undefined;
  readonly normLength: number;
}

export interface Column {
  /** In the window that the model sees, from 0. */
  readonly position: number;
  readonly embedding: Float32Array;
  readonly embeddingLength: number;
  /** In the order of the pass. */
  readonly joined: readonly Joining[];
  readonly final: Float32Array;
  readonly finalLength: number;
  /** The longest the stream ever is, for drawing. */
  readonly longest: number;
  readonly logits: Float32Array;
}

export function columnsOf(spine: Spine): Column[] {
  const { positions, width: C, layers, rows, logits } = spine;
  const V = logits.length / positions.length;
  return positions.map((position, p) => {
    const row = (name: string): Float32Array => rows[name].subarray(p * C, (p + 1) * C);
    const joined: Joining[] = [];
    const embedding = row("hook_embed");
    let stream = embedding;
    const join = (kind: PartKind, layer: number, addedName: string, after: Float32Array, afterName: string, norm?: Float32Array): void => {
      const added = row(addedName);
      joined.push({
        kind,
        layer,
        addedName,
        afterName,
        before: stream,
        added,
        after,
        beforeLength: length(stream),
        addedLength: length(added),
        afterLength: length(after),
        cosine: cosine(stream, added),
        norm,
        normLength: norm ? length(norm) : NaN,
      });
      stream = after;
    };
    if ("hook_pos_embed" in rows) {
      const where = row("hook_pos_embed");
      const sum = embedding.map((x, c) => x + where[c]);
      join("positions", -1, "hook_pos_embed", sum, "blocks.0.hook_resid_pre");
    }
    for (let layer = 0; layer < layers; layer++) {
      const at = `blocks.${layer}.`;
      join("attention", layer, `${at}hook_attn_out`, row(`${at}hook_resid_mid`), `${at}hook_resid_mid`, row(`${at}ln1.hook_normalized`));
      join("mlp", layer, `${at}hook_mlp_out`, row(`${at}hook_resid_post`), `${at}hook_resid_post`, row(`${at}ln2.hook_normalized`));
    }
    const final = row("ln_final.hook_normalized");
    return {
      position,
      embedding,
      embeddingLength: length(embedding),
      joined,
      final,
      finalLength: length(final),
      longest: Math.max(length(embedding), ...joined.map(({ afterLength }) => afterLength)),
      logits: logits.subarray(p * V, (p + 1) * V),
    };
  });
}

/** The Euclidean length. */
export function length(x: Float32Array): number {
  let sum = 0;
  for (const value of x) sum += value * value;
  return Math.sqrt(sum);
}

export function dot(x: Float32Array, y: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

/** NaN where one of them is nothing. */
export function cosine(x: Float32Array, y: Float32Array): number {
  const both = length(x) * length(y);
  return both === 0 ? NaN : Math.max(-1, Math.min(1, dot(x, y) / both));
}

/** A strip of `columns` places: the largest number above 0 and the most negative one below, in each place. */
export interface Strip {
  /** Largest number of each place that is above 0, else 0; like `down`, which holds sizes below 0. */
  readonly up: Float32Array;
  readonly down: Float32Array;
  readonly largest: number;
}

export function stripOf(x: Float32Array, columns: number): Strip {
  const n = Math.max(1, Math.min(columns, x.length));
  const [up, down] = [new Float32Array(n), new Float32Array(n)];
  let largest = 0;
  for (let i = 0; i < x.length; i++) {
    const at = Math.floor((i * n) / x.length);
    if (x[i] > up[at]) up[at] = x[i];
    if (-x[i] > down[at]) down[at] = -x[i];
    largest = Math.max(largest, Math.abs(x[i]));
  }
  return { up, down, largest };
}

/** The index of the number of largest size in a place of such a strip: what a pointer there means. */
export function loudestIn(x: Float32Array, columns: number, place: number): number {
  const n = Math.max(1, Math.min(columns, x.length));
  let best = -1;
  for (let i = Math.floor((place * x.length) / n); i < x.length && Math.floor((i * n) / x.length) <= place; i++)
    if (Math.floor((i * n) / x.length) === place && (best < 0 || Math.abs(x[i]) > Math.abs(x[best]))) best = i;
  return Math.max(0, best);
}

/** How thick something of this length is drawn, in pixels, where the longest is `thickest`. */
export function thickness(length: number, longest: number, thickest = 16, thinnest = 1.5): number {
  return longest > 0 ? Math.max(thinnest, (length / longest) * thickest) : thinnest;
}
