/**
 * Shape arithmetic of the ops: rows, last axes, and the errors when they do not fit. In the hot path, hence plain loops.
 */
import { ShapeError } from "../base/errors.ts";
import { elements, showShape } from "../base/shape.ts";
import type { Shape } from "../base/shape.ts";
import type { Tensor } from "./tensor.ts";

/** The size of the last axis. */
export function lastAxis(x: Tensor): number {
  return x.shape[x.shape.length - 1];
}

/** How many rows of the last axis there are. */
export function rowCount(x: Tensor): number {
  let rows = 1;
  for (let axis = 0; axis < x.shape.length - 1; axis++) rows *= x.shape[axis];
  return rows;
}

/** `shape` with another last axis. */
export function withLast(shape: Shape, last: number): Shape {
  const changed = shape.slice();
  changed[changed.length - 1] = last;
  return changed;
}

/** Throws ShapeError unless `x` has `expected` elements; `cure` says what to do about it. */
export function expectElements(op: string, what: string, x: Tensor, expected: Shape, cure: string): void {
  let [have, want] = [1, 1];
  for (let axis = 0; axis < x.shape.length; axis++) have *= x.shape[axis];
  for (let axis = 0; axis < expected.length; axis++) want *= expected[axis];
  if (have !== want)
    throw new ShapeError(`${op}: ${what} is ${showShape(x.shape)} (${elements(x.shape)} numbers), expected ${showShape(expected)}; ${cure}`);
}
