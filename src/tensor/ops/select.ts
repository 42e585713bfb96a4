/** Picking numbers out: table rows by token id, rows by index, and columns of a wide matrix. */
import { ShapeError } from "../../base/errors.ts";
import { elements, showShape } from "../../base/shape.ts";
import type { Shape } from "../../base/shape.ts";
import type { Matrix } from "../../device/device.ts";
import { expectElements, lastAxis, rowCount, withLast } from "../shapes.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** Row ids[i] of the table for each id. ids: (...) i32 -> (..., inputs). The caller has checked that every id is a row of the table. */
export function embed(table: Matrix, ids: Tensor): Tensor {
  const out = empty(ids.device, [...ids.shape, table.inputs]);
  ids.device.kernels.embed(out.buffer, table, ids.buffer, elements(ids.shape));
  return out;
}

/** Rows of the last axis by index. x: (..., C), indices: (N,) i32 -> (N, C). The caller has checked the indices. */
export function gatherRows(x: Tensor, indices: Tensor): Tensor {
  const width = lastAxis(x);
  const rows = elements(indices.shape);
  const out = empty(x.device, [rows, width]);
  x.device.kernels.gatherRows(out.buffer, x.buffer, indices.buffer, rows, width);
  return out;
}

/**
 * Columns `from` up to `from + width` of the last axis, under `shape` (for example (B, T, H, D) for the heads of a query).
 * Throws ShapeError when the columns or the shape do not fit.
 */
export function columns(x: Tensor, from: number, width: number, shape: Shape): Tensor {
  const rows = rowCount(x);
  if (from < 0 || from + width > lastAxis(x) || elements(shape) !== rows * width)
    throw new ShapeError(
      `columns: ${from} to ${from + width} of ${showShape(x.shape)} as ${showShape(shape)}; they must lie inside and have as many numbers`,
    );
  const out = empty(x.device, shape);
  x.device.kernels.columns(out.buffer, x.buffer, rows, lastAxis(x), from, width);
  return out;
}

/** Two tensors side by side on the last axis: (..., N) and (..., N) -> (..., 2 N). Row by row; for the tapped path only. */
export function beside(a: Tensor, b: Tensor): Tensor {
  expectElements("beside", "the second argument", b, a.shape, "both sides must have the same size");
  const width = lastAxis(a);
  const out = empty(a.device, withLast(a.shape, 2 * width));
  for (let row = 0; row < rowCount(a); row++) {
    a.device.kernels.copy(out.buffer, 2 * row * width, a.buffer, row * width, width);
    a.device.kernels.copy(out.buffer, (2 * row + 1) * width, b.buffer, row * width, width);
  }
  return out;
}
