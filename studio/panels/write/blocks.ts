/**
 * The block view: columns are the places after a point of the text, every candidate a block whose height is its joint probability.
 * Pure layout over what is known; asking the model for what is not is Blocks.svelte's.
 */

/** A likely continuation: what may come after `ids`, best first. Shares of the whole vocabulary. */
export interface Known {
  readonly choices: readonly { readonly id: number; readonly text: string; readonly probability: number }[];
}

export interface Block {
  /** The ids from the place in the text up to this one. */
  readonly ids: readonly number[];
  readonly text: string;
  /** Its own, after what stands before it. */
  readonly probability: number;
  /** Of all tokens from the root to it. */
  readonly joint: number;
  readonly column: number;
  /** Share of the view's height, from the top; the height is `joint`. */
  readonly top: number;
  /** All candidates too improbable to be drawn, together; its `ids` are those of what stands before. */
  readonly rest: boolean;
  /** What may follow it is known. */
  readonly opened: boolean;
}

export const keyOf = (ids: readonly number[]): string => ids.join(",");

/**
 * Blocks at least `least` of the view high; the smaller ones of a column are one block of rest.
 * `known` by keyOf(ids). `root`: the ids that the view has zoomed into; they are the beginning of every block's ids.
 */
export function blocksOf(known: ReadonlyMap<string, Known>, columns: number, least: number, root: readonly number[] = []): Block[] {
  const blocks: Block[] = [];
  const visit = (ids: readonly number[], joint: number, top: number, column: number): void => {
    const here = known.get(keyOf(ids));
    if (here === undefined || column >= columns) return;
    let at = top;
    for (const { id, text, probability } of here.choices) {
      const own = joint * probability;
      if (own < least) break;
      const path = [...ids, id];
      blocks.push({ ids: path, text, probability, joint: own, column, top: at, rest: false, opened: known.has(keyOf(path)) });
      visit(path, own, at, column + 1);
      at += own;
    }
    const left = top + joint - at;
    if (left > least / 4) blocks.push({ ids, text: "", probability: left / joint, joint: left, column, top: at, rest: true, opened: false });
  };
  visit(root, 1, 0, 0);
  return blocks;
}

/** What to ask for next: the likeliest block that is not opened, high enough for its own blocks to be seen. */
export function nextToOpen(blocks: readonly Block[], columns: number, least: number): Block | undefined {
  let best: Block | undefined;
  for (const block of blocks)
    if (!block.rest && !block.opened && block.column < columns - 1 && block.joint >= least && block.joint > (best?.joint ?? 0)) best = block;
  return best;
}
