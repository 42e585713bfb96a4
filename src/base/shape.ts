/** Shapes and how they are written in messages: `(4, 8, 64)`. */

export type Shape = readonly number[];

/** Number of elements; 1 for a scalar. */
export function elements(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The same sizes in the same order. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** As messages write it: `(4, 8, 64)`. */
export function showShape(shape: Shape): string {
  return `(${shape.join(", ")})`;
}
