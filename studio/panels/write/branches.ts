/**
 * The tree of all branches, laid out as thin lines: one row for each end, columns by length. The row walked last is first at every fork,
 * as in the tree itself, so the story on the tape is the top line.
 */
import type { TreeNode } from "../../state/tree.ts";

/** A branch from the fork it leaves (or the root) to its end. */
export interface Branch {
  /** Its first token of its own. */
  readonly first: TreeNode;
  readonly end: TreeNode;
  /** Tokens of its own, first to end. */
  readonly own: readonly TreeNode[];
  /** Places behind the root where it begins and ends. */
  readonly from: number;
  readonly to: number;
  readonly row: number;
  /** Row of the branch it leaves; undefined for those that leave the root. */
  readonly parentRow: number | undefined;
}

export interface Fork {
  readonly node: TreeNode;
  readonly depth: number;
  readonly row: number;
}

export interface Layout {
  readonly branches: readonly Branch[];
  readonly forks: readonly Fork[];
  /** Tokens of the longest branch, counted from the root. */
  readonly depth: number;
}

/** `root`: the prompt's last token, or the one in it where branches leave first; what the prompt goes on with is then a branch too. */
export function layOut(root: TreeNode): Layout {
  const branches: Branch[] = [];
  const forks: Fork[] = [];
  let depth = 0;
  // an explicit stack, last in first out: a text may be longer than the call stack
  const waiting: { first: TreeNode; from: number; parentRow: number | undefined }[] = [];
  const push = (children: readonly TreeNode[], from: number, parentRow: number | undefined): void => {
    for (const first of children.toReversed()) waiting.push({ first, from, parentRow });
  };
  if (root.children.length > 1) forks.push({ node: root, depth: 0, row: 0 });
  push(root.children, 1, undefined);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const row = branches.length;
    const own: TreeNode[] = [];
    const sides: { children: readonly TreeNode[]; from: number }[] = [];
    for (let at: TreeNode | undefined = next.first; at !== undefined; at = at.children[0]) {
      own.push(at);
      if (at.children.length > 1) {
        const place = next.from + own.length - 1;
        forks.push({ node: at, depth: place, row });
        sides.push({ children: at.children.slice(1), from: place + 1 });
      }
    }
    const to = next.from + own.length - 1;
    depth = Math.max(depth, to);
    branches.push({ first: next.first, end: own[own.length - 1], own, from: next.from, to, row, parentRow: next.parentRow });
    for (const { children, from } of sides) push(children, from, row);
  }
  return { branches, forks, depth };
}
