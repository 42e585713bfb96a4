/** Picking numbers out: table rows by token id, rows by index, and columns of a wide matrix. */
import { ShapeError } from "../../base/errors.ts";
import { elements, showShape } from "../../base/shape.ts";
import type { Shape } from "../../base/shape.ts";
import type { Matrix } from "../../device/device.ts";
import { expectElements, lastAxis, rowCount, withLast } from "../shapes.ts";
import { gradientLike, refuse, tapeFor } from "../tape.ts";
import { empty } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";

/** Row ids[i] of the table for each id. ids: (...) i32 -> (..., inputs). The caller has checked that every id is a row of the table. */
export function embed(table: Matrix, ids: Tensor): Tensor {
  const out = empty(ids.device, [...ids.shape, table.inputs]);
  const { kernels } = ids.device;
  kernels.embed(out.buffer, table, ids.buffer, elements(ids.shape));

  tapeFor(table)?.note(out, [ids], (dY, tape) => {
    kernels.embedBackward(tape.gradientOf(table) as Matrix, dY.buffer, ids.buffer, elements(ids.shape)); // row ids[i] += dY[i]
  });
  return out;
}

/** Rows of the last axis by index. x: (..., C), indices: (N,) i32 -> (N, C). The caller has checked the indices. No way back. */
export function gatherRows(x: Tensor, indices: Tensor): Tensor {
  refuse("gatherRows", x);
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
  const [rows, xWidth] = [rowCount(x), lastAxis(x)];
  if (from < 0 || from + width > xWidth || elements(shape) !== rows * width)
    throw new ShapeError(
      `columns: ${from} to ${from + width} of ${showShape(x.shape)} as ${showShape(shape)}; they must lie inside and have as many numbers`,
    );
  const out = empty(x.device, shape);
  const { kernels } = x.device;
  kernels.columns(out.buffer, x.buffer, rows, xWidth, from, width);

  tapeFor(x)?.note(out, [], (dY, tape) => {
    const dX = tape.addingTo(x); // the other columns' gradients come from elsewhere
    if (dX) kernels.placeColumns(dX, dY.buffer, rows, xWidth, from, width, true);
  });
  return out;
}

/** Two tensors side by side on the last axis: (..., N) and (..., N) -> (..., 2 N). For the tapped path only. */
export function beside(a: Tensor, b: Tensor): Tensor {
  expectElements("beside", "the second argument", b, a.shape, "both sides must have the same size");
  const [rows, width] = [rowCount(a), lastAxis(a)];
  const out = empty(a.device, withLast(a.shape, 2 * width));
  const { kernels } = a.device;
  kernels.placeColumns(out.buffer, a.buffer, rows, 2 * width, 0, width, false);
  kernels.placeColumns(out.buffer, b.buffer, rows, 2 * width, width, width, false);

  tapeFor(a, b)?.note(out, [], (dY, tape) => {
    for (const [part, from] of [
      [a, 0],
      [b, width],
    ] as const) {
      const dPart = gradientLike(part);
      kernels.columns(dPart.buffer, dY.buffer, rows, 2 * width, from, width);
      tape.give(part, dPart);
    }
  });
  return out;
}
