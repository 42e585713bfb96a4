/**
 * What the lens says of one position, cut out of the worker's answer, and the columns kept for a text. A column depends on the tokens up to its
 * position only, so a text that grows or branches keeps all that it shares with the one before. Pure; lens-state.svelte.ts asks and shows.
 */
import type { Lens } from "../../engine/protocol.ts";

export type Point = "pre" | "mid" | "post";

/** A token's way through the stages. */
export interface Way {
  readonly id: number;
  /** (S,): 1 = the stage's favourite. */
  readonly ranks: Int32Array;
  /** (S,) */
  readonly probabilities: Float32Array;
}

/** One position through all stages. */
export interface Column {
  readonly position: number;
  readonly stages: number;
  /** Candidates kept for each stage. */
  readonly top: number;
  /** (S, top), best first, like the two below. */
  readonly ids: Int32Array;
  readonly probabilities: Float32Array;
  readonly logits: Float32Array;
  /** The model's own favourite: the last stage's. */
  readonly final: number;
  /** Every token that led at any stage, in the order in which they first led. */
  readonly leaders: readonly Way[];
  /** The token that came next in the text; undefined at its end. */
  readonly came: Way | undefined;
}

/** S = 2 L + 1: before the first block, after each attention, after each MLP. */
export function stageCount(layers: number): number {
  return 2 * layers + 1;
}

export function stageAt(stage: number): { readonly layer: number; readonly point: Point } {
  if (stage <= 0) return { layer: 0, point: "pre" };
  return { layer: (stage - 1) >> 1, point: stage % 2 === 1 ? "mid" : "post" };
}

export function stageIndex(layer: number, point: Point): number {
  if (point === "pre" && layer === 0) return 0;
  return 2 * layer + (point === "mid" ? 1 : 2);
}

/** The tap that the stage reads, as TransformerLens calls it. */
export function tapOf(stage: number): string {
  const { layer, point } = stageAt(stage);
  return `blocks.${layer}.hook_resid_${point}`;
}

export function columnsOf(lens: Lens): Column[] {
  const { top, positions, target, final, leaders } = lens;
  const [S, T] = [lens.stages.length, positions.length];
  return Array.from(positions, (position, t): Column => {
    const ids = new Int32Array(S * top);
    const [probabilities, logits] = [new Float32Array(S * top), new Float32Array(S * top)];
    const came = { id: target.ids[t], ranks: new Int32Array(S), probabilities: new Float32Array(S) };
    for (let s = 0; s < S; s++) {
      const from = (s * T + t) * top;
      ids.set(lens.ids.subarray(from, from + top), s * top);
      probabilities.set(lens.probabilities.subarray(from, from + top), s * top);
      logits.set(lens.logits.subarray(from, from + top), s * top);
      came.ranks[s] = target.ranks[s * T + t];
      came.probabilities[s] = target.probabilities[s * T + t];
    }
    const led = leaders[t];
    const ways = Array.from(led.ids, (id, k): Way => {
      const [from, to] = [k * S, (k + 1) * S];
      return { id, ranks: led.ranks.slice(from, to), probabilities: led.probabilities.slice(from, to) };
    });
    return { position, stages: S, top, ids, probabilities, logits, final: final.ids[t], leaders: ways, came: came.id < 0 ? undefined : came };
  });
}

export function sharedLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/** Columns of the text as it stands, and stale ones that stay on screen until the new ones are there. */
export class ColumnCache {
  #model: unknown;
  #ids: readonly number[] = [];
  readonly #columns = new Map<number, Column>();
  readonly #stale = new Set<number>();

  /** The text is now `ids` of `model`. Gives whether anything may look different. */
  turnTo(model: unknown, ids: readonly number[]): boolean {
    if (model === this.#model && ids === this.#ids) return false;
    if (model !== this.#model) {
      this.#columns.clear();
      this.#stale.clear();
    }
    const shared = model === this.#model ? sharedLength(this.#ids, ids) : 0;
    this.#model = model;
    this.#ids = ids;
    for (const position of this.#columns.keys()) {
      if (position >= ids.length) {
        this.#columns.delete(position);
        this.#stale.delete(position);
      } else if (position >= shared) this.#stale.add(position);
    }
    return true;
  }

  /** Keeps what was answered for `asked`, as far as the text still begins with it. */
  put(model: unknown, asked: readonly number[], columns: readonly Column[]): void {
    if (model !== this.#model) return;
    const shared = sharedLength(this.#ids, asked);
    for (const column of columns) {
      if (column.position >= shared) continue;
      this.#columns.set(column.position, column);
      this.#stale.delete(column.position);
    }
  }

  at(position: number): Column | undefined {
    return this.#columns.get(position);
  }

  /** What is known of this position was worked out for this text. */
  isFresh(position: number): boolean {
    return this.#columns.has(position) && !this.#stale.has(position);
  }

  /** The column also follows the token that came next in the text. */
  follows(position: number): boolean {
    return this.isFresh(position) && this.#columns.get(position)!.came?.id === this.#ids[position + 1];
  }

  /** Which of the `wanted` positions must be asked for; those in `whole` with the token that came. */
  missing(wanted: readonly number[], whole: readonly number[]): number[] {
    const found = new Set(wanted.filter((position) => !this.isFresh(position)));
    for (const position of whole) if (!this.follows(position)) found.add(position);
    return [...found].filter((position) => position >= 0 && position < this.#ids.length).toSorted((a, b) => a - b);
  }
}

/** Cells of a grid that are in the page: these columns in these rows. */
export interface Patch {
  readonly columns: readonly number[];
  readonly rows: readonly number[];
}

/**
 * One step from the cells that are in the page towards the `wanted` ones, with about `cells` new ones at most (a row or a column at least):
 * what is not wanted goes at once, and columns come in the order of their distance from `near`.
 */
export function nextPatch(now: Patch, wanted: Patch, near: number, cells: number): Patch {
  let rows = wanted.rows.filter((row) => now.rows.includes(row));
  let columns = rows.length === 0 ? [] : wanted.columns.filter((column) => now.columns.includes(column));
  let left = cells;
  if (columns.length === 0) rows = [...wanted.rows];
  else {
    const more = wanted.rows.filter((row) => !rows.includes(row)).slice(0, Math.max(1, Math.floor(cells / columns.length)));
    left -= more.length * columns.length;
    rows = wanted.rows.filter((row) => rows.includes(row) || more.includes(row));
  }
  const missing = wanted.columns.filter((column) => !columns.includes(column)).toSorted((a, b) => Math.abs(a - near) - Math.abs(b - near));
  const fit = Math.max(left === cells ? 1 : 0, Math.floor(left / Math.max(1, rows.length)));
  columns = [...columns, ...missing.slice(0, fit)].toSorted((a, b) => a - b);
  return { columns, rows };
}

/** Which of `count` things of `size` pixels show in a window of `room` pixels scrolled by `scroll`: [first, last), with `more` on either side. */
export function visibleRange(scroll: number, room: number, size: number, count: number, more = 0): [first: number, end: number] {
  const first = Math.min(count, Math.max(0, Math.floor(scroll / size) - more));
  return [first, Math.max(first, Math.min(count, Math.ceil((scroll + room) / size) + more))];
}
